#include "kernels/measure.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

#include "base/threads.h"

namespace fettle {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of the fastest run within the time given; at least two runs.
double best_time(double budget, const std::function<void()>& run) {
  double best = 1e30;
  const double begin = now();
  for (int i = 0; i < 2 || now() - begin < budget; ++i) {
    const double start = now();
    run();
    best = std::min(best, now() - start);
  }
  return best;
}

double square_product(Backend& backend, DType type, double budget) {
  double best = 0;
  // Which size is fastest depends on the caches.
  for (const int64_t n : {1024, 1536}) {
    Buffer a_block(n * n * 4, backend.memory()), b_block(n * n * 4, backend.memory()),
        c_block(n * n * 4, backend.memory());
    const Tensor a(a_block.data(), type, n, n), b(b_block.data(), type, n, n),
        c(c_block.data(), DType::f32, n, n);
    backend.fill(a, 0.5F);
    backend.fill(b, 0.25F);
    const MatMul options{.product = type == DType::bf16 ? Product::bf16 : Product::f32};
    const double time = best_time(budget / 2, [&] {
      backend.matmul(c, a, b, options);
      backend.synchronize();
    });
    best = std::max(best, 2e-9 * static_cast<double>(n * n * n) / time);
  }
  return best;
}

}  // namespace

MachineSpeed measure_machine(Backend& backend, double seconds) {
  MachineSpeed speed;
  speed.f32_gflops = square_product(backend, DType::f32, seconds / 4);
  if (backend.has_bf16()) speed.bf16_gflops = square_product(backend, DType::bf16, seconds / 4);

  constexpr int64_t bytes = 256 << 20;
  Buffer from(bytes, backend.memory()), to(bytes, backend.memory());
  const Tensor source(from.data(), DType::f32, 1, bytes / 4), target(to.data(), DType::f32, 1, bytes / 4);
  backend.fill(source, 1.0F);
  backend.fill(target, 0.0F);
  const double copy = best_time(seconds / 4, [&] {
    backend.copy(target, source);
    backend.synchronize();
  });
  float total = 0;
  Buffer sum_block(64, backend.memory());
  const Tensor sum(sum_block.data(), DType::f32, 1, 1);
  const double read = best_time(seconds / 4, [&] {
    backend.sum_squares(sum, source);
    backend.copy_to_host(&total, sum);
  });
  speed.copy_gbs = 2e-9 * bytes / copy;
  speed.read_gbs = 1e-9 * bytes / read;
  return speed;
}

}  // namespace fettle
