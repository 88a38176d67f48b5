#pragma once
// Matrix products by oneDNN. Its primitives are made once per shape and kept.
#include <cstdint>
#include <memory>

namespace fettle::cpu {

class Workspace;

/// One side of a product: row-major as it is stored, f32 or bf16.
struct Operand {
  const void* data;
  int64_t stride;
  bool transposed;
  bool bf16;
};

/// Not thread-safe.
class ProductEngine {
 public:
  explicit ProductEngine(bool has_bf16);
  ~ProductEngine();
  bool has_bf16() const { return has_bf16_; }

  /// c[m, n] = alpha * op(a) op(b) + beta * c; m, n, k > 0. Both operands of one type.
  void run(float* c, int64_t c_stride, int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b,
           float alpha, float beta, Workspace& workspace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool has_bf16_;
};

}  // namespace fettle::cpu
