#pragma once
// A packed batch: no padding anywhere. See Span in kernels/kernels.h for what a token sees.
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace fettle {

struct Batch {
  std::vector<int32_t> tokens;     ///< [T]
  std::vector<int32_t> positions;  ///< [T], from 0 in each sequence
  std::vector<Span> spans;         ///< cover [0, T) in order
  std::vector<KeyRange> ranges;
  /// Row label_rows[i] should predict labels[i]. A row may appear twice (the last prompt row of a preference
  /// pair predicts the first token of both answers) or not at all (nothing to score: it costs no head).
  std::vector<int32_t> label_rows;
  std::vector<int32_t> labels;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  void clear();
};

/// Appends a sequence of its own. supervised[t] != 0 makes token t a label (t = 0 never is); pass an empty
/// span for all. Labels are appended in token order; returns the index of the first.
int64_t append_sequence(Batch& batch, std::span<const int32_t> tokens,
                        std::span<const uint8_t> supervised = {});

/// A sequence that begins like the one appended before it sees the shared tokens where they stand.
class SharedSequences {
 public:
  explicit SharedSequences(Batch& batch) : batch_(batch) {}
  /// The first `shared` tokens are those of the sequence before; labels as in append_sequence, of shared tokens too.
  int64_t append(std::span<const int32_t> tokens, int64_t shared, std::span<const uint8_t> supervised);

 private:
  Batch& batch_;
  std::vector<KeyRange> places_;  ///< of the last sequence's tokens, in their order
};

/// Appends a prompt once and several continuations that each see it and not each other. Every continuation
/// token is a label, continuation after continuation; returns the index of the first label.
int64_t append_shared_prompt(Batch& batch, std::span<const int32_t> prompt,
                             std::span<const std::span<const int32_t>> continuations);

}  // namespace fettle
