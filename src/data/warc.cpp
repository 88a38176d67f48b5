#include "data/warc.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace fettle::data {
namespace {

constexpr size_t longest_line = size_t{1} << 16;

std::string lower(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lowered;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

bool is_html(std::string_view content_type) {
  const std::string type = lower(content_type.substr(0, content_type.find(';')));
  return trim(type) == "text/html" || trim(type) == "application/xhtml+xml";
}

std::string charset_of(std::string_view content_type) {
  const std::string lowered = lower(content_type);
  const size_t at = lowered.find("charset=");
  if (at == std::string::npos) return "";
  std::string_view name = trim(std::string_view(lowered).substr(at + 8));
  if (name.starts_with('"')) name.remove_prefix(1);
  return std::string(name.substr(0, name.find_first_of("\"; \t")));
}

/// RFC 9112, 7.1. False when the pieces do not add up; what could be read is in `body`.
bool join_chunks(std::string_view text, std::string& body) {
  while (!text.empty()) {
    size_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size, 16);
    const size_t line_end = text.find('\n', static_cast<size_t>(end - text.data()));
    if (error != std::errc() || line_end == std::string_view::npos) return false;
    text.remove_prefix(line_end + 1);
    if (size == 0) return true;
    body += text.substr(0, size);
    if (size > text.size()) return false;
    text.remove_prefix(size);
    if (text.starts_with('\r')) text.remove_prefix(1);
    if (text.starts_with('\n')) text.remove_prefix(1);
  }
  return false;
}

}  // namespace

std::string unpack_http(std::string_view answer, WarcPage& page, bool& wanted) {
  wanted = false;
  const size_t status = answer.find(' ');
  if (!answer.starts_with("HTTP/") || status == std::string_view::npos)
    return "the record holds no HTTP answer";
  if (answer.substr(status + 1, 3) != "200") return "";
  bool html = false, chunked = false, packed = false;
  size_t at = answer.find('\n');
  while (at != std::string_view::npos) {
    const size_t begin = at + 1, end = answer.find('\n', begin);
    const auto line = trim(answer.substr(begin, end - begin));
    at = end;
    if (line.empty()) break;
    const size_t colon = line.find(':');
    const std::string name = lower(line.substr(0, colon));
    const auto value = colon == std::string_view::npos ? std::string_view{} : trim(line.substr(colon + 1));
    if (name == "content-type") {
      html = is_html(value);
      page.charset = charset_of(value);
    }
    chunked = chunked || (name == "transfer-encoding" && lower(value).find("chunked") != std::string::npos);
    packed = packed || (name == "content-encoding" && !value.empty() && lower(value) != "identity");
  }
  if (!html) return "";
  if (at == std::string_view::npos) return "the HTTP answer ends in its head";
  if (packed) return "the body is compressed inside its HTTP answer";
  wanted = true;
  const auto body = answer.substr(at + 1);
  // Some crawlers join the pieces and leave the header: a body that is no chunks is taken as it is.
  page.body.clear();
  if (!chunked || !join_chunks(body, page.body)) page.body = body;
  return "";
}

WarcReader::WarcReader(Read read, Broken broken, uint64_t max_page_bytes)
    : read_(std::move(read)), broken_(std::move(broken)), max_page_bytes_(max_page_bytes) {}

bool WarcReader::fill() {
  constexpr size_t piece = size_t{1} << 18;
  buffer_.erase(0, used_);
  used_ = 0;
  const size_t before = buffer_.size();
  buffer_.resize(before + piece);
  buffer_.resize(before + read_(buffer_.data() + before, piece));
  return buffer_.size() > before;
}

/// A line without its end; a longer one than `most` counts as broken and comes back cut.
bool WarcReader::line(std::string& text, size_t most) {
  size_t end = buffer_.find('\n', used_);
  while (end == std::string::npos && buffer_.size() - used_ < most && fill()) end = buffer_.find('\n', used_);
  if (used_ == buffer_.size()) return false;
  const size_t stop =
      std::min({end == std::string::npos ? buffer_.size() : end + 1, used_ + most, buffer_.size()});
  text = trim(std::string_view(buffer_).substr(used_, stop - used_));
  used_ = stop;
  return true;
}

bool WarcReader::take(uint64_t size, std::string* to) {
  while (size > 0) {
    if (used_ == buffer_.size() && !fill()) return false;
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(size, buffer_.size() - used_));
    if (to != nullptr) to->append(buffer_, used_, piece);
    used_ += piece;
    size -= piece;
  }
  return true;
}

/// Goes behind the next line that begins a record.
bool WarcReader::find_record() {
  std::string text;
  while (line(text, longest_line)) {
    if (text.starts_with("WARC/")) return true;
    if (text.empty() || lost_) continue;
    broken_("broken WARC record", "a record was expected, found '" + text.substr(0, 40) + "'");
    lost_ = true;
  }
  return false;
}

bool WarcReader::read_head(Head& head) {
  std::string text;
  while (line(text, longest_line)) {
    if (text.empty()) return true;
    const size_t colon = text.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = lower(text.substr(0, colon));
    const auto value = trim(std::string_view(text).substr(colon + 1));
    if (name == "warc-type") head.type = lower(value);
    if (name == "warc-target-uri") head.address = value;
    if (name == "content-type") head.content_type = value;
    if (name == "content-length") {
      head.has_length =
          std::from_chars(value.data(), value.data() + value.size(), head.length).ec == std::errc();
    }
  }
  return false;
}

WarcReader::Outcome WarcReader::record(WarcPage& page) {
  if (!find_record()) return Outcome::end;
  ++records_;
  lost_ = false;
  Head head;
  if (!read_head(head) || !head.has_length) {
    broken_("broken WARC record", "the head has no Content-Length, or ends too early");
    lost_ = true;
    return Outcome::other;
  }
  const bool wanted_type = head.type == "response" || (head.type == "resource" && is_html(head.content_type));
  const bool small = head.length <= max_page_bytes_;
  std::string content;
  const bool whole = take(head.length, wanted_type && small ? &content : nullptr);
  if (!wanted_type) return Outcome::other;
  if (!small) {
    broken_("page too large", head.address);
    return Outcome::other;
  }
  if (!whole) broken_("the archive ends in the middle of a record", head.address);
  page = {head.address, charset_of(head.content_type), ""};
  if (head.type == "resource") {
    page.body = std::move(content);
    return Outcome::page;
  }
  bool wanted = false;
  const std::string problem = unpack_http(content, page, wanted);
  if (!problem.empty()) broken_("broken HTTP answer", head.address + ": " + problem);
  return wanted ? Outcome::page : Outcome::other;
}

bool WarcReader::next(WarcPage& page) {
  for (;;) {
    const Outcome outcome = record(page);
    if (outcome != Outcome::other) return outcome == Outcome::page;
  }
}

}  // namespace fettle::data
