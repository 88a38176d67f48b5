#include <algorithm>
#include <numeric>

#include "kernels/cpu/attention.h"

namespace fettle::cpu {
namespace {

int64_t keys_seen(const SpanTable& table, const ForwardTask& task) {
  const Span& span = table.spans[task.span];
  int64_t keys = span.own_before + (span.bidirectional != 0 ? span.q_end - span.q_begin : task.end);
  for (int32_t r = span.range_begin; r < span.range_end; ++r)
    keys += table.ranges[r].end - table.ranges[r].begin;
  return keys;
}

int32_t root_of(std::vector<int32_t>& parent, int32_t i) {
  while (parent[static_cast<size_t>(i)] != i)
    i = parent[static_cast<size_t>(i)] = parent[static_cast<size_t>(parent[static_cast<size_t>(i)])];
  return i;
}

}  // namespace

std::vector<ForwardTask> forward_tasks(const AttentionInput& in, int threads) {
  int64_t queries = 0;
  for (int32_t s = 0; s < in.table.span_count; ++s)
    queries += in.table.spans[s].q_end - in.table.spans[s].q_begin;
  // Long pieces use a copied tile of keys more often, short ones share out better.
  int64_t length = 256;
  while (length > 32 && queries * in.options.kv_heads < length * threads * 8) length /= 2;
  std::vector<ForwardTask> tasks;
  for (int32_t s = 0; s < in.table.span_count; ++s) {
    const auto count = static_cast<int32_t>(in.table.spans[s].q_end - in.table.spans[s].q_begin);
    for (int32_t begin = 0; begin < count; begin += static_cast<int32_t>(length)) {
      const int32_t end = std::min(count, begin + static_cast<int32_t>(length));
      for (int32_t head = 0; head < in.options.kv_heads; ++head) tasks.push_back({s, begin, end, head});
    }
  }
  const auto cost = [&](const ForwardTask& task) {
    return keys_seen(in.table, task) * (task.end - task.begin);
  };
  std::stable_sort(tasks.begin(), tasks.end(),
                   [&](const auto& a, const auto& b) { return cost(a) > cost(b); });
  return tasks;
}

std::vector<std::vector<int32_t>> connected_spans(const SpanTable& table) {
  struct Interval {
    int32_t begin, end, span;
  };
  std::vector<Interval> intervals;
  for (int32_t s = 0; s < table.span_count; ++s) {
    const Span& span = table.spans[s];
    intervals.push_back({span.k_begin - span.own_before, span.k_begin + span.q_end - span.q_begin, s});
    for (int32_t r = span.range_begin; r < span.range_end; ++r)
      intervals.push_back({table.ranges[r].begin, table.ranges[r].end, s});
  }
  std::erase_if(intervals, [](const Interval& i) { return i.begin >= i.end; });
  std::sort(intervals.begin(), intervals.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<int32_t> parent(static_cast<size_t>(table.span_count));
  std::iota(parent.begin(), parent.end(), 0);
  int32_t reach = 0, last = -1;
  for (const Interval& i : intervals) {
    if (last >= 0 && i.begin < reach)
      parent[static_cast<size_t>(root_of(parent, i.span))] = root_of(parent, last);
    if (last < 0 || i.end > reach) {
      reach = i.end;
      last = i.span;
    }
  }
  std::vector<std::vector<int32_t>> groups(parent.size());
  for (int32_t s = 0; s < table.span_count; ++s) groups[static_cast<size_t>(root_of(parent, s))].push_back(s);
  std::erase_if(groups, [](const auto& group) { return group.empty(); });
  return groups;
}

}  // namespace fettle::cpu
