#include "base/hash.h"
#include "recipe/pull.h"
#include "recipe/starter.h"

namespace fettle {

std::string starter_hash() {
  static const std::string hash = [] {
    Hasher hasher;
    for (const auto& file : starter_files()) hasher.add(file.name).add(file.bytes);
    return hasher.hex();
  }();
  return hash;
}

fs::path unpack_starter(const PullOptions& options) {
  const fs::path target = options.cache / ("starter-" + starter_hash().substr(0, 12));
  if (fs::exists(target / "model" / "config.json")) return target;
  const fs::path made = target.string() + ".making";
  fs::remove_all(made);
  for (const auto& file : starter_files()) write_file(made / file.name, file.bytes);
  replace_folder(made, target);
  return target;
}

}  // namespace fettle
