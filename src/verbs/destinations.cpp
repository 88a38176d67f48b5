#include "verbs/destinations.h"

#include "base/error.h"
#include "base/standard_output.h"

namespace fettle::verbs {
namespace {

struct Destination {
  std::string key, path;
};

std::vector<Destination> destinations_of(const std::vector<KeyInfo>& keys, const KeyValues& values) {
  std::vector<Destination> all;
  for (const auto& key : keys) {
    if (key.use != KeyInfo::Use::output) continue;
    const OrderedJson& value = values.has(key.name) ? values.values()[key.name] : key.fallback;
    if (value.is_string() && value != "") all.push_back({values.shown(key.name), value.get<std::string>()});
  }
  return all;
}

/// A pipe or a device (/dev/null) may take several things.
bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code unknown;
  if (fs::exists(a, unknown) && fs::is_other(a, unknown)) return false;
  const fs::path one = fs::weakly_canonical(a, unknown);
  return !unknown && one == fs::weakly_canonical(b, unknown);
}

}  // namespace

void check_destinations(const std::vector<KeyInfo>& keys, const KeyValues& values) {
  const auto all = destinations_of(keys, values);
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const auto &a = all[j], &b = all[i];
      if (is_standard_output(a.path) && is_standard_output(b.path))
        fail_usage("{} and {} both go to standard output; name a file for one of them", a.key, b.key);
      if (!is_standard_output(a.path) && is_same_file(a.path, b.path))
        fail_usage("{} and {} both go to '{}'; name another file for one of them", a.key, b.key, a.path);
    }
  }
}

bool take_standard_output(const std::vector<KeyInfo>& keys, const KeyValues& values) {
  for (const auto& destination : destinations_of(keys, values))
    if (is_standard_output(destination.path)) return true;
  return false;
}

}  // namespace fettle::verbs
