#pragma once
// The body of a request as it comes: so many bytes, or chunks (RFC 9112, 7.1). What it costs grows with the bytes that came
// and with nothing else.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "serve/http/api_error.h"

namespace fettle::serve {

class BodyReader {
 public:
  /// length: of Content-Length; none: chunks. limit: most bytes of a body in chunks. What stands between the chunks
  /// is not kept, and may be eight times that, and 64 KB.
  BodyReader(std::optional<uint64_t> length, uint64_t limit);

  /// Takes what it can use from the front of `bytes`; returns how many. Throws ApiError: 400 for chunks that are not
  /// exactly as the RFC has them, 413.
  size_t take(std::string_view bytes);
  bool whole() const { return state_ == State::whole; }
  const std::string& body() const { return body_; }
  std::string take_body() { return std::move(body_); }

 private:
  enum class State : uint8_t { fixed, size_line, data, data_end, trailer, whole };
  size_t take_data(std::string_view bytes);
  size_t take_line(std::string_view bytes);
  void end_line();
  void begin_chunk();

  uint64_t limit_, overhead_left_;
  State state_;
  uint64_t left_ = 0;   ///< of the fixed body or of the chunk
  std::string line_;    ///< a line between data, as far as it came
  std::string body_;
};

}  // namespace fettle::serve
