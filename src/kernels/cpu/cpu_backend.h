#pragma once
// The processor's backend. Products go to oneDNN (product.cpp) or to a kernel of our own that gives a row the
// same bits in any company (row_product.cpp); all else is Highway, compiled for AVX2, AVX-512 and a scalar baseline
// and chosen at run time. Each operation is defined in the file of its kernel. Work is split by shape alone and
// every output has one owner, so that results have the same bits whatever the timing.
#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cpu/product.h"
#include "kernels/host_backend.h"

namespace fettle::cpu {

/// Growing blocks that are kept between calls, by purpose.
class Workspace {
 public:
  enum Slot { converted_a, converted_b, scratchpad, partial, heads, rotation, slot_count };
  template <typename T>
  T* get(Slot slot, int64_t count) {
    return static_cast<T*>(reserve(slot, count * static_cast<int64_t>(sizeof(T))));
  }
  int64_t bytes() const;

 private:
  void* reserve(Slot slot, int64_t bytes);
  std::array<Buffer, slot_count> buffers_;
};

/// Splits rows so that a piece has work worth a thread.
void for_row_pieces(int64_t rows, int64_t cols, const std::function<void(int64_t begin, int64_t end)>& body);
/// Calls body(worker, task) for every task; workers take the next task as they get free. A task must own what
/// it writes.
void for_tasks(int64_t tasks, const std::function<void(int64_t worker, int64_t task)>& body);

class CpuBackend final : public HostBackend {
 public:
  explicit CpuBackend(CpuLevel widest);

  std::string_view name() const override { return name_; }
  bool has_bf16() const override { return engine_.has_bf16(); }
  int64_t workspace_bytes() const override { return workspace_.bytes(); }

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

  std::vector<int32_t> plan_attention(std::span<const Span> spans, std::span<const KeyRange> ranges, int32_t kv_heads,
                                      bool backward) const override;
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

 private:
  /// cos and sin of every position, kept: queries and keys of all layers turn by the same table.
  const float* rotation_table(const Tensor& positions, const Tensor& inverse_frequencies, float magnitude);

  std::string name_;
  ProductEngine engine_;
  Workspace workspace_;
  std::vector<int32_t> rotation_positions_;
  std::vector<float> rotation_key_;  ///< frequencies, then the magnitude
};

}  // namespace fettle::cpu
