#pragma once
// The work of attention, cut into tasks that own what they write. See attention.cpp for how a task runs.
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace fettle::cpu {

constexpr int64_t key_tile = 64;  ///< keys whose scores are held at a time
constexpr int64_t query_tile =
    96;  ///< rows (of all heads of a group) whose scores are held at a time; a multiple of 6
constexpr int64_t widest_vector = 16;  ///< floats; rows in scratch are padded to it

inline int64_t padded(int64_t n) {
  return (n + widest_vector - 1) / widest_vector * widest_vector;
}

/// Everything a task reads.
struct AttentionInput {
  Tensor q, k, v;
  SpanTable table;
  Attention options;
  int64_t group() const { return options.heads / options.kv_heads; }
};

/// What one head of the backward pass reads besides, and writes.
struct BackwardOutput {
  Tensor dq, dk, dv;
  Tensor delta, dout, lse;
  int64_t key_col;  ///< where the head's columns of dk and dv begin
};

/// Queries [begin, end) of a span, with all heads that share one key/value head.
struct ForwardTask {
  int32_t span, begin, end, kv_head;
};
/// Heaviest first. Pieces of spans get shorter while there are too few for the threads.
std::vector<ForwardTask> forward_tasks(const AttentionInput& in, int threads);

/// Spans that share keys, in order; one head of them is a task of the backward pass.
std::vector<std::vector<int32_t>> connected_spans(const SpanTable& table);

}  // namespace fettle::cpu
