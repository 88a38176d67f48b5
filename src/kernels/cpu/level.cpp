#include "kernels/cpu/level.h"

#include <dnnl.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "kernels/cpu/targets.h"

#include "hwy/highway.h"
#include "hwy/targets.h"

namespace fettle::cpu {
namespace {

struct Choice {
  std::string_view word;  ///< of $FETTLE_CPU
  const char* name;
  dnnl::cpu_isa isa;
};
// In the order of Level.
constexpr std::array<Choice, 5> choices{{{"baseline", "cpu baseline", dnnl::cpu_isa::sse41},
                                         {"avx2", "cpu avx2", dnnl::cpu_isa::avx2},
                                         {"avx512", "cpu avx512", dnnl::cpu_isa::avx512_core_vnni},
                                         {"bf16", "cpu avx512 bf16", dnnl::cpu_isa::avx512_core_bf16},
                                         {"amx", "cpu amx", dnnl::cpu_isa::avx512_core_amx}}};

Level from_environment() {
  const char* text = std::getenv("FETTLE_CPU");
  if (text == nullptr || *text == '\0') return Level::amx;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].word == text) return static_cast<Level>(i);
  }
  fail_usage("FETTLE_CPU must be baseline, avx2, avx512, bf16 or amx, got '{}'", text);
}

Level from_argument(CpuLevel widest) {
  switch (widest) {
    case CpuLevel::avx2:
      return Level::avx2;
    case CpuLevel::avx512:
      return Level::avx512;
    case CpuLevel::avx512_bf16:
      return Level::avx512_bf16;
    case CpuLevel::amx:
    case CpuLevel::best:
      return Level::amx;
  }
  return Level::amx;
}

/// What Highway's kernels may use here, at most `widest`.
Level vectors_up_to(Level widest) {
  int64_t unwanted = 0;
  if (widest < Level::avx512) unwanted |= HWY_AVX3 | HWY_AVX3_DL;
  if (widest < Level::avx2) unwanted |= HWY_AVX2;
  hwy::DisableTargets(unwanted);
  const int64_t supported = hwy::SupportedTargets();
  if ((supported & HWY_AVX3) != 0) return Level::avx512;
  return (supported & HWY_AVX2) != 0 ? Level::avx2 : Level::baseline;
}

/// What oneDNN settles for. It must not have run before.
Level products_up_to(Level widest) {
  if (widest < Level::amx) dnnl::set_max_cpu_isa(choices[static_cast<size_t>(widest)].isa);
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::avx512_core_amx:
      return Level::amx;
    case dnnl::cpu_isa::avx512_core_bf16:
      return Level::avx512_bf16;
    case dnnl::cpu_isa::avx512_core_vnni:
    case dnnl::cpu_isa::avx512_core:
      return Level::avx512;
    case dnnl::cpu_isa::avx2_vnni:
    case dnnl::cpu_isa::avx2:
      return Level::avx2;
    case dnnl::cpu_isa::sse41:
    case dnnl::cpu_isa::avx:
      return Level::baseline;
    default:
      return Level::amx;  // "all" and whatever is newer
  }
}

}  // namespace

Level choose_level(CpuLevel widest) {
  static std::mutex mutex;
  static std::optional<Level> chosen;
  const std::lock_guard lock(mutex);
  const Level asked = std::min(from_environment(), from_argument(widest));
  if (!chosen) {
    const Level vectors = vectors_up_to(asked);
    chosen = std::min(products_up_to(asked), vectors < Level::avx512 ? vectors : asked);
  }
  if (asked < *chosen) {
    fail_usage(
        "this process already computes with {}, it cannot be narrowed to {} now; set FETTLE_CPU before the "
        "start",
        level_name(*chosen), level_name(asked));
  }
  return *chosen;
}

const char* level_name(Level level) {
  return choices[static_cast<size_t>(level)].name;
}

}  // namespace fettle::cpu
