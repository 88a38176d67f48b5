#pragma once
// Log-probabilities of given completions, packed into few large batches.
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "model/decoder.h"

namespace fettle {

/// Ids of a prompt (at least one token, or there is nothing that predicts the first) and of what follows it.
struct ScoreRow {
  std::vector<int32_t> prompt;
  std::vector<int32_t> completion;
};

struct Score {
  double logp = 0.0;  ///< Σ log p(completion[i] | prompt, completion[<i])
  int64_t tokens = 0;
  bool greedy = true;        ///< every token is the model's first choice
  std::vector<float> logps;  ///< one per token
};

struct ScoreOptions {
  int64_t batch_tokens = 2048;  ///< rows of a packed batch; a longer row gets a batch of its own
  int64_t context_length = 0;   ///< longer rows are an Error naming the row; 0: the model's
  std::function<void(int64_t rows)> on_progress;  ///< rows finished since the last call
  /// Asked for each packed batch in turn, where several processes share them; false: its rows keep an empty score here. Bits of a
  /// score depend on what it is packed with, so that batches are dealt, and not rows.
  std::function<bool()> is_mine = {};
};

/// Scores in the order of the rows. Consecutive rows with the same prompt compute it once (multiple choice).
/// Rows are sorted by length inside, so results come all at once.
std::vector<Score> score(Decoder& decoder, std::span<const ScoreRow> rows, const ScoreOptions& options = {});

}  // namespace fettle
