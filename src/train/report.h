#pragma once
// OUT/report.html: the run as one page that opens without a network.
#include <string>

#include "train/output.h"

namespace fettle::train {

std::string report_page(const FinishedRun& run);

/// The charts alone, for pages that show several runs.
std::string report_charts(const std::vector<StepMetrics>& steps, const std::vector<EvalMetrics>& evals);

}  // namespace fettle::train
