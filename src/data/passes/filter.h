#pragma once
// `fettle data filter`: rows kept by field, size, language, quality, benchmarks' questions and phrases, with an
// account of what every phrase removed.
#include <cstdint>
#include <string>
#include <vector>

#include "data/passes/pass.h"
#include "data/signals/decontaminate.h"
#include "data/signals/phrases.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::data {

/// A top-level field's text against a value: {"model", "Model: GPT-4", false}. A missing field is "".
struct FieldRule {
  std::string field, value;
  bool negate = false;
  /// "model=Model: GPT-4" or "model!=x"; Error(usage) otherwise.
  static FieldRule parse(const std::string& text);
};

struct FilterOptions {
  std::vector<FieldRule> fields;  ///< all must hold
  /// Bounds of the row's texts together; 0 = none. Characters are code points; turns are those that RowView
  /// counts as turns.
  int64_t min_characters = 0, max_characters = 0, min_turns = 0, max_turns = 0;
  const Tokenizer* tokenizer =
      nullptr;  ///< for the bounds on tokens (of the texts alone, without a template)
  int64_t min_tokens = 0, max_tokens = 0;
  /// ISO 639 codes; of all texts together. Both empty: any.
  std::vector<std::string> keep_languages, skip_languages;
  double min_confidence = 0;  ///< of the language that is kept
  fs::path fasttext;          ///< a fastText model instead of CLD2
  double max_repetition = 1;  ///< share of five-word runs that stood in the text before, of any text
  double max_symbols = 1;     ///< share of characters that are neither letters, digits nor spaces, of all texts
  double max_non_ascii = 1;   ///< share of characters beyond ASCII, of all texts
  int64_t max_digit_run = 0;  ///< the same digit so often in a row is too much; 0 = any
  DecontaminateOptions decontaminate;  ///< no benchmarks: off
  std::vector<std::string> phrases;
  /// Which texts are searched: roles ("assistant", "user", "system", "text"), keys of the row ("output"), or
  /// "all". Empty: assistant, and text.
  std::vector<std::string> phrase_fields;
  enum class OnPhrase {
    drop_row,
    drop_pair,    ///< the question and its answer leave the conversation; without turns left the row goes
    zero_weight,  ///< the turn stays and gets "weight": 0 (messages and ShareGPT rows)
  } on_phrase = OnPhrase::drop_row;
};

/// What one phrase did. A hit is counted once per text.
struct PhraseUse {
  std::string phrase;
  int64_t rows = 0;             ///< with the phrase
  int64_t alone = 0;            ///< rows that no other phrase would have removed
  int64_t user_texts = 0;       ///< texts of users that hold it, searched or not
  int64_t assistant_texts = 0;  ///< all others
  int64_t refusals =
      0;  ///< of these, with a sign of refusal ("I cannot", "as an AI", …) in the sentence of the hit

  /// Most hits lie in users' turns, or in sentences that refuse nothing.
  bool doubtful() const;
};

/// The report's "phrases" lists what each phrase did, most rows first; "doubtful_rows" estimates the false
/// alarms: rows that only doubtful phrases removed.
PassReport filter_rows(const PassFiles& files, const FilterOptions& options);

}  // namespace fettle::data
