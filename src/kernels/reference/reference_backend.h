#pragma once
// Every operation as the shortest loop that is obviously right: sums in double precision, one thread, no
// tricks.
#include <vector>

#include "kernels/host_backend.h"

namespace fettle::reference {

/// Row `index` of a tensor of any dtype.
std::vector<float> load_row(const Tensor& x, int64_t index);
void store_row(const Tensor& x, int64_t index, const std::vector<float>& values);

class ReferenceBackend final : public HostBackend {
 public:
  std::string_view name() const override { return "reference"; }
  bool has_bf16() const override { return false; }
  int64_t workspace_bytes() const override { return 0; }

  void fill(const Tensor& x, float value) override;
  void copy(const Tensor& dst, const Tensor& src) override;
  void gather_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override;
  void scatter_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override;
  void scatter_add_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override;

  void add(const Tensor& y, const Tensor& x, float alpha) override;
  void scale(const Tensor& x, float factor) override;
  void add_bias(const Tensor& x, const Tensor& bias) override;
  void bias_backward(const Tensor& dbias, const Tensor& dy) override;
  void clamp(const Tensor& x, float limit) override;
  void clamp_backward(const Tensor& dx, const Tensor& x, float limit) override;
  void dropout(const Tensor& x, float probability, uint64_t seed, uint64_t stream) override;

  void matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& options) override;

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, float eps, float offset,
                const Tensor& rstd) override;
  void rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                         const Tensor& weight, float offset, const Tensor& rstd) override;
  void layer_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                  const Tensor& mean, const Tensor& rstd) override;
  void layer_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dbias, const Tensor& dy,
                           const Tensor& x, const Tensor& weight, const Tensor& mean,
                           const Tensor& rstd) override;

  void rope(const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
            const Rope& rope) override;

  void activation(const Tensor& out, const Tensor& x, Activation kind) override;
  void activation_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, Activation kind) override;
  void gated(const Tensor& out, const Tensor& gate, const Tensor& up, Activation kind) override;
  void gated_backward(const Tensor& dgate, const Tensor& dup, const Tensor& dy, const Tensor& gate,
                      const Tensor& up, Activation kind) override;

  void route(const Tensor& picks, const Tensor& weights, const Tensor& probabilities,
             const Tensor& logits) override;
  void route_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dprobabilities,
                      const Tensor& picks, const Tensor& weights, const Tensor& probabilities) override;
  void scale_rows(const Tensor& x, const Tensor& factors) override;
  void row_dots(const Tensor& out, const Tensor& a, const Tensor& b) override;

  std::vector<int32_t> plan_attention(std::span<const Span>, std::span<const KeyRange>, int32_t, bool) const override {
    return {};
  }
  void attention(const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPlan& plan, const Attention& options) override;
  void attention_backward(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& delta,
                          const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                          const Tensor& k, const Tensor& v, const AttentionPlan& plan,
                          const Attention& options) override;

  void log_probabilities(const Tensor& logits, const Tensor& labels, const Tensor& logp, const Tensor& best,
                         const Tensor& dlogp) override;

  void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
             const AdamW& o) override;
  void adamw_8bit(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                  const Tensor& m_scale, const Tensor& v_scale, const AdamW& o) override;
  void rmsprop(const Tensor& param, const Tensor& grad, const Tensor& square, const Tensor& momentum,
               const RmsProp& o) override;
  void sgd(const Tensor& param, const Tensor& grad, const Tensor& momentum, const Sgd& o) override;
  void sum_squares(const Tensor& sum, const Tensor& x) override;
};

}  // namespace fettle::reference
