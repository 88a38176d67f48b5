#pragma once
// A backend that does nothing. With an Arena that only measures, the decoder's own code becomes its memory
// plan.
#include "kernels/kernels.h"

namespace fettle {

class MeasuringBackend final : public Backend {
 public:
  explicit MeasuringBackend(Backend& measured) : measured_(measured) {}
  std::string_view name() const override { return "measuring"; }
  bool has_bf16() const override { return measured_.has_bf16(); }
  Memory& memory() override { return measured_.memory(); }
  int64_t workspace_bytes() const override { return 0; }
  void synchronize() override {}
  void copy_to_host(void*, const Tensor&) override {}
  void copy_from_host(const Tensor&, const void*) override {}
  void fill(const Tensor&, float) override {}
  void copy(const Tensor&, const Tensor&) override {}
  void gather_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void scatter_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void scatter_add_rows(const Tensor&, const Tensor&, const Tensor&) override {}
  void add(const Tensor&, const Tensor&, float) override {}
  void multiply(const Tensor&, const Tensor&) override {}
  void scale(const Tensor&, float) override {}
  void add_bias(const Tensor&, const Tensor&) override {}
  void bias_backward(const Tensor&, const Tensor&) override {}
  void clamp(const Tensor&, float) override {}
  void clamp_backward(const Tensor&, const Tensor&, float) override {}
  void dropout(const Tensor&, float, uint64_t, uint64_t) override {}
  void matmul(const Tensor&, const Tensor&, const Tensor&, const MatMul&) override {}
  void rms_norm(const Tensor&, const Tensor&, const Tensor&, float, float, const Tensor&) override {}
  void rms_norm_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, float,
                         const Tensor&) override {}
  void layer_norm(const Tensor&, const Tensor&, const Tensor&, const Tensor&, float, const Tensor&,
                  const Tensor&) override {}
  void layer_norm_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const Tensor&, const Tensor&, const Tensor&) override {}
  void rope(const Tensor&, const Tensor&, const Tensor&, const Rope&) override {}
  void activation(const Tensor&, const Tensor&, Activation) override {}
  void activation_backward(const Tensor&, const Tensor&, const Tensor&, Activation) override {}
  void gated(const Tensor&, const Tensor&, const Tensor&, Activation) override {}
  void gated_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                      Activation) override {}
  void route(const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void route_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                      const Tensor&) override {}
  void group_picks(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void scale_rows(const Tensor&, const Tensor&) override {}
  void row_dots(const Tensor&, const Tensor&, const Tensor&) override {}
  void grouped_matmul(const Tensor&, const Tensor&, std::span<const GroupMatrix>, const Tensor&,
                      const MatMul&) override {}
  void grouped_matmul_gradient(std::span<const GroupMatrix>, const Tensor&, const Tensor&, const Tensor&,
                               Product) override {}
  void grouped_multiply(const Tensor&, std::span<const Tensor>, const Tensor&) override {}
  void grouped_column_sums(std::span<const Tensor>, const Tensor&, const Tensor&) override {}
  void grouped_dropout(const Tensor&, float, uint64_t, std::span<const uint64_t>, const Tensor&) override {}
  std::vector<int32_t> plan_attention(std::span<const Span> spans, std::span<const KeyRange> ranges,
                                      int32_t kv_heads, bool backward) const override {
    return measured_.plan_attention(spans, ranges, kv_heads, backward);
  }
  void attention(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const AttentionPlan&,
                 const Attention&) override {}
  void attention_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                          const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                          const AttentionPlan&, const Attention&) override {}
  void log_probabilities(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {
  }
  void draw(const DrawResult&, const Tensor&, const DrawBatch&) override {}
  void adapted_norms(const Tensor&, const Tensor&, const Tensor&, const Tensor&, float, bool) override {}
  void adamw(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const AdamW&) override {}
  void adamw_8bit(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                  const AdamW&) override {}
  void rmsprop(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const RmsProp&) override {}
  void sgd(const Tensor&, const Tensor&, const Tensor&, const Sgd&) override {}
  void sum_squares(const Tensor&, const Tensor&) override {}
  void round_stochastically(const Tensor&, const Tensor&, uint64_t, uint64_t) override {}

 private:
  Backend& measured_;
};

}  // namespace fettle
