#pragma once
// The packed batch of one step: which tokens of which sequences, and which rows of the cache they see.
#include <span>
#include <vector>

#include "generate/kv_pages.h"
#include "model/batch.h"

namespace fettle {

struct StepBatch {
  Batch batch;
  std::vector<int32_t> cache_rows;  ///< [T]
};

/// Appends tokens[begin, end) of a sequence, whose earlier tokens are in the cache already. Spans and key
/// ranges never cross a page and own keys begin with theirs, so that the order in which a query's keys are summed
/// follows from its position alone, not from where its pages lie or how its tokens were cut into steps. window: the model's sliding window (0:
/// none); pages out of it are left out. Returns the batch row of the last token.
int32_t append_tokens(StepBatch& step, const KvPages& pages, const PageTable& table,
                      std::span<const int32_t> tokens, int64_t begin, int64_t end, int32_t window);

/// The logits of batch row `row` are wanted; returns their index.
int32_t want_logits(StepBatch& step, int32_t row);

}  // namespace fettle
