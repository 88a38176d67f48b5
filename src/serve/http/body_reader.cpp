#include "serve/http/body_reader.h"

#include <algorithm>
#include <charconv>

#include "serve/http/syntax.h"

namespace fettle::serve {
namespace {

constexpr size_t longest_line = 4096;  ///< of a chunk's size with its extensions, or of a trailer's field

[[noreturn]] void refuse_chunk(const char* why) {
  throw ApiError(400, "bad_request", "", why);
}

std::string_view skip_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

std::string_view skip_token(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, is_token_char);
  if (end == text.begin()) refuse_chunk("a chunk's extension needs a name");
  return text.substr(static_cast<size_t>(end - text.begin()));
}

std::string_view skip_quoted(std::string_view text) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return text.substr(i + 1);
    if (text[i] == '\\') ++i;
  }
  refuse_chunk("a chunk's extension does not end its quotation");
}

/// *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ), which means nothing here.
void check_extensions(std::string_view text) {
  while (!text.empty()) {
    text = skip_blanks(text);
    if (text.empty() || text.front() != ';') refuse_chunk("a chunk's size is not a hexadecimal number");
    text = skip_token(skip_blanks(text.substr(1)));
    const std::string_view value = skip_blanks(text);
    if (value.empty() || value.front() != '=') continue;
    text = skip_blanks(value.substr(1));
    text = !text.empty() && text.front() == '"' ? skip_quoted(text) : skip_token(text);
  }
}

uint64_t read_chunk_size(std::string_view line) {
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
  if (error != std::errc()) refuse_chunk("a chunk's size is not a hexadecimal number");
  check_extensions(line.substr(static_cast<size_t>(end - line.data())));
  return size;
}

}  // namespace

BodyReader::BodyReader(std::optional<uint64_t> length, uint64_t limit)
    : limit_(limit), overhead_left_((limit << 3) + 65536), state_(length ? State::fixed : State::size_line), left_(length.value_or(0)) {
  if (length == 0) state_ = State::whole;
}

size_t BodyReader::take(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && state_ != State::whole) {
    const std::string_view rest = bytes.substr(taken);
    taken += state_ == State::fixed || state_ == State::data ? take_data(rest) : take_line(rest);
  }
  return taken;
}

size_t BodyReader::take_data(std::string_view bytes) {
  const size_t count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), left_));
  body_.append(bytes.substr(0, count));
  left_ -= count;
  if (left_ == 0) state_ = state_ == State::fixed ? State::whole : State::data_end;
  return count;
}

/// A line ends with CR LF; a CR or LF alone, which another reader might take for an end, is refused.
size_t BodyReader::take_line(std::string_view bytes) {
  size_t count = 0;
  while (count < bytes.size()) {
    const char c = bytes[count++];
    if (overhead_left_-- == 0) throw ApiError(413, "bad_request", "", "the chunks are too small: more stands between them than in them");
    const bool after_cr = !line_.empty() && line_.back() == '\r';
    if (after_cr != (c == '\n') || (c != '\r' && c != '\n' && !is_line_char(c)))
      refuse_chunk("a line between chunks does not end with CR LF");
    line_.push_back(c);
    if (c == '\n') {
      line_.resize(line_.size() - 2);
      end_line();
      line_.clear();
      break;
    }
    if (line_.size() > longest_line) refuse_chunk("a line between chunks is too long");
  }
  return count;
}

void BodyReader::end_line() {
  switch (state_) {
    case State::size_line:
      return begin_chunk();
    case State::data_end:
      if (!line_.empty()) refuse_chunk("a chunk is longer than its size says");
      state_ = State::size_line;
      return;
    default:
      if (line_.empty()) {
        state_ = State::whole;
      } else if (const size_t colon = line_.find(':'); colon == std::string::npos || !is_token(line_.substr(0, colon))) {
        refuse_chunk("a trailer's line must be NAME: VALUE");
      }
  }
}

void BodyReader::begin_chunk() {
  left_ = read_chunk_size(line_);
  if (left_ > limit_ - body_.size())
    throw ApiError(413, "bad_request", "", fmt::format("the body is larger than the {} bytes that are allowed", limit_));
  state_ = left_ == 0 ? State::trailer : State::data;
}

}  // namespace fettle::serve
