#include "kernels/cpu/cpu_backend.h"

#include <algorithm>
#include <atomic>

#include "base/threads.h"
#include "kernels/cpu/level.h"

namespace fettle::cpu {

int64_t Workspace::bytes() const {
  int64_t sum = 0;
  for (const Buffer& buffer : buffers_) sum += buffer.bytes();
  return sum;
}

void* Workspace::reserve(Slot slot, int64_t bytes) {
  Buffer& buffer = buffers_[slot];
  if (buffer.bytes() < bytes) {
    // Freed first, so that both never stand side by side.
    buffer = Buffer();
    buffer = Buffer((bytes + 4095) / 4096 * 4096);
  }
  return buffer.data();
}

void for_row_pieces(int64_t rows, int64_t cols, const std::function<void(int64_t, int64_t)>& body) {
  constexpr int64_t elements_worth_a_thread = 1 << 15;
  parallel_for(rows, std::max<int64_t>(1, elements_worth_a_thread / std::max<int64_t>(1, cols)), body);
}

void for_tasks(int64_t tasks, const std::function<void(int64_t, int64_t)>& body) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(tasks, threads()), 1, [&](int64_t begin, int64_t) {
    for (int64_t task = next++; task < tasks; task = next++) body(begin, task);
  });
}

CpuBackend::CpuBackend(CpuLevel widest)
    : name_(level_name(choose_level(widest))), engine_(choose_level(widest) >= Level::avx512_bf16) {
  threads();  // settles how many threads oneDNN takes
}

}  // namespace fettle::cpu

namespace fettle {
std::unique_ptr<Backend> make_cpu_backend(CpuLevel level) {
  return std::make_unique<cpu::CpuBackend>(level);
}
}  // namespace fettle
