#include "text/tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <new>
#include <vector>

#include "base/base64.h"
#include "text/unicode/byte_level.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

/// Rewrites character by character.
class CharacterRewriter : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.size() + 16);
    std::string made;
    for (size_t at = 0; at < text.size();) {
      const auto start = static_cast<uint32_t>(at);
      made.clear();
      write(unicode::next(text.view(), at), made);
      rewrite.put(made, text, start);
    }
    text.replace(std::move(rewrite));
  }

 protected:
  virtual void write(char32_t code, std::string& out) const = 0;
};

class Lowercase final : public CharacterRewriter {
 protected:
  void write(char32_t code, std::string& out) const override {
    // The one character whose full lower case is two characters.
    if (code == 0x130) {
      out += "i\xcc\x87";
    } else {
      unicode::append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
    }
  }
};

bool is_nonspacing(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code)) == UTF8PROC_CATEGORY_MN;
}

class StripAccents final : public CharacterRewriter {
 protected:
  void write(char32_t code, std::string& out) const override {
    if ((unicode::classes(code) & unicode::kMark) == 0) unicode::append(out, code);
  }
};

class DropNonspacing final : public CharacterRewriter {
 protected:
  void write(char32_t code, std::string& out) const override {
    if (!is_nonspacing(code)) unicode::append(out, code);
  }
};

/// The character clean-up of NMT corpora: drops control characters, makes odd spaces plain.
class Nmt final : public CharacterRewriter {
 protected:
  void write(char32_t code, std::string& out) const override {
    const bool dropped = (code >= 1 && code <= 8) || code == 0xb || (code >= 0xe && code <= 0x1f) ||
                         code == 0x7f || code == 0x8f || code == 0x9f;
    if (dropped) return;
    const bool space = code == 9 || code == 0xa || code == 0xc || code == 0xd || code == 0x1680 ||
                       (code >= 0x200b && code <= 0x200f) || code == 0x2028 || code == 0x2029 ||
                       code == 0x2581 || code == 0xfeff || code == 0xfffd;
    if (space) {
      out.push_back(' ');
    } else {
      unicode::append(out, code);
    }
  }
};

class BertClean final : public CharacterRewriter {
 public:
  BertClean(bool clean, bool chinese) : clean_(clean), chinese_(chinese) {}

 protected:
  void write(char32_t code, std::string& out) const override {
    if (clean_ && (code == 0 || code == 0xfffd || unicode::is_control(code))) return;
    if (clean_ && (unicode::classes(code) & unicode::kSpace) != 0) {
      out.push_back(' ');
    } else if (chinese_ && is_chinese(code)) {
      out.push_back(' ');
      unicode::append(out, code);
      out.push_back(' ');
    } else {
      unicode::append(out, code);
    }
  }

 private:
  static bool is_chinese(char32_t code) {
    return (code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) ||
           (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
           (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b920 && code <= 0x2ceaf) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f);
  }
  bool clean_, chinese_;
};

class SpellBytes final : public Normalizer {
 public:
  void apply(AlignedText& text) const override {
    AlignedText::Rewrite rewrite;
    for (uint32_t at = 0; at < text.size(); ++at) {
      rewrite.put(byte_level::spelling(static_cast<uint8_t>(text.view()[at])), text, at);
    }
    text.replace(std::move(rewrite));
  }
};

/// NFC, NFD, NFKC, NFKD. Works on stretches between characters that nothing combines with.
class UnicodeForm final : public Normalizer {
 public:
  explicit UnicodeForm(int options) : options_(options) {}
  void apply(AlignedText& text) const override {
    const std::string_view view = text.view();
    if (std::all_of(view.begin(), view.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; })) return;
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(view.size() + 16);
    for (uint32_t at = 0; at < text.size();) {
      uint32_t end = at;
      while (end < text.size() && is_plain(view, end)) ++end;
      if (at < end) rewrite.copy(text, at, end);
      at = end;
      while (end < text.size() && !is_plain(view, end))
        end += static_cast<uint32_t>(unicode::length(view[end]));
      if (at < end) stretch(text, {at, end}, rewrite);
      at = end;
    }
    text.replace(std::move(rewrite));
  }

 private:
  /// An ASCII character that no mark follows.
  static bool is_plain(std::string_view text, size_t at) {
    const auto ascii = [&](size_t i) { return i >= text.size() || static_cast<uint8_t>(text[i]) < 0x80; };
    return ascii(at) && ascii(at + 1);
  }
  /// Segments end before each starter that cannot compose backwards, so that origins stay close.
  void stretch(const AlignedText& text, Span span, AlignedText::Rewrite& rewrite) const {
    const std::string_view view = text.view(span);
    size_t at = 0;
    while (at < view.size()) {
      size_t end = at;
      unicode::next(view, end);
      while (end < view.size()) {
        size_t behind = end;
        if (is_boundary(unicode::next(view, behind))) break;
        end = behind;
      }
      utf8proc_uint8_t* made = nullptr;
      const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(view.data() + at),
                                     static_cast<utf8proc_ssize_t>(end - at), &made,
                                     static_cast<utf8proc_option_t>(options_));
      if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
      if (size < 0) fail("normalizer", "{}", utf8proc_errmsg(size));
      rewrite.put({reinterpret_cast<const char*>(made), static_cast<size_t>(size)}, text,
                  span.begin + static_cast<uint32_t>(at));
      std::free(made);
      at = end;
    }
  }
  static bool is_boundary(char32_t code) {
    if (code < 0x300) return true;
    const bool jamo = code >= 0x1160 && code <= 0x11ff;
    if (jamo || (unicode::classes(code) & unicode::kMark) != 0) return false;
    const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
    return property->combining_class == 0 && property->decomp_seqindex == UINT16_MAX;
  }
  int options_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(AlignedText& text) const override {
    if (text.size() == 0) return;
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.size() + prefix_.size());
    rewrite.put(prefix_, text, 0);
    rewrite.copy(text, 0, text.size());
    text.replace(std::move(rewrite));
  }

 private:
  std::string prefix_;
};

class ReplaceString final : public Normalizer {
 public:
  ReplaceString(std::string content, std::string replacement)
      : content_(std::move(content)), replacement_(std::move(replacement)) {}
  void apply(AlignedText& text) const override {
    if (content_.empty()) return;
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.size() + text.size() / 4);
    size_t done = 0;
    for (size_t at = text.view().find(content_); at != std::string_view::npos;
         at = text.view().find(content_, done)) {
      rewrite.copy(text, static_cast<uint32_t>(done), static_cast<uint32_t>(at));
      rewrite.put(replacement_, text, static_cast<uint32_t>(at));
      done = at + content_.size();
    }
    if (done == 0) return;
    rewrite.copy(text, static_cast<uint32_t>(done), text.size());
    text.replace(std::move(rewrite));
  }

 private:
  std::string content_, replacement_;
};

class ReplaceRegex final : public Normalizer {
 public:
  ReplaceRegex(std::string_view pattern, std::string replacement, std::string_view where)
      : regex_(pattern, where), replacement_(std::move(replacement)) {}
  void apply(AlignedText& text) const override {
    AlignedText::Rewrite rewrite;
    uint32_t done = 0;
    bool any = false;
    regex_.each(text.view(), [&](size_t begin, size_t end) {
      any = true;
      rewrite.copy(text, done, static_cast<uint32_t>(begin));
      rewrite.put(replacement_, text, static_cast<uint32_t>(begin));
      done = static_cast<uint32_t>(end);
    });
    if (!any) return;
    rewrite.copy(text, done, text.size());
    text.replace(std::move(rewrite));
  }

 private:
  Regex regex_;
  std::string replacement_;
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(AlignedText& text) const override {
    const std::string_view view = text.view();
    size_t begin = 0, end = view.size();
    while (left_ && begin < end) {
      size_t behind = begin;
      if ((unicode::classes(unicode::next(view, behind)) & unicode::kSpace) == 0) break;
      begin = behind;
    }
    while (right_ && end > begin) {
      const size_t start = unicode::previous(view, end);
      size_t position = start;
      if ((unicode::classes(unicode::next(view, position)) & unicode::kSpace) == 0) break;
      end = start;
    }
    if (begin == 0 && end == view.size()) return;
    AlignedText::Rewrite rewrite;
    rewrite.copy(text, static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
    text.replace(std::move(rewrite));
  }

 private:
  bool left_, right_;
};

class Sequence final : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> stages) : stages_(std::move(stages)) {}
  void apply(AlignedText& text) const override {
    for (const auto& stage : stages_) {
      if (stage) stage->apply(text);
    }
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> stages_;
};

std::unique_ptr<Normalizer> make_replace(const Json& description, std::string_view where) {
  const Json pattern = json_get<Json>(description, "pattern", where);
  auto replacement = json_get<std::string>(description, "content", where);
  if (pattern.contains("String")) {
    return std::make_unique<ReplaceString>(json_get<std::string>(pattern, "String", where),
                                           std::move(replacement));
  }
  return std::make_unique<ReplaceRegex>(json_get<std::string>(pattern, "Regex", where),
                                        std::move(replacement), where);
}

std::unique_ptr<Normalizer> make_form(std::string_view kind) {
  int options = UTF8PROC_STABLE | (kind.ends_with('C') ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (kind.starts_with("NFK")) options |= UTF8PROC_COMPAT;
  return std::make_unique<UnicodeForm>(options);
}

std::unique_ptr<Normalizer> make_bert(const Json& description, std::string_view where) {
  std::vector<std::unique_ptr<Normalizer>> stages;
  const bool lowercase = json_get_or(description, "lowercase", true, where);
  stages.push_back(
      std::make_unique<BertClean>(json_get_or(description, "clean_text", true, where),
                                  json_get_or(description, "handle_chinese_chars", true, where)));
  if (json_get_or(description, "strip_accents", lowercase, where)) {
    stages.push_back(make_form("NFD"));
    stages.push_back(std::make_unique<DropNonspacing>());
  }
  if (lowercase) stages.push_back(std::make_unique<Lowercase>());
  return std::make_unique<Sequence>(std::move(stages));
}

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const Json& description, std::string_view where) {
  if (description.is_null()) return nullptr;
  const auto kind = json_get<std::string>(description, "type", where);
  if (kind == "Sequence") {
    std::vector<std::unique_ptr<Normalizer>> stages;
    for (const Json& stage : json_get<std::vector<Json>>(description, "normalizers", where)) {
      stages.push_back(make_normalizer(stage, where));
    }
    return std::make_unique<Sequence>(std::move(stages));
  }
  if (kind == "NFC" || kind == "NFD" || kind == "NFKC" || kind == "NFKD") return make_form(kind);
  if (kind == "Lowercase") return std::make_unique<Lowercase>();
  if (kind == "StripAccents") return std::make_unique<StripAccents>();
  if (kind == "Nmt") return std::make_unique<Nmt>();
  if (kind == "ByteLevel") return std::make_unique<SpellBytes>();
  if (kind == "BertNormalizer") return make_bert(description, where);
  if (kind == "Prepend")
    return std::make_unique<Prepend>(json_get<std::string>(description, "prepend", where));
  if (kind == "Replace") return make_replace(description, where);
  if (kind == "Strip") {
    return std::make_unique<Strip>(json_get_or(description, "strip_left", true, where),
                                   json_get_or(description, "strip_right", true, where));
  }
  if (kind == "Precompiled") {
    return make_precompiled(
        decode_base64(json_get<std::string>(description, "precompiled_charsmap", where), where), where);
  }
  fail(where, "the type '{}' is not supported", kind);
}

}  // namespace fettle
