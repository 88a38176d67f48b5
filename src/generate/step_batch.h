#pragma once
// The packed batch of one step: which tokens of which sequences, and which rows of the cache they see.
#include <span>
#include <vector>

#include "generate/window_pages.h"
#include "model/batch.h"

namespace fettle {

/// What one group of the cache is told.
struct GroupStep {
  std::vector<int32_t> rows;  ///< [T]
  std::vector<Span> spans;
  std::vector<KeyRange> ranges;
};

struct StepBatch {
  Batch batch;                    ///< without spans
  std::vector<GroupStep> groups;  ///< KvPages' first, then those of the windows
  explicit StepBatch(size_t count) : groups(count) {}
};

/// Appends tokens[begin, end) of a sequence, whose earlier tokens are in the cache already. Spans and key
/// ranges never cross a page and own keys begin with theirs, so that the order in which a query's keys are summed
/// follows from its position alone, not from where its pages lie or how its tokens were cut into steps. Pages out of a
/// window are left out. windows: those of the groups behind the first, with the sequence's table in each. Returns the
/// batch row of the last token.
int32_t append_tokens(StepBatch& step, const KvPages& pages, const PageTable& table,
                      std::span<const WindowPages> windows, std::span<const WindowTable> window_tables,
                      std::span<const int32_t> tokens, int64_t begin, int64_t end);

/// The logits of batch row `row` are wanted; returns their index.
int32_t want_logits(StepBatch& step, int32_t row);

}  // namespace fettle
