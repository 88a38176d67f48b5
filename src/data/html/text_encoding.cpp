#include "data/html/text_encoding.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "base/error.h"
#include "text/unicode/unicode.h"
#include "text/unicode/wide_text.h"

namespace fettle::data {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// An iconv descriptor that gives UTF-8.
class Converter {
 public:
  explicit Converter(const std::string& from) : handle_(::iconv_open("UTF-8", from.c_str())) {
    if (handle_ == reinterpret_cast<iconv_t>(intptr_t{-1})) {
      throw Error(Error::Kind::io,
                  "iconv does not know " + from + ": are the C library's conversion tables installed?");
    }
  }
  ~Converter() { ::iconv_close(handle_); }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  /// Takes bytes off `from` until its end (true) or until one that means nothing.
  bool convert(std::string_view& from, std::string& to) {
    char* in = const_cast<char*>(from.data());
    size_t left = from.size();
    bool whole = true;
    for (bool again = true; again;) {
      char buffer[4096];
      char* out = buffer;
      size_t room = sizeof buffer;
      // The second form hands out what the converter holds back.
      const bool flush = left == 0;
      const size_t status = ::iconv(handle_, flush ? nullptr : &in, flush ? nullptr : &left, &out, &room);
      const int reason = status == static_cast<size_t>(-1) ? errno : 0;
      to.append(buffer, sizeof buffer - room);
      whole = reason == 0 || reason == E2BIG;
      again = whole && !(flush && reason == 0);
    }
    from.remove_prefix(from.size() - left);
    return whole;
  }

 private:
  iconv_t handle_;
};

/// What the bytes from 0x80 on mean; 0 for nothing.
using HighHalf = std::array<uint32_t, 128>;

struct Correction {
  std::string_view encoding;
  uint8_t byte;
  uint32_t character;
};
/// Where the standard's tables are younger than glibc's.
constexpr Correction corrections[] = {
    {"koi8-u", 0xAE, 0x045E},    {"koi8-u", 0xBE, 0x040E},         {"macintosh", 0xC6, 0x2206},
    {"macintosh", 0xF0, 0xF8FF}, {"x-mac-cyrillic", 0xFF, 0x20AC}, {"windows-1255", 0xCA, 0x05BA},
};

std::string charset_of_single(std::string_view encoding) {
  if (encoding == "iso-8859-8-i") return "ISO-8859-8";
  if (encoding == "x-mac-cyrillic") return "MAC-UK";
  std::string name(encoding);
  if (encoding.starts_with("windows-")) name = "CP" + name.substr(std::strlen("windows-"));
  return name;
}

HighHalf make_high_half(std::string_view encoding) {
  HighHalf table{};
  const std::string charset = charset_of_single(encoding);
  for (uint32_t i = 0; i < table.size(); ++i) {
    // A converter for each byte: some put a letter and the accent behind it together, the standard does not.
    Converter converter(charset);
    const char byte = static_cast<char>(0x80 + i);
    std::string_view one(&byte, 1);
    std::string utf8;
    const bool known = converter.convert(one, utf8) && !utf8.empty();
    if (known) {
      table[i] = first_character(utf8);
    } else if (i < 0x20) {
      table[i] = 0x80 + i;
    }
  }
  for (const auto& correction : corrections) {
    if (correction.encoding == encoding) table[correction.byte - 0x80u] = correction.character;
  }
  return table;
}

const HighHalf& high_half(std::string_view encoding) {
  static std::mutex mutex;
  static std::map<std::string, HighHalf, std::less<>> tables;
  const std::lock_guard lock(mutex);
  const auto found = tables.find(encoding);
  if (found != tables.end()) return found->second;
  return tables.emplace(encoding, make_high_half(encoding)).first->second;
}

void decode_single(std::string_view encoding, std::string_view bytes, DecodedText& out) {
  const HighHalf& table = high_half(encoding);
  out.text.reserve(bytes.size() + bytes.size() / 2);
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80) {
      out.text += c;
    } else if (table[byte - 0x80u] == 0) {
      out.text += replacement;
      ++out.replaced;
    } else {
      append_utf8(table[byte - 0x80u], out.text);
    }
  }
}

void decode_multiple(const std::string& charset, std::string_view bytes, DecodedText& out) {
  Converter converter(charset);
  out.text.reserve(bytes.size() * 3 / 2);
  while (!converter.convert(bytes, out.text)) {
    if (bytes.empty()) break;
    const auto lead = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    if (lead == 0x80 && charset == "GB18030") {
      append_utf8(0x20AC, out.text);
    } else if (lead == 0x80 && charset == "CP932") {
      append_utf8(0x80, out.text);
    } else {
      // A second byte that could stand alone is read again, as the standard wants it.
      if (!bytes.empty() && static_cast<uint8_t>(bytes.front()) >= 0x80 && lead >= 0x80)
        bytes.remove_prefix(1);
      out.text += replacement;
      ++out.replaced;
      if (lead < 0x80) out.text += static_cast<char>(lead);  // iconv had skipped the broken code itself
    }
  }
}

/// ISO-2022-JP says with escapes what EUC-JP says with high bits.
std::string as_euc_jp(std::string_view bytes) {
  enum { ascii, kana, kanji } set = ascii;
  std::string euc;
  euc.reserve(bytes.size() + bytes.size() / 8);
  for (size_t at = 0; at < bytes.size(); ++at) {
    const auto escape = bytes.substr(at, 3);
    const auto c = static_cast<uint8_t>(bytes[at]);
    if (escape == "\x1b(B" || escape == "\x1b(J") {
      set = ascii;
    } else if (escape == "\x1b(I") {
      set = kana;
    } else if (escape == "\x1b$B" || escape == "\x1b$@") {
      set = kanji;
    } else if (set == kanji && c > 0x20 && c < 0x7F && at + 1 < bytes.size() && bytes[at + 1] > 0x20) {
      euc += static_cast<char>(c | 0x80);
      euc += static_cast<char>(bytes[++at] | '\x80');
      continue;
    } else {
      if (set == kana && c > 0x20 && c < 0x60) {
        euc += '\x8e';
        euc += static_cast<char>(c | 0x80);
      } else {
        euc += static_cast<char>(c < 0x80 ? c : 0xFF);
      }
      if (c == '\n') set = ascii;
      continue;
    }
    at += 2;
  }
  return euc;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

int64_t count_of(std::string_view text, std::string_view wanted) {
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != std::string_view::npos;
       at = text.find(wanted, at + wanted.size()))
    ++count;
  return count;
}

void decode_wide(bool big_endian, std::string_view bytes, DecodedText& out) {
  WideText wide(2, big_endian);
  wide.append(bytes, out.text);
  wide.finish(out.text);
  out.replaced = wide.replaced();
}

void count(DecodedText& out) {
  const std::string& text = out.text;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    out.beyond_ascii += byte >= 0xC0;
    out.controls += byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0;
  }
}

}  // namespace

DecodedText decode_text(std::string_view encoding, std::string_view bytes) {
  DecodedText out;
  if (encoding == "utf-8") {
    out.text = unicode::lossy(bytes);
    out.replaced = count_of(out.text, replacement) - count_of(bytes, replacement);
  } else if (encoding == "utf-16le" || encoding == "utf-16be") {
    decode_wide(encoding == "utf-16be", bytes, out);
  } else if (encoding == "gbk" || encoding == "gb18030") {
    decode_multiple("GB18030", bytes, out);
    replace_all(out.text, "\uE5E5", "\u3000");  // the ideographic space of old Chinese systems
  } else if (encoding == "big5") {
    decode_multiple("BIG5-HKSCS", bytes, out);
  } else if (encoding == "euc-kr") {
    decode_multiple("UHC", bytes, out);
  } else if (encoding == "shift_jis") {
    decode_multiple("CP932", bytes, out);
  } else if (encoding == "euc-jp") {
    decode_multiple("EUC-JP-MS", bytes, out);
  } else if (encoding == "iso-2022-jp") {
    decode_multiple("EUC-JP-MS", as_euc_jp(bytes), out);
  } else if (encoding == "x-user-defined") {
    for (const char c : bytes)
      append_utf8(
          static_cast<uint8_t>(c) < 0x80 ? static_cast<uint8_t>(c) : 0xF700u + static_cast<uint8_t>(c),
          out.text);
  } else {
    decode_single(encoding, bytes, out);
  }
  count(out);
  return out;
}

}  // namespace fettle::data
