#pragma once
// What every fuzz target of a tokenizer does with one that opened.
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// Encodes and decodes `extra` and some fixed texts; ids must exist, and offsets must not run backwards.
inline void use_tokenizer(const Tokenizer& tokenizer, std::string_view extra) {
  const std::string fixed[] = {"The file, it's 12 or ١٢ 漢字é 🙂\n\n  x", "\xff<s>\xe6\xbc</s>▁a<0x0A>", std::string(300, 'a')};
  for (const std::string_view text : {std::string_view(fixed[0]), std::string_view(fixed[1]), std::string_view(fixed[2]), extra}) {
    try {
      const auto ids = tokenizer.encode(text, {true, true});
      for (const int32_t id : ids) FETTLE_CHECK(id >= 0 && id < tokenizer.size());
      tokenizer.decode(ids, false);
      const Tokenizer::Piece pieces[] = {{text.substr(0, text.size() / 2), true}, {text.substr(text.size() / 2), false}};
      const auto encoding = tokenizer.encode_pieces(pieces, {.add_special = true});
      FETTLE_CHECK(encoding.ids.size() == encoding.begins.size());
      for (size_t i = 0; i < encoding.begins.size(); ++i) {
        FETTLE_CHECK(encoding.begins[i] >= (i == 0 ? 0 : encoding.begins[i - 1]));
        FETTLE_CHECK(encoding.begins[i] <= static_cast<int64_t>(text.size()));
      }
    } catch (const Error&) {
    }
  }
  try {
    tokenizer.to_json();
    tokenizer.to_gguf();
  } catch (const Error&) {
  }
}

}  // namespace fettle
