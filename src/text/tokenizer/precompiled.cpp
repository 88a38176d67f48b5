// SentencePiece's precompiled character map: a double-array trie (the Darts layout) from UTF-8 sequences to
// offsets into a block of zero-terminated replacements. Format: sentencepiece, src/normalizer.cc.
#include "text/tokenizer/precompiled.h"

#include <utf8proc.h>

#include <cstring>

#include "base/error.h"
#include "text/tokenizer/normalizer.h"
#include "text/unicode/unicode.h"

namespace fettle {

CharacterMap::CharacterMap(std::string_view bytes, std::string_view where) {
  uint32_t trie_bytes = 0;
  if (bytes.size() < 4) fail(where, "precompiled_charsmap has {} bytes, needs at least 4", bytes.size());
  std::memcpy(&trie_bytes, bytes.data(), 4);
  if (trie_bytes > bytes.size() - 4 || trie_bytes % 4 != 0) {
    fail(where, "precompiled_charsmap says its trie has {} bytes, but {} follow", trie_bytes,
         bytes.size() - 4);
  }
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), bytes.data() + 4, trie_bytes);
  replacements_ = bytes.substr(4 + trie_bytes);
}

void CharacterMap::prefixes(std::string_view text,
                            const std::function<bool(size_t, std::string_view)>& found) const {
  // Unit layout: bit 31 leaf value flag, bits 10-30 offset (bit 9: shifted by 8), bit 8 has a leaf, bits 0-7
  // label.
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  if (units_.empty()) return;
  size_t node = offset(units_[0]);
  for (size_t at = 0; at < text.size(); ++at) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte == 0) return;
    node ^= byte;
    if (node >= units_.size()) return;
    const uint32_t unit = units_[node];
    if ((unit & (1u << 31 | 0xff)) != byte) return;
    node ^= offset(unit);
    if ((unit >> 8 & 1) == 0) continue;
    if (node >= units_.size()) return;
    const uint32_t value = units_[node] & ~(1u << 31);
    if (value >= replacements_.size()) return;
    const size_t end = replacements_.find('\0', value);
    const std::string_view replacement =
        std::string_view(replacements_).substr(value, end == std::string::npos ? end : end - value);
    // A damaged map could cut characters, of the text or of its own.
    const bool whole = at + 1 == text.size() || (static_cast<uint8_t>(text[at + 1]) & 0xc0) != 0x80;
    if (!whole || unicode::valid_prefix(replacement) != replacement.size()) continue;
    if (!found(at + 1, replacement)) return;
  }
}

std::optional<std::string_view> CharacterMap::longest(std::string_view text, size_t& length) const {
  std::optional<std::string_view> best;
  prefixes(text, [&](size_t size, std::string_view replacement) {
    best = replacement;
    length = size;
    return true;
  });
  return best;
}

namespace {

/// As the `tokenizers` library applies the map: whole grapheme clusters of up to 5 bytes first, then
/// characters; the shortest entry that starts the piece replaces all of it.
class Precompiled final : public Normalizer {
 public:
  Precompiled(std::string_view bytes, std::string_view where) : map_(bytes, where) {}

  void apply(AlignedText& text) const override {
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.size() + 16);
    const std::string_view view = text.view();
    for (size_t at = 0; at < view.size();) {
      const size_t end = cluster_end(view, at);
      if (end - at < 6) {
        if (const auto replacement = shortest(view.substr(at, end - at))) {
          rewrite.put(*replacement, text, static_cast<uint32_t>(at));
          at = end;
          continue;
        }
      }
      while (at < end) {
        const size_t length = unicode::length(view[at]);
        const auto replacement = shortest(view.substr(at, length));
        const auto start = static_cast<uint32_t>(at);
        rewrite.put(replacement ? *replacement : view.substr(at, length), text, start);
        at += length;
      }
    }
    text.replace(std::move(rewrite));
  }

 private:
  static size_t cluster_end(std::string_view text, size_t at) {
    utf8proc_int32_t state = 0;
    auto previous = static_cast<utf8proc_int32_t>(unicode::next(text, at));
    while (at < text.size()) {
      size_t behind = at;
      const auto code = static_cast<utf8proc_int32_t>(unicode::next(text, behind));
      if (utf8proc_grapheme_break_stateful(previous, code, &state)) break;
      previous = code;
      at = behind;
    }
    return at;
  }
  std::optional<std::string_view> shortest(std::string_view piece) const {
    std::optional<std::string_view> first;
    map_.prefixes(piece, [&](size_t, std::string_view replacement) {
      first = replacement;
      return false;
    });
    return first;
  }
  CharacterMap map_;
};

}  // namespace

std::unique_ptr<Normalizer> make_precompiled(std::string_view bytes, std::string_view where) {
  return std::make_unique<Precompiled>(bytes, where);
}

}  // namespace fettle
