#include "parallel/world.h"

#include <sched.h>

#include <algorithm>
#include <memory>

#include "base/threads.h"
#include "parallel/mpi_group.h"

namespace fettle::parallel {
namespace {

struct World {
  std::unique_ptr<ProcessGroup> mpi;
  ProcessGroup* group = nullptr;
};
World& the_world() {
  static World world;
  return world;
}

/// mpirun binds few ranks to a processor each, and leaves many where all of them may run on all.
void share_processors(ProcessGroup& group) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return;
  const std::string name = group.name(group.rank());
  std::string own(reinterpret_cast<const char*>(&set), sizeof set);
  own += name.substr(std::min(name.size(), name.find(" on ")));
  const std::vector<std::string> all = group.all_gather(own);
  const auto sharing = std::count(all.begin(), all.end(), own);
  if (sharing > 1) set_threads(static_cast<int>(std::max<int64_t>(1, threads() / sharing)));
}

}  // namespace

ProcessGroup& world(bool threads_chosen) {
  World& world = the_world();
  if (world.group != nullptr) return *world.group;
  const Launch launched = launch();
  if (launched.size == 1) return *(world.group = &alone());
  world.mpi = make_mpi_group(launched);
  world.group = world.mpi.get();
  if (!threads_chosen) share_processors(*world.group);
  return *world.group;
}

ProcessGroup* joined_world() { return the_world().group; }

void leave_world() {
  World& world = the_world();
  world.group = nullptr;
  world.mpi.reset();
}

}  // namespace fettle::parallel
