#pragma once
// Votes on pairs of answers, kept in SQLite: what add() returned for is on the disk.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "serve/http/fields.h"

namespace fettle::serve {

/// Thread-safe. Several processes may open one file. Every call throws Error(io) when the file was removed or replaced under
/// the server: what would be stored would be lost with the process.
class Votes {
 public:
  /// Makes the file when it is not there, for its owner alone. WAL with synchronous FULL. Throws Error(io).
  explicit Votes(const fs::path& path);
  ~Votes();
  Votes(const Votes&) = delete;
  Votes& operator=(const Votes&) = delete;

  /// Checks and stores the body of POST /v1/arena/votes; returns the answer. Throws ApiError 400.
  Json add(const OrderedJson& body);
  /// Newest first, at most `limit`, those older than `after` if it is not empty (404 when it is unknown).
  Json list(int64_t limit, const std::string& after) const;
  /// False when there is none of that name.
  bool remove(const std::string& id);
  /// JSON lines of prompt, chosen and rejected, the oldest first.
  std::string export_rows() const;
  /// Win rates per model and per pair.
  Json table() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::serve
