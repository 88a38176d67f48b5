#pragma once
// The training set in the one shape that every method's batches are built from.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/chat/chat_template.h"
#include "train/config.h"
#include "train/losses/loss.h"

namespace fettle::train {

/// texts, sequences: `chosen` is the whole sequence and `weights` the loss weight of each of its tokens.
/// judged: prompt and chosen. pairs: all three.
struct TrainRow {
  std::string id;
  std::vector<int32_t> prompt, chosen, rejected;
  std::vector<float> weights;
  bool desirable = true;
  double weight = 1.0;
  int64_t conversation = -1;  ///< the same for rows that were split from one conversation; -1 for any other

  int64_t tokens() const { return static_cast<int64_t>(prompt.size() + chosen.size() + rejected.size()); }
  /// Tokens that the loss looks at; prompts count for none of the methods.
  int64_t supervised() const;
};

/// How many first tokens two rows of one conversation share; else 0.
int64_t shared_tokens(const TrainRow& earlier, const TrainRow& row);

/// What is known of all rows together; worked out once, and kept beside the tokens.
struct RowSums {
  int64_t tokens = 0;  ///< of an epoch that reads what the rows of a conversation share once
  int64_t supervised = 0, longest = 0, longest_prompt = 0, longest_chosen = 0, desirable = 0, largest_id = -1;
  std::map<int64_t, int64_t> lengths;  ///< prompt and the longer answer → rows
  std::string hash;                    ///< of tokens, weights and ids
};

/// Rows of a token set, read from the disk one at a time. Thread-safe once made.
struct TrainRows {
  RowKind kind = RowKind::sequences;
  std::shared_ptr<const data::TokenizedSet> set;  ///< null: there are no rows
  std::vector<double> class_factors;          ///< by class, of their tokens' weights; empty: none
  bool per_sequence = false;                  ///< each row weighs the same
  RowSums sums;
  std::string hash;     ///< sums.hash
  std::string summary;  ///< what was read, kept, truncated and dropped, for people
  OrderedJson report;   ///< the same for fettle.json

  int64_t size() const { return set ? set->size() : 0; }
  TrainRow row(int64_t index) const;
  /// Where each conversation begins, for batches that keep its rows together; empty when no row was split.
  std::vector<int64_t> conversation_starts() const;
};

/// Reads, tokenises and weights `sources` for the method. What was rejected stays with the set. Throws Error when
/// nothing is left. pretrain: texts longer than max_length are split, not cut. Tokens behind the last
/// supervised one are left out: they change nothing. The tokens lie in the config's token_cache.
TrainRows load_rows(const TrainConfig& config, const Method& method,
                    const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                    const ChatTemplate* chat);

/// Error when judged rows are all wanted or all unwanted: such a run learns nothing but its label.
void check_labels(const TrainRows& rows);
/// Counts the held-out rows that stand in the training rows too, warns of them, and puts the number into the report.
void warn_of_seen_rows(const TrainRows& training, TrainRows& held_out);
/// A row as it is learnt, for a person's eyes (data/passes/show.h).
std::string show_row(const TrainRows& rows, int64_t index, const Tokenizer& tokenizer, bool colour);

/// Normalisers of a step over these rows; kl is left 0.
StepTotals step_totals(const TrainRows& rows, std::span<const int64_t> indices);

}  // namespace fettle::train
