#pragma once
// Whether inputs are still what they were, for verbs that read them twice.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace fettle::data {

/// What tells one state of a file from another.
struct FileState {
  uint64_t device = 0, inode = 0;
  int64_t size = 0, seconds = 0, nanoseconds = 0;  ///< the last two: when it was written last

  static FileState of(int descriptor, std::string_view name);
  bool operator==(const FileState&) const = default;
};

/// Records the files of a first reading, and throws Error(io) "changed while it was read", naming the file, when a later
/// one finds others. One thread at a time.
class InputStates {
 public:
  void open(const std::string& name, const FileState& state);
  /// `rows`: what was found in it, broken ones too.
  void close(const std::string& name, const FileState& state, int64_t rows);
  bool knows(const std::string& name) const { return files_.contains(name); }
  /// The first reading has ended.
  void read_again();
  /// A later reading has ended: all files must have been there.
  void finish() const;

 private:
  struct File {
    FileState state;
    int64_t rows = -1;
    bool seen = false;  ///< in this reading
  };
  std::map<std::string, File> files_;
  bool again_ = false;
};

/// "changed while it was read", as an Error(io).
[[noreturn]] void fail_changed(std::string_view name, std::string_view how);

}  // namespace fettle::data
