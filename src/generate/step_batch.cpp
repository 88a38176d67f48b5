#include "generate/step_batch.h"

#include <algorithm>
#include <functional>

namespace fettle {
namespace {

/// Spans, ranges and rows of the tokens [begin, end) of one sequence, whose first stands in batch row `q_begin`.
void append_spans(GroupStep& group, int64_t page_rows, const std::function<int32_t(int64_t)>& row_of, int64_t begin,
                  int64_t end, int32_t window, int32_t q_begin) {
  const int64_t first_page = window > 0 ? std::max<int64_t>(0, begin - window + 1) / page_rows : 0;
  const auto append_pages = [&](int64_t stop_page) {
    const auto at = static_cast<int32_t>(group.ranges.size());
    for (int64_t page = first_page; page < stop_page; ++page) {
      const int32_t row = row_of(page * page_rows);
      group.ranges.push_back({row, row + static_cast<int32_t>(page_rows)});
    }
    return at;
  };
  const auto append_span = [&](int64_t from, int64_t to, int32_t range_begin, int32_t range_end) {
    const auto q = static_cast<int32_t>(q_begin + from - begin);
    group.spans.push_back({q, q + static_cast<int32_t>(to - from), row_of(from), range_begin, range_end,
                           static_cast<int32_t>(from % page_rows)});
    for (int64_t p = from; p < to; ++p) group.rows.push_back(row_of(p));
  };
  int64_t p = begin;
  if (begin % page_rows != 0) {
    const int64_t page = begin / page_rows;
    const int32_t ranges = append_pages(page);
    p = std::min(end, (page + 1) * page_rows);
    append_span(begin, p, ranges, static_cast<int32_t>(group.ranges.size()));
  }
  if (p >= end) return;
  // Spans that begin with their page see ever longer beginnings of one list.
  const int32_t ranges = append_pages((end - 1) / page_rows);
  for (; p < end; p += page_rows)
    append_span(p, std::min(end, p + page_rows), ranges, ranges + static_cast<int32_t>(p / page_rows - first_page));
}

}  // namespace

int32_t append_tokens(StepBatch& step, const KvPages& pages, const PageTable& table,
                      std::span<const WindowPages> windows, std::span<const WindowTable> window_tables,
                      std::span<const int32_t> tokens, int64_t begin, int64_t end) {
  Batch& batch = step.batch;
  const int32_t row = batch.size();
  const int64_t page_rows = pages.page_rows();
  append_spans(step.groups[0], page_rows, [&](int64_t p) { return pages.row(table, p); }, begin, end, 0, row);
  for (size_t w = 0; w < windows.size(); ++w) {
    append_spans(
        step.groups[w + 1], page_rows, [&](int64_t p) { return windows[w].row(window_tables[w], p); }, begin, end,
        windows[w].window(), row);
  }
  for (int64_t p = begin; p < end; ++p) {
    batch.tokens.push_back(tokens[static_cast<size_t>(p)]);
    batch.positions.push_back(static_cast<int32_t>(p));
  }
  return batch.size() - 1;
}

int32_t want_logits(StepBatch& step, int32_t row) {
  step.batch.label_rows.push_back(row);
  step.batch.labels.push_back(0);
  return static_cast<int32_t>(step.batch.label_rows.size()) - 1;
}

}  // namespace fettle
