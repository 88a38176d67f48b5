#include "serve/http/message.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace fettle::serve {
namespace {

/// "%41" to "A", and in a query "+" to a blank.
std::string decoded(std::string_view text, bool query) {
  std::string made;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && text.size() - i > 2 && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      made += static_cast<char>(byte);
      i += 2;
    } else {
      made += query && text[i] == '+' ? ' ' : text[i];
    }
  }
  return made;
}

std::map<std::string, std::string> parameters_of(std::string_view query) {
  std::map<std::string, std::string> found;
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    const size_t equal = std::min(one.find('='), one.size());
    if (!one.empty()) found.emplace(decoded(one.substr(0, equal), true), decoded(one.substr(std::min(one.size(), equal + 1)), true));
  }
  return found;
}

bool is_same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// Statuses whose answers have no body (RFC 9110, 15).
bool is_bodiless(int status) { return status == 204 || status == 304; }

}  // namespace

std::string_view reason_of(int status) {
  static constexpr std::pair<int, std::string_view> known[] = {
      {200, "OK"},                    {201, "Created"},
      {204, "No Content"},            {304, "Not Modified"},
      {400, "Bad Request"},           {401, "Unauthorized"},
      {403, "Forbidden"},             {404, "Not Found"},
      {405, "Method Not Allowed"},    {408, "Request Timeout"},
      {409, "Conflict"},              {413, "Content Too Large"},
      {414, "URI Too Long"},          {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},    {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"}, {500, "Internal Server Error"},
      {501, "Not Implemented"},       {503, "Service Unavailable"},
      {505, "HTTP Version Not Supported"}};
  const auto found = std::ranges::find_if(known, [&](const auto& entry) { return entry.first == status; });
  return found == std::end(known) ? "Error" : found->second;
}

HttpRequest::HttpRequest(const RequestHead& head, std::string whole_body)
    : method(head.method), if_none_match(head.if_none_match), body(std::move(whole_body)) {
  std::string_view target = head.target;
  target = target.substr(0, target.find('#'));
  const size_t question = std::min(target.find('?'), target.size());
  path = decoded(target.substr(0, question), false);
  parameters = parameters_of(target.substr(std::min(target.size(), question + 1)));
}

std::string HttpRequest::parameter(const std::string& name, std::string otherwise) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::move(otherwise) : found->second;
}

bool AnswerStream::write(std::string_view piece) {
  if (piece.empty()) return !connection_.broken();
  if (!chunked_) return connection_.write(piece);
  return connection_.write(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece));
}

bool AnswerStream::finish() { return chunked_ ? connection_.write("0\r\n\r\n") : !connection_.broken(); }

void HttpResponse::set_header(std::string name, std::string value) {
  FETTLE_CHECK(value.find_first_of("\r\n") == std::string::npos);
  std::erase_if(headers_, [&](const auto& header) { return is_same_name(header.first, name); });
  headers_.emplace_back(std::move(name), std::move(value));
}

bool HttpResponse::has_header(std::string_view name) const {
  return std::ranges::any_of(headers_, [&](const auto& header) { return is_same_name(header.first, name); });
}

void HttpResponse::set_content(std::string body, std::string type) {
  body_ = std::move(body);
  source_ = {};
  set_header("Content-Type", std::move(type));
}

void HttpResponse::set_stream(Source source, std::string type) {
  source_ = std::move(source);
  set_header("Content-Type", std::move(type));
}

std::string HttpResponse::head_text(bool close, const std::string& framing) const {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_of(status));
  for (const auto& [name, value] : headers_) text += fmt::format("{}: {}\r\n", name, value);
  text += framing;
  if (close) text += "Connection: close\r\n";
  return text + "\r\n";
}

bool HttpResponse::send(Connection& connection, const RequestHead& head, bool close) const {
  const bool is_head = head.method == "HEAD";
  if (source_ == nullptr || is_bodiless(status)) {
    std::string text = head_text(close, is_bodiless(status) ? "" : fmt::format("Content-Length: {}\r\n", body_.size()));
    if (is_head || is_bodiless(status)) return connection.write(text) && !close;
    constexpr size_t small = size_t{64} << 10;  // one packet more costs less than another copy of a large body
    if (body_.size() <= small) return connection.write(text += body_) && !close;
    return connection.write(text) && connection.write(body_) && !close;
  }
  // HTTP/1.0 has no chunks: there the end of the connection is the end of the answer.
  const bool chunked = head.is_1_1;
  const bool ends = close || !chunked;
  if (!connection.write(head_text(ends, chunked ? "Transfer-Encoding: chunked\r\n" : ""))) return false;
  if (is_head) return !ends;
  AnswerStream stream(connection, chunked);
  Next next = Next::more;
  while (next == Next::more) next = source_(stream);
  return next == Next::ended && stream.finish() && !ends;
}

}  // namespace fettle::serve
