#pragma once
// What a config's `data:` names.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/rows/example.h"

namespace fettle::data {

/// One entry of a config's `data:`.
struct DataSource {
  std::vector<std::string> paths;
  Format format = Format::automatic;
  Columns columns;
  /// How often its rows come: 1 once; 0.25 a quarter of them, chosen by hash of (seed, id); 2.5 twice and a
  /// half.
  double weight = 1.0;
};

/// `data: PATH`, `{path: PATH or [PATH…], format, columns, weight}`, or a list of those. Throws Error(usage)
/// with the key and the nearest valid one.
std::vector<DataSource> data_sources_from_json(const Json& spec, std::string_view where);

}  // namespace fettle::data
