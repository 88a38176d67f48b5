#pragma once
// A request as routes see it, and the answer they make: HTTP/1.1 (RFC 9110, 9112), no more of it than the server needs.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "serve/http/connection.h"
#include "serve/http/request_head.h"

namespace fettle::serve {

/// A whole request.
struct HttpRequest {
  std::string method;
  std::string path;  ///< of the target, decoded, without the query
  std::map<std::string, std::string> parameters;  ///< of the query, decoded; of a name that stands twice the first
  std::string if_none_match;
  std::string body;

  /// `head` has been checked. Percent signs that begin no byte stay as they are.
  HttpRequest(const RequestHead& head, std::string body);
  std::string parameter(const std::string& name, std::string otherwise = {}) const;
};

/// The receiving end of an answer that is written piece by piece.
class AnswerStream {
 public:
  /// chunked: pieces with their sizes before them (RFC 9112, 7.1); otherwise the connection's end is the answer's.
  AnswerStream(Connection& connection, bool chunked) : connection_(connection), chunked_(chunked) {}
  /// The client still takes what is sent.
  bool is_open() const { return !connection_.broken() && !connection_.client_left(); }
  /// False when it cannot be sent. An empty piece is none.
  bool write(std::string_view piece);
  /// What ends a whole answer.
  bool finish();

 private:
  Connection& connection_;
  bool chunked_;
};

/// What a route answers. One thread.
class HttpResponse {
 public:
  int status = 200;

  /// Replaces what stood under the name. `value` holds no line ends.
  void set_header(std::string name, std::string value);
  bool has_header(std::string_view name) const;
  void set_content(std::string body, std::string type);
  /// Called again and again until it says `ended` or `broken`; the second ends the connection, so that a client sees that the
  /// answer is not whole.
  enum class Next : uint8_t { more, ended, broken };
  using Source = std::function<Next(AnswerStream&)>;
  void set_stream(Source source, std::string type);

  /// Writes head and body; of HEAD the head alone. True when the connection can take another request. `close`: the head says
  /// that it will not.
  bool send(Connection& connection, const RequestHead& head, bool close) const;

 private:
  std::string head_text(bool close, const std::string& framing) const;

  std::vector<std::pair<std::string, std::string>> headers_;
  std::string body_;
  Source source_;
};

/// "Not Found" for 404.
std::string_view reason_of(int status);

}  // namespace fettle::serve
