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

/// Queries [begin, end) of a span.
struct SpanPiece {
  int32_t span, begin, end;
};

/// A plan's arrays, which lie in memory that the processor reads, as what they are.
struct SpanTable {
  const Span* spans = nullptr;
  const KeyRange* ranges = nullptr;
  const int32_t* query_positions = nullptr;
  const int32_t* key_positions = nullptr;
  const float* alibi_slopes = nullptr;  ///< null without
  /// Heaviest first; each is a task for every key/value head.
  std::span<const SpanPiece> pieces;
  int32_t longest = 0;  ///< of them
  /// Spans that share keys, in order: group g is group_spans[group_begin[g], group_begin[g + 1]). One head of a group is a
  /// task of the backward pass.
  std::span<const int32_t> group_begin, group_spans;
  int32_t groups() const { return static_cast<int32_t>(group_begin.size()) - 1; }
};
SpanTable table_of(const AttentionPlan& plan, const Attention& options);

/// What CpuBackend::plan_attention gives: the pieces, and where `backward` the groups.
std::vector<int32_t> schedule(std::span<const Span> spans, std::span<const KeyRange> ranges, int32_t kv_heads,
                              bool backward, int threads);

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

/// A piece of a span with all heads that share one key/value head.
struct ForwardTask {
  int32_t span, begin, end, kv_head;
};

}  // namespace fettle::cpu
