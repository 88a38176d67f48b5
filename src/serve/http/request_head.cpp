#include "serve/http/request_head.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "serve/http/syntax.h"

namespace fettle::serve {
namespace {

[[noreturn]] void refuse(int status, const std::string& message) {
  throw ApiError(status, "bad_request", "", message);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find("\r\n");
  if (end == std::string_view::npos) refuse(400, "the head of the request does not end its lines with CR LF");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  if (!std::ranges::all_of(line, is_line_char)) refuse(400, "a control character in the head of the request");
  return line;
}

void read_request_line(std::string_view line, const HeadLimits& limits, RequestHead& head) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) refuse(400, "the first line is no HTTP/1.1 request");
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(head.method)) refuse(400, "the request's method is no word");
  constexpr std::string_view methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  if (std::ranges::find(methods, head.method) == std::end(methods)) refuse(501, "the request's method is not known here");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") refuse(505, "expected HTTP/1.1 or HTTP/1.0");
  if (head.target.size() > limits.target)
    refuse(414, fmt::format("the path has {} bytes, {} are allowed", head.target.size(), limits.target));
  const bool plain = std::ranges::all_of(head.target, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || head.target.empty() || head.target[0] != '/')
    refuse(400, "expected a path that begins with /");
  head.is_1_1 = head.keep_alive = version == "HTTP/1.1";
}

struct Field {
  std::string name;  ///< lower case
  std::string_view value;
};

Field read_field(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    refuse(400, "a header line must be NAME: VALUE");
  return {lower_case(line.substr(0, colon)), trimmed(line.substr(colon + 1))};
}

uint64_t read_length(std::string_view value) {
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc() || end != value.data() + value.size())
    refuse(400, "Content-Length must be a number of bytes");
  return length;
}

void take_once(std::string& into, std::string_view value, const char* name) {
  if (!into.empty()) refuse(400, fmt::format("{} is given twice", name));
  into = value;
}

void note_field(const Field& field, RequestHead& head) {
  if (field.name == "content-length") {
    if (head.length) refuse(400, "Content-Length is given twice");
    head.length = read_length(field.value);
  } else if (field.name == "transfer-encoding") {
    if (head.chunked || lower_case(field.value) != "chunked") refuse(501, "Transfer-Encoding must be chunked");
    head.chunked = true;
  } else if (field.name == "expect") {
    if (lower_case(field.value) != "100-continue") refuse(417, "Expect must be 100-continue");
    head.expects_continue = true;
  } else if (field.name == "content-encoding") {
    if (lower_case(field.value) != "identity") refuse(415, "a compressed body is not read; send it as it is");
  } else if (field.name == "content-type") {
    if (lower_case(field.value).starts_with("multipart/")) refuse(415, "expected application/json");
  } else if (field.name == "connection") {
    const std::string value = lower_case(field.value);
    if (value.find("close") != std::string::npos) head.keep_alive = false;
  } else if (field.name == "authorization") {
    take_once(head.authorization, field.value, "Authorization");
  } else if (field.name == "x-api-key") {
    take_once(head.api_key, field.value, "x-api-key");
  } else if (field.name == "host") {
    if (++head.hosts > 1) refuse(400, "Host is given twice");
    head.host = field.value;
  } else if (field.name == "origin") {
    take_once(head.origin, field.value, "Origin");
  } else if (field.name == "access-control-request-method") {
    take_once(head.cors_method, field.value, "Access-Control-Request-Method");
  } else if (field.name == "access-control-request-headers") {
    take_once(head.cors_headers, field.value, "Access-Control-Request-Headers");
  } else if (field.name == "access-control-request-private-network") {
    head.cors_private_network = lower_case(field.value) == "true";
  } else if (field.name == "if-none-match" && field.value.size() <= 1024) {
    head.if_none_match = field.value;
  }
}

void check_framing(const RequestHead& head, uint64_t limit) {
  if (head.is_1_1 && head.host.empty()) refuse(400, "HTTP/1.1 needs a Host field");
  if (head.length && head.chunked) refuse(400, "Content-Length and Transfer-Encoding contradict each other");
  if (head.chunked && !head.is_1_1) refuse(400, "HTTP/1.0 has no Transfer-Encoding");
  if (head.length.value_or(0) > limit) refuse(413, fmt::format("the body has {} bytes, {} are allowed", *head.length, limit));
}

}  // namespace

size_t head_end(std::string_view bytes, size_t seen) {
  const size_t at = bytes.find("\r\n\r\n", seen < 3 ? 0 : seen - 3);
  return at == std::string_view::npos ? at : at + 4;
}

RequestHead parse_head(std::string_view bytes, const HeadLimits& limits) {
  if (bytes.size() > limits.bytes)
    refuse(431, fmt::format("the head of the request is larger than {} bytes", limits.bytes));
  RequestHead head;
  std::string_view rest = bytes;
  const std::string_view first = take_line(rest);
  read_request_line(first, limits, head);
  size_t fields = 0;
  for (std::string_view line = take_line(rest); !line.empty(); line = take_line(rest)) {
    if (++fields > limits.fields) refuse(431, fmt::format("more than {} header lines", limits.fields));
    note_field(read_field(line), head);
  }
  check_framing(head, limits.body);
  return head;
}

}  // namespace fettle::serve
