#include "data/passes/spooled_inputs.h"

#include <unistd.h>

#include "base/interrupt.h"
#include "data/files/input.h"

namespace fettle::data {
namespace {

void copy(const std::string& from, const fs::path& to) {
  const int descriptor = open_input(from);
  const std::unique_ptr<const int, void (*)(const int*)> closed(&descriptor, [](const int* open) { ::close(*open); });
  AtomicFile file(to);
  std::string chunk(size_t{256} << 10, '\0');
  for (;;) {
    throw_if_interrupted();
    const size_t got = read_input(descriptor, from, chunk.data(), chunk.size());
    if (got == 0) break;
    file.write(chunk.data(), got);
  }
  file.commit();
}

}  // namespace

SpooledInputs::SpooledInputs(const std::vector<std::string>& inputs) {
  for (const auto& input : inputs) {
    const bool comes_once = input == "-" || (fs::exists(input) && !fs::is_regular_file(input) && !fs::is_directory(input));
    if (!comes_once) {
      paths_.push_back(input);
      continue;
    }
    // Rejected rows name the file, so that its name says what it is a copy of.
    const std::string name = input == "-" ? "standard input" : fs::path(input).filename().string();
    const fs::path path = folder_.path() / std::to_string(paths_.size()) / name;
    copy(input, path);
    paths_.push_back(path.string());
  }
}

PassFiles SpooledInputs::instead(const PassFiles& files) const {
  PassFiles made = files;
  made.inputs = paths_;
  made.states = std::make_shared<InputStates>();
  return made;
}

}  // namespace fettle::data
