// The schedule of attention, made once for the layers of a batch. Its words: pieces, the longest piece, groups (-1: none
// were asked for); then the pieces; then where each group begins, and one behind; then the groups' spans.
#include <algorithm>
#include <numeric>

#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu_backend.h"

namespace fettle::cpu {
namespace {

constexpr size_t header_words = 3, piece_words = sizeof(SpanPiece) / sizeof(int32_t);

int32_t length_of(const Span& span) {
  return span.q_end - span.q_begin;
}

int64_t keys_seen(const Span& span, std::span<const KeyRange> ranges, int32_t end) {
  int64_t keys = span.own_before + (span.bidirectional != 0 ? length_of(span) : end);
  for (int32_t r = span.range_begin; r < span.range_end; ++r) {
    const KeyRange& range = ranges[static_cast<size_t>(r)];
    keys += range.end - range.begin;
  }
  return keys;
}

/// Pieces of spans get shorter while there are too few for the threads.
std::vector<SpanPiece> cut(std::span<const Span> spans, std::span<const KeyRange> ranges, int32_t kv_heads, int threads) {
  int64_t queries = 0;
  for (const Span& span : spans) queries += length_of(span);
  // Long pieces use a copied tile of keys more often, short ones share out better.
  int32_t length = 256;
  while (length > 32 && queries * kv_heads < int64_t{length} * threads * 8) length /= 2;
  struct Weighed {
    SpanPiece piece;
    int64_t cost;
  };
  std::vector<Weighed> weighed;
  for (size_t s = 0; s < spans.size(); ++s) {
    const int32_t count = length_of(spans[s]);
    for (int32_t begin = 0; begin < count; begin += length) {
      const int32_t end = std::min(count, begin + length);
      weighed.push_back({{static_cast<int32_t>(s), begin, end}, keys_seen(spans[s], ranges, end) * (end - begin)});
    }
  }
  std::stable_sort(weighed.begin(), weighed.end(), [](const auto& a, const auto& b) { return a.cost > b.cost; });
  std::vector<SpanPiece> pieces;
  pieces.reserve(weighed.size());
  for (const Weighed& one : weighed) pieces.push_back(one.piece);
  return pieces;
}

int32_t root_of(std::vector<int32_t>& parent, int32_t i) {
  while (parent[static_cast<size_t>(i)] != i)
    i = parent[static_cast<size_t>(i)] = parent[static_cast<size_t>(parent[static_cast<size_t>(i)])];
  return i;
}

/// Spans that share keys, in order.
std::vector<std::vector<int32_t>> connected(std::span<const Span> spans, std::span<const KeyRange> ranges) {
  struct Interval {
    int32_t begin, end, span;
  };
  std::vector<Interval> intervals;
  for (size_t i = 0; i < spans.size(); ++i) {
    const Span& span = spans[i];
    const auto s = static_cast<int32_t>(i);
    intervals.push_back({span.k_begin - span.own_before, span.k_begin + length_of(span), s});
    for (int32_t r = span.range_begin; r < span.range_end; ++r) {
      const KeyRange& range = ranges[static_cast<size_t>(r)];
      intervals.push_back({range.begin, range.end, s});
    }
  }
  std::erase_if(intervals, [](const Interval& i) { return i.begin >= i.end; });
  std::sort(intervals.begin(), intervals.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<int32_t> parent(spans.size());
  std::iota(parent.begin(), parent.end(), 0);
  int32_t reach = 0, last = -1;
  for (const Interval& i : intervals) {
    if (last >= 0 && i.begin < reach) parent[static_cast<size_t>(root_of(parent, i.span))] = root_of(parent, last);
    if (last < 0 || i.end > reach) {
      reach = i.end;
      last = i.span;
    }
  }
  std::vector<std::vector<int32_t>> groups(parent.size());
  for (size_t s = 0; s < spans.size(); ++s)
    groups[static_cast<size_t>(root_of(parent, static_cast<int32_t>(s)))].push_back(static_cast<int32_t>(s));
  std::erase_if(groups, [](const auto& group) { return group.empty(); });
  return groups;
}

template <typename T>
const T* array(const Tensor& tensor) {
  return tensor.absent() ? nullptr : static_cast<const T*>(tensor.data);
}

}  // namespace

std::vector<int32_t> schedule(std::span<const Span> spans, std::span<const KeyRange> ranges, int32_t kv_heads,
                              bool backward, int threads) {
  const std::vector<SpanPiece> pieces = cut(spans, ranges, kv_heads, threads);
  int32_t longest = 1;
  for (const SpanPiece& piece : pieces) longest = std::max(longest, piece.end - piece.begin);
  std::vector<int32_t> words{static_cast<int32_t>(pieces.size()), longest, -1};
  for (const SpanPiece& piece : pieces) words.insert(words.end(), {piece.span, piece.begin, piece.end});
  if (!backward) return words;
  const auto groups = connected(spans, ranges);
  words[2] = static_cast<int32_t>(groups.size());
  int32_t at = 0;
  words.push_back(at);
  for (const auto& group : groups) words.push_back(at += static_cast<int32_t>(group.size()));
  for (const auto& group : groups) words.insert(words.end(), group.begin(), group.end());
  return words;
}

SpanTable table_of(const AttentionPlan& plan, const Attention& options) {
  SpanTable table;
  table.spans = array<Span>(plan.spans);
  table.ranges = array<KeyRange>(plan.ranges);
  table.query_positions = array<int32_t>(plan.query_positions);
  table.key_positions = array<int32_t>(plan.key_positions);
  table.alibi_slopes = array<float>(options.alibi_slopes);
  const auto words = std::span<const int32_t>(plan.schedule.flat<int32_t>());
  const auto pieces = static_cast<size_t>(words[0]);
  table.longest = words[1];
  table.pieces = {reinterpret_cast<const SpanPiece*>(words.data() + header_words), pieces};
  if (words[2] < 0) return table;
  const auto groups = static_cast<size_t>(words[2]), first = header_words + piece_words * pieces;
  table.group_begin = words.subspan(first, groups + 1);
  table.group_spans = words.subspan(first + groups + 1);
  return table;
}

std::vector<int32_t> CpuBackend::plan_attention(std::span<const Span> spans, std::span<const KeyRange> ranges,
                                                int32_t kv_heads, bool backward) const {
  return schedule(spans, ranges, kv_heads, backward, threads());
}

}  // namespace fettle::cpu
