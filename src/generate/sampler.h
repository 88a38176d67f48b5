#pragma once
// From a row of logits to a token. Host arrays only; nothing here knows models.
//
// Order of the filters (that of Hugging Face's logits processors, then its warpers):
//   allowed tokens → logit bias → repetition penalty → frequency and presence penalty → temperature → top-k →
//   top-p → min-p
// and then one draw from what is left. vLLM's order is the same but for min-p, which it puts before top-k.
// Log-probabilities that are reported are those of the model itself: before the mask, the bias, the penalties
// and the temperature, so that they equal what scoring the same tokens gives.
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fettle {

struct SamplingOptions {
  float temperature =
      1.0F;  ///< 0: greedy, the first token of the largest logit; the filters below do not matter then
  int32_t top_k = 0;  ///< keep the k most likely tokens (ties with the k-th are kept); 0: all
  float top_p =
      1.0F;  ///< keep the fewest tokens whose probabilities reach top_p (Holtzman et al. 2020); 1: all
  float min_p = 0.0F;  ///< keep tokens with at least min_p times the largest probability (Nguyen et al. 2024)
  /// CTRL's penalty (Keskar et al. 2019) on tokens of the prompt and the answer: a positive logit is divided
  /// by it, a negative one multiplied. 1: none.
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;                      ///< subtracted once for a token that the answer holds
  float frequency_penalty = 0.0F;                     ///< subtracted for each time the answer holds the token
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< (token, added to its logit)
  uint64_t seed = 0;  ///< draw i of sample s is a function of (seed, s, i) alone

  bool greedy() const { return temperature <= 0.0F; }
  /// Throws Error(input) naming the field that is out of range (not finite, negative, a token beyond
  /// `vocabulary`).
  void validate(int32_t vocabulary) const;
};

/// A set of tokens, one bit each.
class TokenSet {
 public:
  explicit TokenSet(int32_t vocabulary) : words_((static_cast<size_t>(vocabulary) + 63) / 64) {}
  void set(int32_t token) { words_[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64); }
  bool has(int32_t token) const {
    return (words_[static_cast<size_t>(token) / 64] >> (token % 64) & 1U) != 0;
  }
  void clear() { words_.assign(words_.size(), 0); }
  /// 64 tokens at a time, token 0 in the lowest bit of the first word.
  std::span<uint64_t> words() { return words_; }

 private:
  std::vector<uint64_t> words_;
};

/// Decides which tokens may come next: a grammar, a JSON schema. One per sample; the engine calls it from one
/// thread.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  /// Marks what may come next in `allowed`, which is empty on entry. Leaving it empty ends the sample (finish
  /// reason stop).
  virtual void allow(TokenSet& allowed) = 0;
  /// `token` was taken.
  virtual void accept(int32_t token) = 0;
  /// A copy in the same state; every sample of a request starts from one.
  virtual std::unique_ptr<TokenConstraint> clone() const = 0;
};

/// What the penalties count. One per sample.
class TokenHistory {
 public:
  TokenHistory() = default;
  explicit TokenHistory(std::span<const int32_t> prompt);
  void add(int32_t token) { ++counts_[token].answer; }

 private:
  friend class Sampler;
  struct Count {
    bool prompt = false;
    int32_t answer = 0;
  };
  std::unordered_map<int32_t, Count> counts_;
};

/// log Σ exp(logits), summed in double precision. All logits -inf or any NaN: NaN.
double log_sum_exp(std::span<const float> logits);

/// Index of the first largest logit. NaN is never chosen; -1 when there is nothing but NaN and -inf.
int32_t arg_max(std::span<const float> logits);

struct TokenLogProb {
  int32_t token;
  float logp;
};
/// The `count` most likely tokens, best first, of equal ones the lower id first. `normaliser` is
/// log_sum_exp(logits).
std::vector<TokenLogProb> top_log_probs(std::span<const float> logits, double normaliser, int32_t count);
inline float log_prob(std::span<const float> logits, double normaliser, int32_t token) {
  return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(token)]) - normaliser);
}

/// Scratch for one thread: a Sampler may be used for any number of samples, one call at a time.
class Sampler {
 public:
  /// Chooses a token. `logits` is overwritten. `allowed` may be null. `draw` is the index of the token in the
  /// answer, `sample` the number of the answer among those of its request. Returns -1 when no token is
  /// allowed.
  int32_t sample(std::span<float> logits, const SamplingOptions& options, const TokenHistory& history,
                 const TokenSet* allowed, uint64_t sample, uint64_t draw);

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
  int32_t draw(double uniform) const;
  std::vector<Candidate> candidates_;
  std::vector<float> scratch_;
  float largest_ = 0.0F;
};

}  // namespace fettle
