#pragma once
// Which instruction sets this process uses. One choice for the whole process: Highway and oneDNN both keep it
// globally.
#include "kernels/kernels.h"

namespace fettle::cpu {

/// What is used: the machine's best, narrowed by $FETTLE_CPU and by the first call of choose_level.
/// Thread-safe.
enum class Level : uint8_t { baseline, avx2, avx512, avx512_bf16, amx };

/// The first call decides; a later call that asks for a narrower set than was chosen is a usage error. Throws
/// Error(usage) when $FETTLE_CPU is not a name.
Level choose_level(CpuLevel widest);

/// "cpu avx2", …
const char* level_name(Level level);

}  // namespace fettle::cpu
