#include "text/jinja/strings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace fettle::jinja {

size_t find_part(Interpreter& run, std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  const char* begin = text.data() + from;
  // glibc's search is linear however much the texts repeat themselves; that of std::string is not.
  const void* found = ::memmem(begin, text.size() - from, part.data(), part.size());
  const size_t at = found == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(found) - text.data());
  run.charge_text(std::min(at, text.size()) - from + part.size());
  return at;
}

size_t find_last_part(Interpreter& run, std::string_view text, std::string_view part) {
  constexpr size_t few = 16;
  run.charge_text((text.size() + part.size()) * std::min(part.size() + 1, few));
  if (part.size() <= few || part.size() > text.size()) return text.rfind(part);
  const std::string backwards(text.rbegin(), text.rend()), sought(part.rbegin(), part.rend());
  const void* found = ::memmem(backwards.data(), backwards.size(), sought.data(), sought.size());
  if (found == nullptr) return std::string_view::npos;
  return text.size() - part.size() - static_cast<size_t>(static_cast<const char*>(found) - backwards.data());
}

void charge_characters(Interpreter& run, size_t bytes) {
  run.charge_text(bytes);
  run.charge(static_cast<int64_t>(bytes / 8));
}

namespace {

/// A list of pieces costs more than its characters.
void count_piece(Interpreter& run, size_t pieces) {
  run.charge(1);
  if (static_cast<int64_t>(pieces) > kMaxItems) raise("a text in more than {} pieces", kMaxItems);
}

}  // namespace

Text replace(Interpreter& run, const Text& text, std::string_view old, const Text& by, int64_t count) {
  Text out;
  const std::string_view bytes = text.bytes();
  const auto grow = [&](size_t begin, size_t end, bool insert) {
    out.append(text, begin, end);
    if (insert) out.append(by);
    run.charge(1 + static_cast<int64_t>((end - begin + by.size()) / 64));
    check_size(static_cast<int64_t>(out.size()));
  };
  size_t at = 0;
  if (old.empty()) {
    for (; count != 0; --count) {
      out.append(by);
      if (at >= bytes.size()) return out;
      const size_t begin = at;
      next_character(bytes, at);
      grow(begin, at, false);
    }
  }
  while (count != 0 && !old.empty()) {
    const size_t found = find_part(run, bytes, old, at);
    if (found == std::string_view::npos) break;
    grow(at, found, true);
    at = found + old.size();
    --count;
  }
  grow(at, bytes.size(), false);
  return out;
}

namespace {

std::vector<Value> split_spaces(Interpreter& run, const Text& text, int64_t limit, bool from_right) {
  // Words with the offset behind them; a limit leaves the rest of the text in one piece.
  std::vector<std::pair<size_t, size_t>> words;
  const std::string_view bytes = text.bytes();
  for (size_t at = 0, begin = std::string::npos; at <= bytes.size();) {
    const size_t here = at;
    const bool space = here == bytes.size() || is_space(next_character(bytes, at));
    if (!space && begin == std::string::npos) begin = here;
    if (space && begin != std::string::npos) {
      words.emplace_back(begin, here);
      count_piece(run, words.size());
      begin = std::string::npos;
    }
    if (here == bytes.size()) break;
  }
  if (limit >= 0 && static_cast<int64_t>(words.size()) > limit) {
    const auto keep = static_cast<size_t>(limit);
    if (from_right) {
      const size_t end = words[words.size() - keep - 1].second;
      words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(keep));
      const Text head = strip(text.slice(0, end), Side::right);
      std::vector<Value> out = {head};
      for (const auto& [b, e] : words) out.emplace_back(text.slice(b, e));
      return out;
    }
    const size_t begin = words[keep].first;
    words.resize(keep);
    std::vector<Value> out;
    for (const auto& [b, e] : words) out.emplace_back(text.slice(b, e));
    out.emplace_back(text.slice(begin, bytes.size()));
    return out;
  }
  std::vector<Value> out;
  for (const auto& [b, e] : words) out.emplace_back(text.slice(b, e));
  return out;
}

}  // namespace

std::vector<Value> split(Interpreter& run, const Text& text, const Text* separator, int64_t limit, bool from_right) {
  if (separator == nullptr) return split_spaces(run, text, limit, from_right);
  const std::string& cut = separator->bytes();
  if (cut.empty()) raise("split: the separator is empty");
  std::vector<Value> out;
  const std::string_view bytes = text.bytes();
  if (from_right) {
    size_t end = bytes.size();
    // From one cut to the next: a search that ends where it finds something, backwards.
    const std::string backwards(bytes.rbegin(), bytes.rend()), sought(cut.rbegin(), cut.rend());
    const auto last_before = [&](size_t stop) {
      const size_t found = find_part(run, backwards, sought, bytes.size() - stop);
      return found == std::string_view::npos ? found : bytes.size() - found - cut.size();
    };
    for (; limit != 0; --limit) {
      const size_t found = last_before(end);
      if (found == std::string_view::npos) break;
      count_piece(run, out.size());
      out.emplace_back(text.slice(found + cut.size(), end));
      end = found;
    }
    out.emplace_back(text.slice(0, end));
    std::reverse(out.begin(), out.end());
    return out;
  }
  size_t at = 0;
  for (; limit != 0; --limit) {
    const size_t found = find_part(run, bytes, cut, at);
    if (found == std::string_view::npos) break;
    count_piece(run, out.size());
    out.emplace_back(text.slice(at, found));
    at = found + cut.size();
  }
  out.emplace_back(text.slice(at, bytes.size()));
  return out;
}

std::vector<Text> split_lines(Interpreter& run, const Text& text, bool keep_ends) {
  std::vector<Text> out;
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = at;
    const uint32_t c = next_character(bytes, at);
    if (!is_line_end(c)) continue;
    count_piece(run, out.size());
    if (c == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    out.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < bytes.size()) out.push_back(text.slice(begin, bytes.size()));
  return out;
}

Text join(Interpreter& run, const Text& separator, const std::vector<Value>& items) {
  Text out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(separator);
    run.charge(weight(items[i]));
    append_str(out, items[i]);
    check_size(static_cast<int64_t>(out.size()));
  }
  run.charge_text(out.size());
  return out;
}

Text pad(Interpreter& run, const Text& text, int64_t width, std::string_view fill, Side text_at) {
  const int64_t missing = width - count_characters(text.bytes());
  if (missing <= 0) return text;
  if (missing > kMaxBytes) check_size(kMaxBytes + 1);
  run.charge_text(text.size() + static_cast<size_t>(missing) * fill.size());
  int64_t before = text_at == Side::left ? 0 : missing;
  if (text_at == Side::both) before = missing / 2 + (missing & width & 1);
  Text out;
  const auto add = [&](int64_t count) {
    std::string spaces;
    for (int64_t i = 0; i < count; ++i) spaces += fill;
    out.append(spaces, kFromTemplate);
  };
  add(before);
  out.append(text);
  add(missing - before);
  return out;
}

namespace {

// Without white space around it and single underscores between digits; nullopt when there are others.
std::optional<std::string> clean_number(std::string_view text) {
  const Text stripped = strip(Text(std::string(text)), Side::both);
  std::string out;
  const std::string& s = stripped.bytes();
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '_') {
      out.push_back(s[i]);
    } else if (i == 0 || i + 1 == s.size() || std::isalnum(static_cast<unsigned char>(s[i - 1])) == 0 ||
               std::isalnum(static_cast<unsigned char>(s[i + 1])) == 0) {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  const auto clean = clean_number(text);
  if (!clean) return std::nullopt;
  std::string_view digits = *clean;
  const bool negative = digits.starts_with("-");
  if (negative || digits.starts_with("+")) digits.remove_prefix(1);
  const char mark = digits.size() > 2 && digits[0] == '0' ? static_cast<char>(digits[1] | 0x20) : '\0';
  const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  if (marked != 0 && (base == 0 || base == marked)) {
    digits.remove_prefix(2);
    base = marked;
  } else if (base == 0) {
    base = 10;
  }
  uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (result.ptr != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  if (result.ec != std::errc() || value > static_cast<uint64_t>(INT64_MAX))
    raise("an integer does not fit in 64 bits");
  return negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
}

std::optional<double> parse_real(std::string_view text) {
  const auto clean = clean_number(text);
  if (!clean) return std::nullopt;
  std::string_view digits = *clean;
  const bool negative = digits.starts_with("-");
  if (negative || digits.starts_with("+")) digits.remove_prefix(1);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+' || digits.find('(') != std::string_view::npos) {
    return std::nullopt;
  }
  double value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ptr != digits.data() + digits.size() || result.ec == std::errc::invalid_argument)
    return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    value = std::strtod(std::string(digits).c_str(), nullptr);  // infinity or zero, as Python has it
  }
  return negative ? -value : value;
}

int64_t truncated(double value) {
  if (!(value > -9.2e18 && value < 9.2e18)) raise("{} does not fit in a 64-bit integer", repr_real(value));
  return static_cast<int64_t>(value);
}

}  // namespace fettle::jinja
