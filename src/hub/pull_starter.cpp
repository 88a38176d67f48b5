#include "base/hash.h"
#include "base/unfinished.h"
#include "hub/pull.h"
#include "hub/starter.h"

namespace fettle::hub {

std::string starter_hash() {
  static const std::string hash = [] {
    Hasher hasher;
    for (const auto& file : starter_files()) hasher.add(file.name).add(file.bytes);
    return hasher.hex();
  }();
  return hash;
}

fs::path unpack_starter(const PullOptions& options) {
  const fs::path target = options.folder() / ("starter-" + starter_hash().substr(0, 12));
  if (fs::exists(target / "model" / "config.json")) return target;
  UnfinishedFolder made(target);
  for (const auto& file : starter_files()) write_file(made.path() / file.name, file.bytes);
  made.commit();
  return target;
}

}  // namespace fettle::hub
