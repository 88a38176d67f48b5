#include "serve/http/answers.h"

namespace fettle::serve {
Headers common_headers() {
  return {{"X-Content-Type-Options", "nosniff"}, {"Cross-Origin-Resource-Policy", "same-origin"}, {"Cache-Control", "no-store"}};
}

ErrorShape shape_of(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  const bool messages = path == "/v1/messages" || path.starts_with("/v1/messages/");
  return messages ? ErrorShape::anthropic : ErrorShape::openai;
}

std::string plain_answer(const ApiError& error, const Headers& headers) {
  const std::string body = dump_json(error.body());
  std::string more;
  if (error.retry_after() > 0) more = fmt::format("Retry-After: {}\r\n", error.retry_after());
  if (error.status() == 401) more += "WWW-Authenticate: Bearer\r\n";
  for (const auto& [name, value] : headers) more += fmt::format("{}: {}\r\n", name, value);
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}Connection: "
      "close\r\n\r\n{}",
      error.status(), reason_of(error.status()), body.size(), more, body);
}

void answer_json(HttpResponse& response, int status, const Json& body) {
  response.status = status;
  response.set_content(dump_json(body), "application/json");
}

void answer_error(HttpResponse& response, const ApiError& error) {
  if (error.retry_after() > 0) response.set_header("Retry-After", std::to_string(error.retry_after()));
  if (error.status() == 401) response.set_header("WWW-Authenticate", "Bearer");
  answer_json(response, error.status(), error.body());
}

}  // namespace fettle::serve
