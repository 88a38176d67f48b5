#pragma once
// The training set in the one shape that every method's batches are built from.
#include <cstdint>
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

struct TrainRows {
  RowKind kind = RowKind::sequences;
  std::vector<TrainRow> rows;
  std::string hash;     ///< of everything above; empty when there are no rows
  std::string summary;  ///< what was read, kept, truncated and dropped, for people
  OrderedJson report;   ///< the same for fettle.json

  int64_t size() const { return static_cast<int64_t>(rows.size()); }
  /// Where each conversation begins, for batches that keep its rows together; empty when no row was split.
  std::vector<int64_t> conversation_starts() const;
  /// Of an epoch that reads what the rows of a conversation share once.
  int64_t tokens() const;
  int64_t supervised() const;
  int64_t longest() const;
};

/// Reads, tokenises and weights `sources` for the method. Rejected rows go to `rejected`. Throws Error when
/// nothing is left. pretrain: texts longer than max_length are split, not cut. Tokens behind the last
/// supervised one are left out: they change nothing.
TrainRows load_rows(const TrainConfig& config, const Method& method,
                    const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                    const ChatTemplate* chat, data::RejectedRows& rejected);

/// Error when judged rows are all wanted or all unwanted: such a run learns nothing but its label.
void check_labels(const TrainRows& rows);
/// Counts the held-out rows that stand in the training rows too, warns of them, and puts the number into the report.
void warn_of_seen_rows(const TrainRows& training, TrainRows& held_out);
/// A row as it is learnt, for a person's eyes (data/passes/show.h).
std::string show_row(const TrainRows& rows, int64_t index, const Tokenizer& tokenizer, bool colour);

/// Normalisers of a step over these rows; kl is left 0.
StepTotals step_totals(const TrainRows& rows, std::span<const int64_t> indices);

}  // namespace fettle::train
