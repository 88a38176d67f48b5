#include "data/html/warc.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/white_space.h"
#include "data/html/http_answer.h"

namespace fettle::data {
namespace {

constexpr size_t longest_line = size_t{1} << 16;

std::string lower(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lowered;
}

/// A record that begins inside another, behind the line ends that close one.
size_t find_head(std::string_view content) {
  constexpr std::string_view mark = "\r\n\r\nWARC/1.";
  for (size_t at = content.find(mark); at != std::string_view::npos; at = content.find(mark, at + 1)) {
    const size_t line_end = content.find('\n', at + mark.size());
    if (line_end != std::string_view::npos && content.substr(line_end + 1, 5) == "WARC-") return at;
  }
  return std::string_view::npos;
}

}  // namespace

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
  text = trimmed(std::string_view(buffer_).substr(used_, stop - used_));
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
    const auto value = trimmed(std::string_view(text).substr(colon + 1));
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

/// Whether so many bytes, or all that are left, lie in the buffer.
bool WarcReader::fill_to(size_t size) {
  while (buffer_.size() - used_ < size && fill()) {
  }
  return buffer_.size() - used_ >= size;
}

/// Whether a record or the end follows, blank lines aside.
bool WarcReader::at_record() {
  while (fill_to(1) && (buffer_[used_] == '\r' || buffer_[used_] == '\n')) ++used_;
  fill_to(5);
  const auto ahead = std::string_view(buffer_).substr(used_, 5);
  return ahead.empty() || ahead == "WARC/";
}

/// Gives back what of `content` belongs to a record that begins inside it.
bool WarcReader::cut_at_next_record(std::string& content) {
  const size_t at = find_head(content);
  if (at == std::string::npos) return false;
  buffer_.replace(0, used_, content, at);
  used_ = 0;
  content.resize(at);
  return true;
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
  const bool is_resource = head.type == "resource" && is_html_type(head.content_type);
  const bool small = head.length <= max_page_bytes_;
  std::string content;
  const bool whole = take(head.length, small ? &content : nullptr);
  if (small && (!whole || !at_record()) && cut_at_next_record(content)) {
    broken_("broken WARC record", head.address + ": the next record begins inside it, its Content-Length is too large");
  } else if (!whole && (head.type == "response" || is_resource)) {
    broken_("the archive ends in the middle of a record", head.address);
  }
  if (head.type == "conversion") broken_("plain text, not a page", head.address);
  if (head.type != "response" && !is_resource) return Outcome::other;
  if (!small) {
    broken_("page too large", head.address);
    return Outcome::other;
  }
  page = {head.address, charset_of_type(head.content_type), ""};
  if (is_resource) {
    page.body = std::move(content);
    return Outcome::page;
  }
  HttpAnswer answer = unpack_http(content, max_page_bytes_);
  if (!answer.problem.empty()) broken_("broken HTTP answer", head.address + ": " + answer.problem);
  page.charset = std::move(answer.charset);
  page.body = std::move(answer.body);
  return answer.is_page && (answer.problem.empty() || !page.body.empty()) ? Outcome::page : Outcome::other;
}

bool WarcReader::next(WarcPage& page) {
  for (;;) {
    const Outcome outcome = record(page);
    if (outcome != Outcome::other) return outcome == Outcome::page;
  }
}

}  // namespace fettle::data
