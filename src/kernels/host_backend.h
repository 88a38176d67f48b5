#pragma once
// What backends on the host's own memory share: moves between host and host, groups of rows cut by bounds that can simply
// be read, sampling, and what only adapters and low-precision training need.
#include <functional>

#include "kernels/kernels.h"

namespace fettle {

class HostBackend : public Backend {
 public:
  Memory& memory() override { return host_memory(); }
  void synchronize() override {}
  void copy_to_host(void* destination, const Tensor& source) override;
  void copy_from_host(const Tensor& destination, const void* source) override;

  void multiply(const Tensor& x, const Tensor& factors) override;

  void group_picks(const Tensor& begin, const Tensor& order, const Tensor& tokens, const Tensor& counts,
                   const Tensor& picks) override;
  void grouped_matmul(const Tensor& c, const Tensor& a, std::span<const GroupMatrix> b, const Tensor& begin,
                      const MatMul& options) override;
  void grouped_matmul_gradient(std::span<const GroupMatrix> db, const Tensor& dc, const Tensor& a, const Tensor& begin,
                               Product product) override;
  void grouped_multiply(const Tensor& x, std::span<const Tensor> factors, const Tensor& begin) override;
  void grouped_column_sums(std::span<const Tensor> sums, const Tensor& x, const Tensor& begin) override;
  void grouped_dropout(const Tensor& x, float probability, uint64_t seed, std::span<const uint64_t> streams,
                       const Tensor& begin) override;

  void draw(const DrawResult& out, const Tensor& logits, const DrawBatch& batch) override;
  void adapted_norms(const Tensor& norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale,
                     bool by_column) override;
  void round_stochastically(const Tensor& dst, const Tensor& src, uint64_t seed, uint64_t stream) override;
};

/// norms[0, n) as Backend::adapted_norms has it, of tensors in host memory.
void adapted_norms_of(float* norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale, bool by_column);

/// out[0, cols) = scale * (B A) of row `row` of a linear layer's weight, or, by_column, (B A)ᵀ of one token's. Host memory.
void lora_row(const Tensor& a, const Tensor& b, float scale, bool by_column, int64_t row, float* out, int64_t cols);

}  // namespace fettle
