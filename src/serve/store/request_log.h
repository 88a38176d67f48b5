#pragma once
// One JSON line per answered request, in files of bounded size and number.
#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace fettle::serve {

struct RequestLogOptions {
  fs::path path;
  int64_t megabytes = 128;  ///< then the file becomes path.1, path.1 becomes path.2, …
  int count = 10;           ///< files beside the current one
};

/// Thread-safe. Lines hold what users wrote and models answered: the file is made readable for its owner
/// alone.
class RequestLog {
 public:
  /// Throws Error(io) when the file cannot be opened.
  explicit RequestLog(RequestLogOptions options);
  ~RequestLog();
  /// Never throws: what cannot be written is said once on standard error.
  void add(const Json& line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::serve
