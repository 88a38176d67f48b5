#pragma once
// A batch's arrays on their way to the backend, and then there: all of them in one upload, attention's plan among them.
#include "kernels/upload.h"
#include "model/network.h"

namespace fettle {

/// A batch on its way to the backend, and then there.
struct StepArrays {
  StepUpload upload;
  StepUpload::Place tokens, positions, label_rows, labels;
  std::vector<StepUpload::Place> token_rows;

  /// Points the context at what was sent.
  void enter(Context& context) const {
    context.tokens = upload.at(tokens);
    context.positions = upload.at(positions);
    context.token_rows.clear();
    for (const StepUpload::Place& place : token_rows) context.token_rows.push_back(upload.at(place));
  }
};

/// An AttentionPlan in the same upload. Positions lie elsewhere.
struct PlanArrays {
  StepUpload::Place spans, ranges, schedule;

  AttentionPlan at(const StepUpload& upload, const Tensor& query_positions, const Tensor& key_positions) const {
    return {upload.at(spans), upload.at(ranges), query_positions, key_positions, upload.at(schedule)};
  }
};

StepArrays stage(const Batch& batch, const Embedding& embedding);
/// Adds a plan's arrays to an upload. backward: for a training step.
PlanArrays stage_plan(StepUpload& upload, const Backend& backend, std::span<const Span> spans,
                      std::span<const KeyRange> ranges, int32_t kv_heads, bool backward);

/// A batch whose keys are its own tokens, with its plan.
struct StagedBatch {
  StepArrays arrays;
  PlanArrays plan;

  StagedBatch(const Batch& batch, const Network& network, const Backend& backend, bool backward)
      : arrays(stage(batch, network.embedding)),
        plan(stage_plan(arrays.upload, backend, batch.spans, batch.ranges, network.fewest_kv_heads(), backward)) {}

  void send(Context& context) {
    arrays.upload.send(context.arena, context.backend);
    enter(context);
  }
  void enter(Context& context) const {
    arrays.enter(context);
    context.plan = plan.at(arrays.upload, context.positions, context.positions);
  }
  Tensor label_rows() const { return arrays.upload.at(arrays.label_rows); }
  Tensor labels() const { return arrays.upload.at(arrays.labels); }
};

}  // namespace fettle
