#pragma once
// The page of `fettle data stats --html`: a data set in plots, and what the passes before it dropped.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/passes/stats.h"

namespace fettle::data {

/// One pass of a pipeline, from its report.
struct FlowPass {
  std::string verb;
  int64_t in = 0, out = 0;
  std::vector<std::pair<std::string, int64_t>> reasons;  ///< most first
};
/// Reports that passes wrote (--report), in the order given. Throws Error where one is no report.
std::vector<FlowPass> read_flow(const std::vector<std::string>& reports);

/// A whole HTML page; nothing in it loads from elsewhere. `flow` may be empty.
std::string stats_page(const StatsReport& report, const std::vector<FlowPass>& flow);

}  // namespace fettle::data
