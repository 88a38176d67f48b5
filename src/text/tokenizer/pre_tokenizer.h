#pragma once
// Pre-tokenizers as tokenizer.json describes them: cut a normalized text into words.
#include <memory>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/unicode/aligned_text.h"

namespace fettle {

struct PreTokenized {
  AlignedText& text;
  std::vector<Span> words;  ///< in order, not overlapping, none empty
};

/// Immutable; apply() is safe to call from many threads.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(PreTokenized& text) const = 0;
};

/// From the value of the key "pre_tokenizer" (null: nullptr). Error naming `where` for kinds that are not
/// known. With `keep_bytes` a final ByteLevel leaves the bytes of each word as they are instead of spelling
/// them (for models that work on bytes).
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Json& description, std::string_view where,
                                                 bool keep_bytes);

/// Whether the last stage of the description is ByteLevel.
bool ends_with_byte_level(const Json& description);

/// What becomes of the matches of a pattern ("Split", "Punctuation").
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
SplitBehavior parse_split_behavior(std::string_view name, std::string_view where);

struct MatchPiece {
  Span span;
  bool matched;
};
/// `pieces` cover a word in order; the words that `behavior` makes of them are appended to `out`.
void split_by(const std::vector<MatchPiece>& pieces, SplitBehavior behavior, std::vector<Span>& out);

}  // namespace fettle
