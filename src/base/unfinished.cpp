#include "base/unfinished.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace fettle {
namespace {

constexpr std::string_view mark = ".tmp-", temporary_folder = "fettle-";
constexpr size_t random_digits = 16;
constexpr int attempts = 16;

/// Who made something, by its name.
struct Maker {
  pid_t process = 0;
  bool locks = false;  ///< of a version that holds a lock on what it makes
};

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/// "PID-RANDOM" behind the mark; also "PID-N" and "PID", which earlier versions wrote.
std::optional<Maker> maker_of(std::string_view rest) {
  Maker maker;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), maker.process);
  if (error != std::errc() || maker.process <= 0) return std::nullopt;
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  if (rest.empty()) return maker;
  if (rest.front() != '-' || rest.size() < 2) return std::nullopt;
  rest.remove_prefix(1);
  if (!std::all_of(rest.begin(), rest.end(), is_hex)) return std::nullopt;
  maker.locks = rest.size() == random_digits;
  if (!maker.locks && rest.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  return maker;
}

std::optional<Maker> maker_of_name(std::string_view name, std::string_view wanted_mark) {
  const size_t at = name.rfind(wanted_mark);
  if (at == std::string_view::npos || (at == 0) != (wanted_mark == temporary_folder)) return std::nullopt;
  return maker_of(name.substr(at + wanted_mark.size()));
}

/// Whether the lock came; what lies on a file system without locks is used all the same, and never taken for a leftover.
enum class Lock { taken, held_elsewhere, unknown };
Lock take_lock(int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    return errno == EWOULDBLOCK ? Lock::held_elsewhere : Lock::unknown;
  }
  return Lock::taken;
}

bool is_ours(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_uid == ::geteuid() && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

void remove_if_left(const fs::path& path, const Maker& maker) {
  if (!maker.locks && (::kill(maker.process, 0) == 0 || errno != ESRCH)) return;
  const Descriptor descriptor(open_retrying(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (descriptor.get() < 0 || !is_ours(descriptor.get()) || take_lock(descriptor.get()) != Lock::taken) return;
  if (!is_still_there(descriptor.get(), path)) return;
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

/// Earlier versions wrote names that are told by the name of what they were making alone.
std::optional<Maker> leftover(const std::string& name, const std::string& target) {
  for (const auto wanted_mark : {mark, temporary_folder}) {
    if (const auto maker = maker_of_name(name, wanted_mark); maker && maker->locks) return maker;
  }
  if (target.empty() || !name.starts_with(target + ".")) return std::nullopt;
  for (const std::string_view old : {".tmp-", ".writing-", ".saving-"}) {
    if (!std::string_view(name).substr(target.size()).starts_with(old)) continue;
    return maker_of(std::string_view(name).substr(target.size() + old.size()));
  }
  return std::nullopt;
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

}  // namespace

std::string random_name() {
  std::array<unsigned char, random_digits / 2> bytes{};
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = ::getrandom(bytes.data() + done, bytes.size() - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("getrandom", "no random numbers");
    done += static_cast<size_t>(got);
  }
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

fs::path unfinished_name(const fs::path& target) {
  constexpr size_t longest = 200;  // of the 255 bytes that a name may have
  const std::string name = target.filename().string();
  return folder_of(target) / fmt::format("{}{}{}-{}", name.substr(0, longest), mark, ::getpid(), random_name());
}

bool is_unfinished_name(std::string_view name) {
  return maker_of_name(name, mark).has_value() || maker_of_name(name, temporary_folder).has_value();
}

Descriptor create_unfinished(const fs::path& target, fs::path& made) {
  for (int attempt = 0; attempt < attempts; ++attempt) {
    made = unfinished_name(target);
    Descriptor descriptor(open_retrying(made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    if (descriptor.get() < 0 && errno != EEXIST) fail_io(target.string(), "cannot create");
    if (descriptor.get() < 0) continue;
    const Lock lock = take_lock(descriptor.get());
    // Another process may have taken it for a leftover before the lock was there.
    if (lock == Lock::unknown || (lock == Lock::taken && is_still_there(descriptor.get(), made))) return descriptor;
  }
  fail(target.string(), "cannot create a file beside it: every name that was tried is taken");
}

Descriptor create_unfinished_folder(const std::function<fs::path()>& next_name, mode_t mode, fs::path& made) {
  for (int attempt = 0; attempt < attempts; ++attempt) {
    made = next_name();
    if (::mkdir(made.c_str(), mode) != 0) {
      if (errno == EEXIST) continue;
      fail_io(made.string(), "cannot create the folder");
    }
    Descriptor descriptor(open_retrying(made, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (descriptor.get() < 0) {
      if (errno == ENOENT) continue;
      const int reason = errno;
      ::rmdir(made.c_str());
      errno = reason;
      fail_io(made.string(), "cannot open the folder");
    }
    const Lock lock = take_lock(descriptor.get());
    if (lock == Lock::unknown || (lock == Lock::taken && is_still_there(descriptor.get(), made))) return descriptor;
  }
  fail(made.string(), "cannot create the folder: every name that was tried is taken");
}

void remove_unfinished(const fs::path& folder, const fs::path& target) {
  const std::string name = target.filename().string();
  std::error_code unreadable;
  std::vector<std::pair<fs::path, Maker>> found;
  for (fs::directory_iterator at(folder, unreadable), end; !unreadable && at != end; at.increment(unreadable)) {
    if (const auto maker = leftover(at->path().filename().string(), name)) found.emplace_back(at->path(), *maker);
  }
  for (const auto& [path, maker] : found) remove_if_left(path, maker);
}

UnfinishedFolder::UnfinishedFolder(const fs::path& target)
    : target_(follow_links(target.has_filename() ? target : target.parent_path())) {
  make_folders(target_.parent_path());
  remove_unfinished(folder_of(target_), target_);
  lock_ = create_unfinished_folder([&] { return unfinished_name(target_); }, 0777, path_);
}

UnfinishedFolder::~UnfinishedFolder() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void UnfinishedFolder::commit() {
  if (!is_still_there(lock_.get(), path_)) fail(target_.string(), "was not written: the folder it was made in was removed meanwhile");
  replace_folder(path_, target_);
  committed_ = true;
}

}  // namespace fettle
