// Another backend's kernels on memory that the host cannot touch: what a CUDA backend asks of the program, checked on
// machines without one.
#include <utility>

#include "kernels/backends.h"
#include "kernels/reference/guarded_memory.h"

namespace fettle::reference {
namespace {

class GuardedBackend final : public Backend {
 public:
  explicit GuardedBackend(std::unique_ptr<Backend> inner)
      : inner_(std::move(inner)), name_("guarded " + std::string(inner_->name())) {}

  std::string_view name() const override { return name_; }
  bool has_bf16() const override { return inner_->has_bf16(); }
  Memory& memory() override { return memory_; }
  int64_t workspace_bytes() const override { return inner_->workspace_bytes(); }
  void synchronize() override { inner_->synchronize(); }
  void copy_to_host(void* destination, const Tensor& source) override {
    inner_->copy_to_host(destination, at(source));
  }
  void copy_from_host(const Tensor& destination, const void* source) override {
    inner_->copy_from_host(at(destination), source);
  }

  void fill(const Tensor& x, float value) override { inner_->fill(at(x), value); }
  void copy(const Tensor& dst, const Tensor& src) override { inner_->copy(at(dst), at(src)); }
  void gather_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override {
    inner_->gather_rows(at(dst), at(src), at(rows));
  }
  void scatter_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override {
    inner_->scatter_rows(at(dst), at(src), at(rows));
  }
  void scatter_add_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) override {
    inner_->scatter_add_rows(at(dst), at(src), at(rows));
  }

  void add(const Tensor& y, const Tensor& x, float alpha) override { inner_->add(at(y), at(x), alpha); }
  void scale(const Tensor& x, float factor) override { inner_->scale(at(x), factor); }
  void multiply(const Tensor& x, const Tensor& factors) override { inner_->multiply(at(x), at(factors)); }
  void add_bias(const Tensor& x, const Tensor& bias) override { inner_->add_bias(at(x), at(bias)); }
  void bias_backward(const Tensor& dbias, const Tensor& dy) override { inner_->bias_backward(at(dbias), at(dy)); }
  void clamp(const Tensor& x, float limit) override { inner_->clamp(at(x), limit); }
  void clamp_backward(const Tensor& dx, const Tensor& x, float limit) override {
    inner_->clamp_backward(at(dx), at(x), limit);
  }
  void dropout(const Tensor& x, float probability, uint64_t seed, uint64_t stream) override {
    inner_->dropout(at(x), probability, seed, stream);
  }

  void matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& options) override {
    inner_->matmul(at(c), at(a), at(b), options);
  }

  void rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, float eps, float offset,
                const Tensor& rstd) override {
    inner_->rms_norm(at(out), at(x), at(weight), eps, offset, at(rstd));
  }
  void rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                         const Tensor& weight, float offset, const Tensor& rstd) override {
    inner_->rms_norm_backward(at(dx), at(dweight), at(dy), at(x), at(weight), offset, at(rstd));
  }
  void layer_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                  const Tensor& mean, const Tensor& rstd) override {
    inner_->layer_norm(at(out), at(x), at(weight), at(bias), eps, at(mean), at(rstd));
  }
  void layer_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dbias, const Tensor& dy,
                           const Tensor& x, const Tensor& weight, const Tensor& mean,
                           const Tensor& rstd) override {
    inner_->layer_norm_backward(at(dx), at(dweight), at(dbias), at(dy), at(x), at(weight), at(mean), at(rstd));
  }

  void rope(const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
            const Rope& options) override {
    inner_->rope(at(x), at(positions), at(inverse_frequencies), options);
  }

  void activation(const Tensor& out, const Tensor& x, Activation kind) override {
    inner_->activation(at(out), at(x), kind);
  }
  void activation_backward(const Tensor& dx, const Tensor& dy, const Tensor& x, Activation kind) override {
    inner_->activation_backward(at(dx), at(dy), at(x), kind);
  }
  void gated(const Tensor& out, const Tensor& gate, const Tensor& up, Activation kind) override {
    inner_->gated(at(out), at(gate), at(up), kind);
  }
  void gated_backward(const Tensor& dgate, const Tensor& dup, const Tensor& dy, const Tensor& gate,
                      const Tensor& up, Activation kind) override {
    inner_->gated_backward(at(dgate), at(dup), at(dy), at(gate), at(up), kind);
  }

  void route(const Tensor& picks, const Tensor& weights, const Tensor& probabilities,
             const Tensor& logits) override {
    inner_->route(at(picks), at(weights), at(probabilities), at(logits));
  }
  void route_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dprobabilities,
                      const Tensor& picks, const Tensor& weights, const Tensor& probabilities) override {
    inner_->route_backward(at(dlogits), at(dweights), at(dprobabilities), at(picks), at(weights), at(probabilities));
  }
  void group_picks(const Tensor& begin, const Tensor& order, const Tensor& tokens, const Tensor& counts,
                   const Tensor& picks) override {
    inner_->group_picks(at(begin), at(order), at(tokens), at(counts), at(picks));
  }
  void scale_rows(const Tensor& x, const Tensor& factors) override { inner_->scale_rows(at(x), at(factors)); }
  void row_dots(const Tensor& out, const Tensor& a, const Tensor& b) override {
    inner_->row_dots(at(out), at(a), at(b));
  }

  void grouped_matmul(const Tensor& c, const Tensor& a, std::span<const GroupMatrix> b, const Tensor& begin,
                      const MatMul& options) override {
    inner_->grouped_matmul(at(c), at(a), all(b), at(begin), options);
  }
  void grouped_matmul_gradient(std::span<const GroupMatrix> db, const Tensor& dc, const Tensor& a,
                               const Tensor& begin, Product product) override {
    inner_->grouped_matmul_gradient(all(db), at(dc), at(a), at(begin), product);
  }
  void grouped_multiply(const Tensor& x, std::span<const Tensor> factors, const Tensor& begin) override {
    inner_->grouped_multiply(at(x), all(factors), at(begin));
  }
  void grouped_column_sums(std::span<const Tensor> sums, const Tensor& x, const Tensor& begin) override {
    inner_->grouped_column_sums(all(sums), at(x), at(begin));
  }
  void grouped_dropout(const Tensor& x, float probability, uint64_t seed, std::span<const uint64_t> streams,
                       const Tensor& begin) override {
    inner_->grouped_dropout(at(x), probability, seed, streams, at(begin));
  }

  std::vector<int32_t> plan_attention(std::span<const Span> spans, std::span<const KeyRange> ranges,
                                      int32_t kv_heads, bool backward) const override {
    return inner_->plan_attention(spans, ranges, kv_heads, backward);
  }
  void attention(const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionPlan& plan, const Attention& options) override {
    inner_->attention(at(out), at(lse), at(q), at(k), at(v), at(plan), at(options));
  }
  void attention_backward(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& delta,
                          const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                          const Tensor& k, const Tensor& v, const AttentionPlan& plan,
                          const Attention& options) override {
    inner_->attention_backward(at(dq), at(dk), at(dv), at(delta), at(dout), at(out), at(lse), at(q), at(k), at(v),
                               at(plan), at(options));
  }

  void log_probabilities(const Tensor& logits, const Tensor& labels, const Tensor& logp, const Tensor& best,
                         const Tensor& dlogp) override {
    inner_->log_probabilities(at(logits), at(labels), at(logp), at(best), at(dlogp));
  }
  void draw(const DrawResult& out, const Tensor& logits, const DrawBatch& batch) override {
    inner_->draw({at(out.tokens), at(out.logp), at(out.top_tokens), at(out.top_logp)}, at(logits),
                 {at(batch.draws), at(batch.biases), at(batch.counts), at(batch.masks)});
  }
  void adapted_norms(const Tensor& norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale,
                     bool by_column) override {
    inner_->adapted_norms(at(norms), at(weight), at(a), at(b), scale, by_column);
  }

  void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v, const AdamW& o) override {
    inner_->adamw(at(param), at(grad), at(m), at(v), o);
  }
  void adamw_8bit(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v, const Tensor& m_scale,
                  const Tensor& v_scale, const AdamW& o) override {
    inner_->adamw_8bit(at(param), at(grad), at(m), at(v), at(m_scale), at(v_scale), o);
  }
  void rmsprop(const Tensor& param, const Tensor& grad, const Tensor& square, const Tensor& momentum,
               const RmsProp& o) override {
    inner_->rmsprop(at(param), at(grad), at(square), at(momentum), o);
  }
  void sgd(const Tensor& param, const Tensor& grad, const Tensor& momentum, const Sgd& o) override {
    inner_->sgd(at(param), at(grad), at(momentum), o);
  }
  void sum_squares(const Tensor& sum, const Tensor& x) override { inner_->sum_squares(at(sum), at(x)); }
  void round_stochastically(const Tensor& dst, const Tensor& src, uint64_t seed, uint64_t stream) override {
    inner_->round_stochastically(at(dst), at(src), seed, stream);
  }

 private:
  Tensor at(const Tensor& tensor) const { return memory_.behind(tensor); }
  AttentionPlan at(const AttentionPlan& plan) const {
    return {at(plan.spans), at(plan.ranges), at(plan.query_positions), at(plan.key_positions), at(plan.schedule)};
  }
  Attention at(Attention options) const {
    options.alibi_slopes = at(options.alibi_slopes);
    return options;
  }
  std::vector<GroupMatrix> all(std::span<const GroupMatrix> matrices) const {
    std::vector<GroupMatrix> open;
    for (const GroupMatrix& one : matrices) open.push_back({at(one.matrix), one.alpha});
    return open;
  }
  std::vector<Tensor> all(std::span<const Tensor> tensors) const {
    std::vector<Tensor> open;
    for (const Tensor& one : tensors) open.push_back(at(one));
    return open;
  }

  std::unique_ptr<Backend> inner_;
  std::string name_;
  GuardedMemory& memory_ = guarded_memory();
};

}  // namespace
}  // namespace fettle::reference

namespace fettle {
std::unique_ptr<Backend> make_guarded_backend(std::unique_ptr<Backend> inner) {
  return std::make_unique<reference::GuardedBackend>(std::move(inner));
}
}  // namespace fettle
