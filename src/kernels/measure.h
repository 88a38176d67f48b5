#pragma once
// What this machine can do at most, measured: the numbers that speeds are fractions of.
#include "kernels/kernels.h"

namespace fettle {

struct MachineSpeed {
  double f32_gflops = 0;   ///< the largest square product, operands as the product takes them
  double bf16_gflops = 0;  ///< 0 where the backend has no bf16 products
  double read_gbs = 0;     ///< 10^9 bytes a second, all threads reading a block larger than the caches
  double copy_gbs = 0;     ///< the same, bytes read and bytes written both counted
};

/// Takes about `seconds` and 0.5 GB. The best of several tries, so that a busy machine disturbs it little.
MachineSpeed measure_machine(Backend& backend, double seconds = 1.0);

}  // namespace fettle
