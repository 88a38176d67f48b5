#pragma once
// How a token is chosen: what a request asks for, and what the choice depends on beside the logits. The order of the filters
// is in kernels/sampling.h; StepDraws brings them to the backend. Host arrays only; nothing here knows models.
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/sampling.h"

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
  void append_to(std::vector<TokenCount>& counts) const;

 private:
  struct Count {
    bool prompt = false;
    int32_t answer = 0;
  };
  std::unordered_map<int32_t, Count> counts_;
};

}  // namespace fettle
