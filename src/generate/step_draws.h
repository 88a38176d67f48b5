#pragma once
// The draws of one step on their way to the backend, and what comes back: ids and the log-probabilities that are wanted,
// never a row of logits.
#include <cstdint>
#include <vector>

#include "generate/sampler.h"
#include "kernels/kernels.h"

namespace fettle {

struct DrawnToken {
  int32_t token = -1;  ///< -1: nothing may come, or all logits are NaN
  float logp = 0.0F;   ///< where it was wanted
  std::vector<TokenLogProb> top;
};

/// Not thread-safe.
class StepDraws {
 public:
  /// What is wanted of a token beside its id.
  struct Wanted {
    bool logp = false;
    int32_t top = 0;  ///< most likely tokens; their log-probabilities cost what the token's does
  };
  /// A token from row `row` of the logits by `options`. `allowed` may be null. `draw` is the index of the token in the answer,
  /// `sample` the number of the answer among those of its request: with the seed they are all the chance there is.
  void add(int32_t row, const SamplingOptions& options, const TokenHistory& history, TokenSet* allowed, uint64_t sample,
           uint64_t draw, Wanted wanted);
  /// The log-probability of a token that is known.
  void add_given(int32_t row, int32_t token, int32_t top);

  size_t size() const { return draws_.size(); }
  const Draw& draw(size_t index) const { return draws_[index]; }
  DrawContext context(size_t index) const;  ///< for RowSampler; views of this

  /// One upload, one call, what is asked for back. `arena` grows to what that needs.
  std::vector<DrawnToken> run(Backend& backend, Arena& arena, const Tensor& logits) const;

 private:
  int32_t most_top() const;
  DrawResult take_result(Arena& arena) const;
  std::vector<DrawnToken> fetch(Backend& backend, const DrawResult& out, int64_t vocabulary) const;

  std::vector<Draw> draws_;
  std::vector<TokenBias> biases_;
  std::vector<TokenCount> counts_;
  std::vector<uint64_t> masks_;
  size_t mask_words_ = 0;  ///< of one mask
};

}  // namespace fettle
