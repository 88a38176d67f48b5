#pragma once
// A training set in one call: files → rows → examples → token ids, in parallel, in the files' order.
#include <cstdint>
#include <string>
#include <vector>

#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/training/tokenize.h"

namespace fettle::data {

/// One entry of a config's `data:`.
struct DataSource {
  std::vector<std::string> paths;
  Format format = Format::automatic;
  Columns columns;
  /// How often its rows come: 1 once; 0.25 a quarter of them, chosen by hash of (seed, id); 2.5 twice and a
  /// half.
  double weight = 1.0;
};

/// `data: PATH`, `{path: PATH or [PATH…], format, columns, weight}`, or a list of those. Throws Error(usage)
/// with the key and the nearest valid one.
std::vector<DataSource> data_sources_from_json(const Json& spec, std::string_view where);

/// All rows of a training set in memory, in file order. `classes` names Sequence::group.
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

/// Reads and tokenises. Rows that cannot be used go to `rejected`; Error when nothing is left, naming the
/// reasons and the first few rows. `seed` chooses the rows of fractional weights. `chat` may be null with
/// options.raw. For sft and weighted-sft; {"text"} rows are taken whole with EOS.
Tokenized<Sequence> load_sequences(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                                   const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                                   RejectedRows& rejected);
/// For pretrain: {"text"} rows, or conversations rendered as text, every token supervised.
Tokenized<Sequence> load_texts(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                               const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                               RejectedRows& rejected);
/// For dpo and its relatives. UltraFeedback rows are binarised by the corrected rule of data/rows/binarize.h.
Tokenized<Pair> load_pairs(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                           RejectedRows& rejected);
/// For kto; a pair counts as one desirable and one undesirable row.
Tokenized<Judged> load_judged(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                              const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                              RejectedRows& rejected);

}  // namespace fettle::data
