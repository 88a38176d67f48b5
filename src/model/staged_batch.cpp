#include "model/staged_batch.h"

#include <unordered_map>

namespace fettle {
namespace {

/// Where each token stands in the rows of an adapter; behind them when it is none of them.
std::vector<int32_t> places(const TokenRows& rows, const std::vector<int32_t>& tokens) {
  const std::vector<int32_t>& ids = *rows.ids;
  std::unordered_map<int32_t, int32_t> place;
  for (size_t i = 0; i < ids.size(); ++i) place[ids[i]] = static_cast<int32_t>(i);
  std::vector<int32_t> result;
  for (const int32_t token : tokens) {
    const auto found = place.find(token);
    result.push_back(found == place.end() ? static_cast<int32_t>(ids.size()) : found->second);
  }
  return result;
}

}  // namespace

StepArrays stage(const Batch& batch, const Embedding& embedding) {
  StepArrays arrays;
  arrays.tokens = arrays.upload.add(batch.tokens);
  arrays.positions = arrays.upload.add(batch.positions);
  arrays.label_rows = arrays.upload.add(batch.label_rows);
  arrays.labels = arrays.upload.add(batch.labels);
  for (const TokenRows& rows : embedding.rows) arrays.token_rows.push_back(arrays.upload.add(places(rows, batch.tokens)));
  return arrays;
}

PlanArrays stage_plan(StepUpload& upload, const Backend& backend, std::span<const Span> spans, std::span<const KeyRange> ranges,
                 int32_t kv_heads, bool backward) {
  const std::vector<int32_t> schedule = backend.plan_attention(spans, ranges, kv_heads, backward);
  return {upload.add_rows(spans), upload.add_rows(ranges), upload.add(schedule)};
}

}  // namespace fettle
