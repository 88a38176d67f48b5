#pragma once
// Numbers computed one after another for hours, kept so that a killed run goes on where it was.
#include <span>
#include <string>
#include <vector>

#include "base/open_file.h"

namespace fettle::train {

/// A file of doubles under a key, to which blocks are appended. A block that a kill cut short, and whatever follows it, counts as not
/// written. Not thread-safe; of several processes with one file the first one writes it, the others compute for themselves.
class SumsFile {
 public:
  /// Opens or makes the file, for its user alone. Throws Error(io) naming it.
  SumsFile(const fs::path& path, const std::string& key);

  /// What it held when it was opened.
  const std::vector<double>& stored() const { return stored_; }
  /// Starts anew.
  void clear();
  /// The next values. They are in the file when this returns, on the disk when the system finds the time. Throws Error(io).
  void append(std::span<const double> values);

 private:
  void read();
  void cut(uint64_t size);

  fs::path path_;
  std::string key_;
  Descriptor file_;
  bool is_ours_ = false;
  uint64_t size_ = 0;
  std::vector<double> stored_;
};

}  // namespace fettle::train
