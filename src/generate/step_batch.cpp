#include "generate/step_batch.h"

#include <algorithm>

namespace fettle {

int32_t append_tokens(StepBatch& step, const KvPages& pages, const PageTable& table,
                      std::span<const int32_t> tokens, int64_t begin, int64_t end, int32_t window) {
  Batch& batch = step.batch;
  const int64_t rows = pages.page_rows();
  const int64_t first_page = window > 0 ? std::max<int64_t>(0, begin - window + 1) / rows : 0;
  const auto append_pages = [&](int64_t stop_page) {
    const auto at = static_cast<int32_t>(batch.ranges.size());
    for (int64_t page = first_page; page < stop_page; ++page) {
      const int32_t row = pages.row(table, page * rows);
      batch.ranges.push_back({row, row + static_cast<int32_t>(rows)});
    }
    return at;
  };
  const auto append_span = [&](int64_t from, int64_t to, int32_t range_begin, int32_t range_end) {
    Span span{batch.size(), 0, pages.row(table, from), range_begin, range_end, static_cast<int32_t>(from % rows)};
    for (int64_t p = from; p < to; ++p) {
      batch.tokens.push_back(tokens[static_cast<size_t>(p)]);
      batch.positions.push_back(static_cast<int32_t>(p));
      step.cache_rows.push_back(pages.row(table, p));
    }
    span.q_end = batch.size();
    batch.spans.push_back(span);
  };
  int64_t p = begin;
  if (begin % rows != 0) {
    const int64_t page = begin / rows;
    const int32_t ranges = append_pages(page);
    p = std::min(end, (page + 1) * rows);
    append_span(begin, p, ranges, static_cast<int32_t>(batch.ranges.size()));
  }
  if (p < end) {
    // Spans that begin with their page see ever longer beginnings of one list.
    const int32_t ranges = append_pages((end - 1) / rows);
    for (; p < end; p += rows) {
      append_span(p, std::min(end, p + rows), ranges, ranges + static_cast<int32_t>(p / rows - first_page));
    }
  }
  return batch.size() - 1;
}

int32_t want_logits(StepBatch& step, int32_t row) {
  step.batch.label_rows.push_back(row);
  step.batch.labels.push_back(0);
  return static_cast<int32_t>(step.batch.label_rows.size()) - 1;
}

}  // namespace fettle
