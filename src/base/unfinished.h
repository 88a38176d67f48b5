#pragma once
// Files and folders that are being made, under names of their own until they are whole: NAME.tmp-PID-RANDOM beside NAME. Who
// makes one holds a lock on it, which the kernel gives back when the process ends, however it ends. So the next run can tell
// what a killed one left from what another process is at work on, also where process numbers come round again or the folder
// is shared between machines. Errors: Error(io) naming the path. Thread-safe.
#include <string>

#include "base/file.h"
#include "base/open_file.h"

namespace fettle {

/// A name beside `target` that nobody can guess and that is_half_written() knows.
fs::path unfinished_name(const fs::path& target);

/// Opens a new file of such a name to write, locked. `made` becomes its path. Throws Error naming `target`.
Descriptor create_unfinished(const fs::path& target, fs::path& made);

/// Makes a folder of a name that `next_name` gives, locked, of which `mode` (less the umask) says who may enter. `made` becomes
/// its path.
Descriptor create_unfinished_folder(const std::function<fs::path()>& next_name, mode_t mode, fs::path& made);

/// The random part of such names: 16 hexadecimal digits.
std::string random_name();

/// Removes what killed processes left in `folder`; what others are at work on stays, and so does everything under other names.
/// What earlier versions left, which held no locks, is told by its process number, and goes where it was to become `target`.
void remove_unfinished(const fs::path& folder, const fs::path& target = {});

/// `fettle-PID-RANDOM`, as TemporaryFolder is named, or one of unfinished_name().
bool is_unfinished_name(std::string_view name);

/// A folder that takes the place of `target` by commit(), in one step; without it, it leaves nothing behind.
class UnfinishedFolder {
 public:
  /// A symbolic link to a folder stays, and the folder that it leads to is replaced. What killed runs left there goes.
  explicit UnfinishedFolder(const fs::path& target);
  ~UnfinishedFolder();
  UnfinishedFolder(const UnfinishedFolder&) = delete;
  UnfinishedFolder& operator=(const UnfinishedFolder&) = delete;
  const fs::path& path() const { return path_; }
  /// Throws Error when the folder was removed meanwhile.
  void commit();

 private:
  fs::path target_, path_;
  Descriptor lock_;
  bool committed_ = false;
};

}  // namespace fettle
