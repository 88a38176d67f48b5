#include "cli/destinations.h"

#include "base/error.h"
#include "base/standard_output.h"

namespace fettle::cli {

void check_destinations(const std::vector<Destination>& destinations) {
  // A pipe or a device (/dev/null) may take several things.
  const auto is_same_file = [](const fs::path& a, const fs::path& b) {
    std::error_code unknown;
    if (fs::exists(a, unknown) && fs::is_other(a, unknown)) return false;
    const fs::path one = fs::weakly_canonical(a, unknown);
    return !unknown && one == fs::weakly_canonical(b, unknown);
  };
  for (size_t i = 0; i < destinations.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const auto &a = destinations[j], &b = destinations[i];
      if (a.path.empty() || b.path.empty()) continue;
      if (is_standard_output(a.path) && is_standard_output(b.path))
        fail_usage("{} and {} both go to standard output; name a file for one of them", a.option, b.option);
      if (!is_standard_output(a.path) && is_same_file(a.path, b.path))
        fail_usage("{} and {} both go to '{}'; name another file for one of them", a.option, b.option, a.path);
    }
  }
}

}  // namespace fettle::cli
