#include "data/html/page_encoding.h"

#include <simdjson.h>
#include <uchardet/uchardet.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/white_space.h"
#include "data/html/encoding_labels.h"
#include "data/html/text_encoding.h"
#include "text/unicode/wide_text.h"

namespace fettle::data {
namespace {

/// A browser looks at 1024 bytes first, and starts again where a declaration comes later: so far is looked at
/// once.
constexpr size_t looked_at = size_t{16} << 10;
constexpr size_t guessed_from = size_t{1} << 20;

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}
bool starts_with_lowered(std::string_view text, std::string_view wanted) {
  return text.size() >= wanted.size() &&
         std::equal(wanted.begin(), wanted.end(), text.begin(), [](char a, char b) { return a == lower(b); });
}
void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_html_space(text.front())) text.remove_prefix(1);
}

struct Attribute {
  std::string name, value;
};

/// Takes an attribute off a tag; false at its end.
bool take_attribute(std::string_view& tag, Attribute& attribute) {
  while (!tag.empty() && (is_html_space(tag.front()) || tag.front() == '/')) tag.remove_prefix(1);
  if (tag.empty() || tag.front() == '>') return false;
  attribute = {};
  while (!tag.empty() && !is_html_space(tag.front()) && tag.front() != '/' && tag.front() != '>' &&
         !(tag.front() == '=' && !attribute.name.empty())) {
    attribute.name += lower(tag.front());
    tag.remove_prefix(1);
  }
  skip_blanks(tag);
  if (!tag.starts_with('=')) return true;
  tag.remove_prefix(1);
  skip_blanks(tag);
  if (tag.starts_with('"') || tag.starts_with('\'')) {
    const size_t end = std::min(tag.find(tag.front(), 1), tag.size());
    attribute.value = tag.substr(1, end - 1);
    tag.remove_prefix(std::min(end + 1, tag.size()));
  } else {
    const size_t end = std::min(tag.find_first_of(" \t\n\f\r>"), tag.size());
    attribute.value = tag.substr(0, end);
    tag.remove_prefix(end);
  }
  std::transform(attribute.value.begin(), attribute.value.end(), attribute.value.begin(), lower);
  return true;
}

/// The label in "text/html; charset = x", quoted or not.
std::string label_in_content(std::string_view content) {
  for (size_t at = content.find("charset"); at != std::string_view::npos; at = content.find("charset", at)) {
    at += 7;
    std::string_view rest = content.substr(at);
    skip_blanks(rest);
    if (!rest.starts_with('=')) continue;
    rest.remove_prefix(1);
    skip_blanks(rest);
    if (rest.empty()) return "";
    if (rest.front() == '"' || rest.front() == '\'') {
      const size_t end = rest.find(rest.front(), 1);
      return end == std::string_view::npos ? "" : std::string(rest.substr(1, end - 1));
    }
    return std::string(rest.substr(0, rest.find_first_of("; \t\n\f\r")));
  }
  return "";
}

/// What a declaration inside the page means: it was read byte by byte, so it cannot be in UTF-16.
std::string_view as_declared_inside(std::string_view encoding) {
  if (encoding.starts_with("utf-16")) return "utf-8";
  if (encoding == "x-user-defined") return "windows-1252";
  return encoding;
}

/// Takes the attributes of <meta off `text`; "" when it declares nothing.
std::string_view take_meta(std::string_view& text) {
  bool is_pragma = false;
  std::string charset, content;
  std::vector<std::string> seen;
  for (Attribute attribute; take_attribute(text, attribute);) {
    if (std::find(seen.begin(), seen.end(), attribute.name) != seen.end()) continue;
    seen.push_back(attribute.name);
    if (attribute.name == "http-equiv") is_pragma = attribute.value == "content-type";
    if (attribute.name == "content") content = label_in_content(attribute.value);
    if (attribute.name == "charset") charset = attribute.value;
  }
  const std::string& label = !charset.empty() ? charset : is_pragma ? content : charset;
  return as_declared_inside(encoding_of_label(label));
}

/// Of <?xml version="1.0" encoding="x"?>.
std::string_view encoding_of_xml(std::string_view text) {
  if (!text.starts_with("<?xml")) return "";
  text = text.substr(0, text.find('>'));
  size_t at = text.find("encoding");
  if (at == std::string_view::npos) return "";
  text.remove_prefix(at + 8);
  while (!text.empty() && static_cast<uint8_t>(text.front()) <= ' ') text.remove_prefix(1);
  if (!text.starts_with('=')) return "";
  text.remove_prefix(1);
  while (!text.empty() && static_cast<uint8_t>(text.front()) <= ' ') text.remove_prefix(1);
  if (!text.starts_with('"') && !text.starts_with('\'')) return "";
  const size_t end = text.find(text.front(), 1);
  return end == std::string_view::npos ? "" : as_declared_inside(encoding_of_label(text.substr(1, end - 1)));
}

/// libuchardet's guess by the standard's name; "" when it has none that the standard knows.
std::string_view guess_encoding(std::string_view bytes) {
  const std::unique_ptr<uchardet, decltype(&uchardet_delete)> detector(uchardet_new(), &uchardet_delete);
  bytes = bytes.substr(0, guessed_from);
  if (!detector || uchardet_handle_data(detector.get(), bytes.data(), bytes.size()) != 0) throw std::bad_alloc();
  uchardet_data_end(detector.get());
  const std::string_view name = uchardet_get_charset(detector.get());
  if (name == "UHC") return "euc-kr";
  if (name == "MAC-CYRILLIC") return "x-mac-cyrillic";
  if (name == "ASCII") return "windows-1252";
  return encoding_of_label(name);
}

int64_t bad_of(const DecodedText& decoded) {
  return decoded.replaced + decoded.controls;
}
/// Beyond this a text is noise.
bool is_usable(const DecodedText& decoded) {
  constexpr int64_t a_few = 3;
  return bad_of(decoded) <= a_few || bad_of(decoded) * 20 <= decoded.beyond_ascii;
}
/// Of a hundred characters beyond ASCII two may be broken. In no other encoding do bytes fall into UTF-8's
/// patterns by chance: where most do, the rest was damaged.
bool is_likely(std::string_view encoding, const DecodedText& decoded) {
  if (bad_of(decoded) * 50 <= decoded.beyond_ascii) return true;
  return encoding == "utf-8" && decoded.replaced * 2 <= decoded.beyond_ascii && is_usable(decoded);
}

PageText page_of(std::string_view encoding, DecodedText decoded) {
  return {std::move(decoded.text), std::string(encoding), decoded.replaced, ""};
}

PageText undecodable(std::string problem) {
  PageText page;
  page.problem = std::move(problem);
  return page;
}

bool has_marks_of(std::string_view bytes, std::string_view encoding) {
  const bool escapes =
      bytes.find("\x1b$") != std::string_view::npos || bytes.find("\x1b(") != std::string_view::npos;
  return escapes || (encoding == "replacement" && bytes.find("~{") != std::string_view::npos);
}

}  // namespace

std::string_view encoding_in_head(std::string_view bytes) {
  std::string_view text = bytes.substr(0, looked_at);
  if (const auto named = encoding_of_xml(text); !named.empty()) return named;
  while (!text.empty()) {
    if (text.starts_with("<!--")) {
      const size_t end = text.find("-->", 2);  // "<!-->" is a whole comment
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 3);
    } else if (starts_with_lowered(text, "<meta") && text.size() > 5 &&
               (is_html_space(text[5]) || text[5] == '/')) {
      text.remove_prefix(5);
      const auto named = take_meta(text);
      if (!named.empty()) return named;
    } else if (text.size() > 2 && text[0] == '<' &&
               std::isalpha(static_cast<unsigned char>(text[text[1] == '/' ? 2 : 1])) != 0) {
      text.remove_prefix(std::min(text.find_first_of(" \t\n\f\r>", 1), text.size()));
      for (Attribute attribute; take_attribute(text, attribute);) {
      }
    } else if (text.size() > 1 && text[0] == '<' && (text[1] == '!' || text[1] == '/' || text[1] == '?')) {
      text.remove_prefix(std::min(text.find('>'), text.size()));
    } else {
      text.remove_prefix(1);
      text.remove_prefix(std::min(text.find('<'), text.size()));
    }
  }
  return "";
}

PageText decode_page(std::string_view bytes, std::string_view declared) {
  const bool marked = bytes.starts_with("\xEF\xBB\xBF");
  if (marked) bytes.remove_prefix(3);
  if (auto wide = WideText::found(bytes)) {
    PageText page;
    wide->append(bytes, page.text);
    wide->finish(page.text);
    page.encoding = wide->name();
    page.replaced = wide->replaced();
    if (page.replaced * 20 > static_cast<int64_t>(page.text.size()))
      return undecodable("what begins as " + page.encoding + " is none");
    return page;
  }
  if (std::count(bytes.begin(), bytes.end(), '\0') * 5 > static_cast<int64_t>(bytes.size())) {
    return undecodable("it is no text but binary data");
  }
  std::vector<std::string_view> named{encoding_of_label(declared), encoding_in_head(bytes)};
  if (marked) named = {"utf-8"};
  std::erase(named, "");
  for (const auto encoding : named) {
    if (encoding == "replacement" && has_marks_of(bytes, encoding)) {
      return undecodable("it is declared in an encoding that the Encoding Standard forbids to decode");
    }
    if (encoding == "iso-2022-jp" && has_marks_of(bytes, encoding))
      return page_of(encoding, decode_text(encoding, bytes));
  }
  if (simdjson::validate_utf8(bytes.data(), bytes.size()) && !has_marks_of(bytes, "iso-2022-jp")) {
    return {std::string(bytes), "utf-8", 0, ""};
  }
  if (named.empty()) named.push_back("utf-8");
  if (!marked) named.push_back(guess_encoding(bytes));
  PageText best;
  DecodedText best_decoded;
  bool any = false;
  for (const auto encoding : named) {
    if (encoding.empty() || encoding == "replacement") continue;
    DecodedText decoded = decode_text(encoding, bytes);
    if (is_likely(encoding, decoded)) return page_of(encoding, std::move(decoded));
    if (any && bad_of(decoded) >= bad_of(best_decoded)) continue;
    any = true;
    best.encoding = encoding;
    best_decoded = std::move(decoded);
  }
  if (!any) return undecodable("its encoding is not declared, and none was recognised");
  if (!is_usable(best_decoded)) {
    return undecodable(
        fmt::format("as {} it holds {} pieces without meaning among {} characters beyond ASCII",
                    best.encoding, bad_of(best_decoded), best_decoded.beyond_ascii));
  }
  return page_of(best.encoding, std::move(best_decoded));
}

}  // namespace fettle::data
