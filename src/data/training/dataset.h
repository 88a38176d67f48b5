#pragma once
// A training set in one call: files → rows → examples → token ids, in the files' order; on disk, or for small ones in memory.
#include <cstdint>
#include <string>
#include <vector>

#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/training/data_source.h"
#include "data/training/token_cache.h"
#include "data/training/tokenize.h"

namespace fettle::data {

struct TokenSetOptions {
  TokenizeOptions tokenize;
  uint64_t seed = 0;         ///< chooses the rows of fractional weights
  int64_t piece_length = 0;  ///< texts become pieces of so many tokens; 0: they stay whole
  TokenCacheOptions cache;
  int64_t part_bytes = 0;    ///< TokenRecipe::part_bytes; 0: its own
};

/// A training set as token ids on disk, found in the cache or made now (training/token_cache.h). Rows that cannot be used are
/// kept with the set; Error when nothing is left, naming the reasons and the first few rows. `chat` may be null with
/// options.raw. Tokenizer and template must outlive the call alone.
/// For sft and weighted-sft; {"text"} rows are taken whole with EOS.
std::shared_ptr<const TokenizedSet> sequence_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat,
                                             const TokenSetOptions& options);
/// For pretrain: {"text"} rows, or conversations rendered as text, every token supervised.
std::shared_ptr<const TokenizedSet> text_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options);
/// For dpo and its relatives. UltraFeedback rows are binarised by the corrected rule of data/rows/binarize.h.
std::shared_ptr<const TokenizedSet> pair_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options);
/// For kto; a pair counts as one desirable and one undesirable row.
std::shared_ptr<const TokenizedSet> judged_set(const std::vector<DataSource>& sources, const Tokenizer& tokenizer, const ChatTemplate* chat, const TokenSetOptions& options);

/// All rows of a training set in memory, in file order. `classes` names TokenSequence::group.
template <typename T>
struct Tokenized {
  std::vector<T> rows;
  TokenizeReport report;
  ReadReport read;
  ColumnReport columns;
  int64_t equal_answers = 0;  ///< pairs whose answers have the same tokens: nothing is learnt from them
  std::vector<std::string> classes;
  std::string
      hash;  ///< of everything that decides the rows (token ids, weights, ids), for caches and lineage
};

/// The same in memory, for small sets. Rows that cannot be used go to `rejected`.
Tokenized<TokenSequence> load_sequences(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                                   const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                                   RejectedRows& rejected);
Tokenized<TokenSequence> load_texts(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                               const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                               RejectedRows& rejected);
Tokenized<Pair> load_pairs(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                           RejectedRows& rejected);
Tokenized<Judged> load_judged(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                              const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                              RejectedRows& rejected);

}  // namespace fettle::data
