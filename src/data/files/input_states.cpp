#include "data/files/input_states.h"

#include <sys/stat.h>

#include "base/error.h"

namespace fettle::data {

void fail_changed(std::string_view name, std::string_view how) {
  throw Error(Error::Kind::io, fmt::format("{}: changed while it was read ({}); begin again when nothing writes to it", name, how));
}

FileState FileState::of(int descriptor, std::string_view name) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_io(name, "cannot be looked at");
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

namespace {

void expect_same(const std::string& name, const FileState& then, const FileState& now) {
  if (then.size != now.size) fail_changed(name, fmt::format("{} bytes then, {} now", then.size, now.size));
  if (then.inode != now.inode || then.device != now.device) fail_changed(name, "another file has taken its place");
  if (!(then == now)) fail_changed(name, "it was written to");
}

}  // namespace

void InputStates::open(const std::string& name, const FileState& state) {
  if (again_ && !knows(name)) fail_changed(name, "it was not there at the first reading");
  const auto [file, fresh] = files_.try_emplace(name, File{state});
  file->second.seen = true;
  expect_same(name, file->second.state, state);
}

void InputStates::close(const std::string& name, const FileState& state, int64_t rows) {
  auto& file = files_.at(name);
  expect_same(name, file.state, state);
  if (file.rows >= 0 && file.rows != rows) fail_changed(name, fmt::format("{} rows then, {} now", file.rows, rows));
  file.rows = rows;
}

void InputStates::read_again() {
  again_ = true;
  for (auto& [name, file] : files_) file.seen = false;
}

void InputStates::finish() const {
  for (const auto& [name, file] : files_) {
    if (!file.seen || file.rows < 0) fail_changed(name, "it was read once, and is gone");
  }
}

}  // namespace fettle::data
