#pragma once
// From a row of logits to a token: what a backend is told of each draw, and the plain host loop that backends in host
// memory use and others are tested against.
//
// Order of the filters (that of Hugging Face's logits processors, then its warpers):
//   allowed tokens → logit bias → repetition penalty → frequency and presence penalty → temperature → top-k →
//   top-p → min-p
// and then one draw from what is left. vLLM's order is the same but for min-p, which it puts before top-k.
// Log-probabilities that are reported are those of the model itself: before the mask, the bias, the penalties
// and the temperature, so that they equal what scoring the same tokens gives.
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace fettle {

/// What is done with one row of logits: words of 32 bits alone, so that all draws of a step are one tensor.
struct Draw {
  int32_t row = 0;     ///< of the logits; several draws may share one
  int32_t token = -1;  ///< 0 or more: it is given, and only log-probabilities are wanted
  float temperature = 1.0F;  ///< 0: greedy, the first token of the largest logit; the filters below do not matter then
  int32_t top_k = 0;         ///< keep the k most likely tokens (ties with the k-th are kept); 0: all
  float top_p = 1.0F;        ///< keep the fewest tokens whose probabilities reach top_p
  float min_p = 0.0F;        ///< keep tokens with at least min_p times the largest probability
  float repetition_penalty = 1.0F, presence_penalty = 0.0F, frequency_penalty = 0.0F;
  int32_t mask = -1;  ///< row of DrawBatch::masks; -1: every token may come
  int32_t bias_begin = 0, bias_end = 0;
  int32_t count_begin = 0, count_end = 0;  ///< tokens that the penalties count
  int32_t wants_logp = 0;                  ///< of the token
  int32_t top = 0;                         ///< so many most likely tokens are wanted with theirs
  uint32_t uniform[2] = {};                ///< the bits of a double in [0, 1), lower word first: the chance of this draw
};
struct TokenBias {
  int32_t token;
  float bias;  ///< added to its logit
};
struct TokenCount {
  int32_t token;
  int32_t in_prompt;  ///< 0 or 1
  int32_t in_answer;  ///< times
};

/// A step's draws in a backend's memory. The words of one structure are a row.
struct DrawBatch {
  Tensor draws;   ///< i32 [n, words of Draw]
  Tensor biases;  ///< i32 [biases, 2]
  Tensor counts;  ///< i32 [counts, 3]
  Tensor masks;   ///< i32 [masks, ⌈V/32⌉ or more]: bit i % 32 of word i / 32 is set where token i may come
};
struct DrawResult {
  Tensor tokens;                ///< i32 [1, n]; -1 where nothing may come, or all logits are NaN
  Tensor logp;                  ///< f32 [1, n], where it is wanted
  Tensor top_tokens, top_logp;  ///< i32, f32 [n, most that one wants], best first; absent where nothing wants any
};

struct TokenLogProb {
  int32_t token;
  float logp;
};

/// log Σ exp(logits), summed in double precision. All logits -inf or any NaN: NaN.
double log_sum_exp(std::span<const float> logits);

/// Index of the first largest logit. NaN is never chosen; -1 when there is nothing but NaN and -inf.
int32_t arg_max(std::span<const float> logits);

/// The `count` most likely tokens, best first, of equal ones the lower id first. `normaliser` is
/// log_sum_exp(logits).
std::vector<TokenLogProb> top_log_probs(std::span<const float> logits, double normaliser, int32_t count);
inline float log_prob(std::span<const float> logits, double normaliser, int32_t token) {
  return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(token)]) - normaliser);
}

/// What one draw reads beside its row, in host memory.
struct DrawContext {
  std::span<const TokenBias> biases;
  std::span<const TokenCount> counts;
  const uint32_t* mask = nullptr;  ///< null: every token may come
};

/// Scratch for one thread: may be used for any number of draws, one call at a time.
class RowSampler {
 public:
  /// The token, or -1 when none may come. `logits` is overwritten.
  int32_t draw(std::span<float> logits, const Draw& draw, const DrawContext& context);

 private:
  struct Candidate {
    float logit;
    int32_t token;
    float weight;  ///< exp(logit - largest)
  };
  double mass(size_t count) const;
  /// Fills candidates_ with the tokens that top-k leaves.
  void collect(std::span<const float> logits, int32_t top_k);
  void keep_top_p(float p);
  void keep_min_p(float p);
  int32_t choose(double uniform) const;
  std::vector<Candidate> candidates_;
  std::vector<float> scratch_;
  float largest_ = 0.0F;
};

/// Backend::draw on tensors in host memory.
void draw_rows(const DrawResult& out, const Tensor& logits, const DrawBatch& batch);

}  // namespace fettle
