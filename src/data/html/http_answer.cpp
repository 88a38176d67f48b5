#include "data/html/http_answer.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <vector>

#include "base/white_space.h"
#include "data/compression/decompress.h"

namespace fettle::data {
namespace {

std::string lowered(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

/// "gzip, br" as a list, in the order in which they were applied.
void add_codings(std::string_view value, std::vector<std::string>& codings) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    const auto coding = lowered(trimmed(value.substr(0, comma)));
    if (!coding.empty() && coding != "identity") codings.push_back(coding);
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

/// Takes the line that states a chunk's size; nothing when there is none.
std::optional<size_t> take_chunk_size(std::string_view& text) {
  size_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size, 16);
  if (error != std::errc()) return std::nullopt;
  const auto rest = text.substr(static_cast<size_t>(end - text.data()));
  const size_t line_end = rest.find('\n');
  const auto behind = trimmed(rest.substr(0, line_end));
  if (line_end == std::string_view::npos || (!behind.empty() && behind.front() != ';')) return std::nullopt;
  text = rest.substr(line_end + 1);
  return size;
}

/// RFC 9112, 7.1. Some crawlers join the chunks and leave the header: a body that begins with no chunk stays
/// as it is. Others lose the last, empty chunk.
std::string join_chunks(std::string_view text, std::string& problem) {
  std::string body;
  auto size = take_chunk_size(text);
  if (!size) return std::string(text);
  while (size && *size > 0) {
    body += text.substr(0, *size);
    if (*size > text.size()) problem = "it ends inside a chunk";
    text.remove_prefix(std::min(*size, text.size()));
    if (text.starts_with('\r')) text.remove_prefix(1);
    if (text.starts_with('\n')) text.remove_prefix(1);
    if (trimmed(text).empty()) return body;
    size = take_chunk_size(text);
  }
  if (!size)
    problem = "the chunk at byte " + std::to_string(body.size()) +
              " of the page has no size: what follows is left out";
  return body;
}

bool looks_like_html(std::string_view body) {
  const auto head = trimmed(body.substr(0, 512));
  return (head.starts_with('<') || head.starts_with("\xEF\xBB\xBF<")) &&
         std::none_of(head.begin(), head.end(), [](char c) { return static_cast<unsigned char>(c) < '\t'; });
}

bool has_zlib_head(std::string_view body) {
  if (body.size() < 2) return false;
  const unsigned first = static_cast<uint8_t>(body[0]), second = static_cast<uint8_t>(body[1]);
  return (first & 15) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0;
}

/// What the body is really in, whatever the head says; `coding` is what it says.
Compression packing_of(std::string_view body, std::string_view coding) {
  if (const Compression found = compression_of(body); found != Compression::none) return found;
  if (looks_like_html(body) || body.empty()) return Compression::none;
  if (coding == "br") return Compression::brotli;
  if (coding == "deflate") return has_zlib_head(body) ? Compression::zlib : Compression::deflate;
  return Compression::none;
}

/// Undoes `codings`, the last first, and then what only the bytes tell.
void unpack(std::vector<std::string> codings, size_t most, HttpAnswer& answer) {
  constexpr int deepest = 4;
  for (int depth = 0; depth < deepest; ++depth) {
    const std::string coding = codings.empty() ? "" : codings.back();
    const Compression packing = packing_of(answer.body, coding);
    if (!codings.empty()) codings.pop_back();
    if (packing == Compression::none) {
      if (codings.empty()) return;
      continue;
    }
    std::string plain, problem;
    if (!decompress(packing, answer.body, most, plain, problem) && answer.problem.empty())
      answer.problem = problem;
    answer.body = std::move(plain);
  }
}

bool is_unknown(const std::string& coding) {
  constexpr std::string_view known[] = {"gzip", "x-gzip", "deflate", "br", "zstd", "chunked"};
  return std::find(std::begin(known), std::end(known), coding) == std::end(known);
}

}  // namespace

bool is_html_type(std::string_view content_type) {
  const std::string type = lowered(trimmed(content_type.substr(0, content_type.find(';'))));
  return type == "text/html" || type == "application/xhtml+xml";
}

std::string charset_of_type(std::string_view content_type) {
  const std::string lower = lowered(content_type);
  size_t at = lower.find("charset");
  if (at == std::string::npos) return "";
  std::string_view rest = trimmed(std::string_view(lower).substr(at + 7));
  if (!rest.starts_with('=')) return "";
  rest = trimmed(rest.substr(1));
  if (rest.starts_with('"') || rest.starts_with('\'')) rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find_first_of("\"'; \t,")));
}

HttpAnswer unpack_http(std::string_view answer, size_t most) {
  HttpAnswer out;
  const size_t status = answer.find(' ');
  if (!answer.starts_with("HTTP/") || status == std::string_view::npos) {
    out.problem = "the record holds no HTTP answer";
    return out;
  }
  if (answer.substr(status + 1, 3) != "200") return out;
  bool html = false;
  std::vector<std::string> codings, transfer;
  size_t at = answer.find('\n');
  while (at != std::string_view::npos) {
    const size_t begin = at + 1, end = answer.find('\n', begin);
    const auto line = trimmed(answer.substr(begin, end - begin));
    at = end;
    if (line.empty()) break;
    const size_t colon = line.find(':');
    const std::string name = lowered(trimmed(line.substr(0, colon)));
    const auto value = colon == std::string_view::npos ? std::string_view{} : trimmed(line.substr(colon + 1));
    if (name == "content-type") {
      html = is_html_type(value);
      out.charset = charset_of_type(value);
    }
    if (name == "content-encoding") add_codings(value, codings);
    if (name == "transfer-encoding") add_codings(value, transfer);
  }
  if (!html) return out;
  if (at == std::string_view::npos) {
    out.problem = "the HTTP answer ends in its head";
    return out;
  }
  out.is_page = true;
  const auto body = answer.substr(at + 1);
  const auto chunked = std::find(transfer.begin(), transfer.end(), "chunked");
  out.body = chunked != transfer.end() ? join_chunks(body, out.problem) : std::string(body);
  std::erase(transfer, "chunked");
  codings.insert(codings.end(), transfer.begin(), transfer.end());
  const auto unknown = std::find_if(codings.begin(), codings.end(), is_unknown);
  if (unknown != codings.end() && !looks_like_html(out.body)) {
    out.problem = "the body is packed as '" + *unknown + "', which is not read";
    out.body.clear();
    out.is_page = false;
    return out;
  }
  unpack(std::move(codings), most, out);
  return out;
}

}  // namespace fettle::data
