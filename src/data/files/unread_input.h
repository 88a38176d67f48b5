#pragma once
// Inputs of which nothing could be read: they cannot be opened, or hold nothing that could be read. An empty
// one is none.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace fettle::data {

struct UnreadInput {
  std::string file, reason;
};

/// What was read of each input of a pass. One thread.
class InputTally {
 public:
  /// The files that `paths` mean (expand_paths) and that can be opened; the others are unread.
  std::vector<std::string> openable(const std::vector<std::string>& paths);
  void read(const std::string& file) { ++files_[file].rows; }
  void broken(const std::string& file, const std::string& reason);
  /// What was counted, and the tally that has it: for work that is cut short and goes on.
  OrderedJson counts() const;
  static InputTally from_counts(const OrderedJson& counts);
  /// In the order of their names.
  std::vector<UnreadInput> unread() const;

 private:
  struct File {
    int64_t rows = 0;
    std::string problem;  ///< the first
  };
  std::map<std::string, File> files_;
};

/// [{"file", "reason"}], for a report.
OrderedJson to_json(const std::vector<UnreadInput>& unread);

/// For the end of a run, when what could be read is written: names what a report's "unread" holds; empty when that is nothing.
std::string unread_text(const std::string& verb, const OrderedJson& report);

}  // namespace fettle::data
