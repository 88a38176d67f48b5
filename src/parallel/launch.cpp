#include "parallel/launch.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace fettle::parallel {
namespace {

struct Starter {
  const char *by, *size, *rank;
  const char* only_with;  ///< null, or a variable without which the others mean something else
};
// sbatch sets SLURM_PROCID and SLURM_NTASKS in the script's shell too; the step's variables come from srun alone.
constexpr Starter starters[] = {{"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", nullptr},
                                {"mpirun", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", nullptr},
                                {"mpiexec", "PMI_SIZE", "PMI_RANK", nullptr},
                                {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_ID"}};

int number(const char* name, const char* text) {
  int value = 0;
  const char* end = text == nullptr ? text : text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (text == nullptr || error != std::errc() || at != end || value < 0)
    fail_usage("{} is '{}' in the environment, and should be a number that mpirun or srun set: start fettle through one of them, or unset it",
               name, text == nullptr ? "" : text);
  return value;
}

}  // namespace

Launch read_launch(const std::function<const char*(const char*)>& get) {
  for (const Starter& starter : starters) {
    const char* size = get(starter.size);
    if (size == nullptr || (starter.only_with != nullptr && get(starter.only_with) == nullptr)) continue;
    const Launch launch{.rank = number(starter.rank, get(starter.rank)), .size = number(starter.size, size), .by = starter.by};
    if (launch.size < 1 || launch.rank >= launch.size)
      fail_usage("{} is {} and {} is {} in the environment: there is no such rank; start fettle through {}", starter.rank, launch.rank,
                 starter.size, launch.size, starter.by);
    return launch.size == 1 ? Launch{} : launch;
  }
  return {};
}

Launch launch() {
  return read_launch([](const char* name) { return std::getenv(name); });
}

}  // namespace fettle::parallel
