#pragma once
// Where rows go that cannot be used: counted by reason, never silently lost.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace fettle::data {

/// One row that was not used. `reason` is a short fixed phrase that rows are counted under ("not valid
/// JSON"); `detail` says what exactly was wrong with this one.
struct Rejection {
  std::string file;
  int64_t line = 0;  ///< 1-based line where the row starts; 0 when the format has no lines
  std::string reason, detail;
  std::string id;    ///< of the row, where it is known
  std::string text;  ///< the row as it was read
};

/// Counts rejected rows, and with a path also writes them as JSON lines
/// {"file", "line", "reason", "detail", "id", "row" | "text"}: "row" where the text is JSON, else "text".
/// Thread-safe. Order of the file is the order of the add() calls: add from one thread, or in row order, to
/// keep it stable.
class RejectedRows {
 public:
  RejectedRows() = default;
  /// The file appears under its name when commit() is called, also when it is empty.
  explicit RejectedRows(const fs::path& path);
  RejectedRows(const RejectedRows&) = delete;
  RejectedRows& operator=(const RejectedRows&) = delete;

  void add(Rejection rejection);
  int64_t count() const;
  std::map<std::string, int64_t> by_reason() const;
  /// The first few, without their text, for a message to the user.
  std::vector<Rejection> first() const;
  void commit();

 private:
  mutable std::mutex mutex_;
  std::unique_ptr<AtomicFile> file_;
  std::map<std::string, int64_t> by_reason_;
  std::vector<Rejection> first_;
  int64_t count_ = 0;
};

}  // namespace fettle::data
