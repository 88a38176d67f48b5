#pragma once
// Line charts as inline SVG for html_page(): axes with round ticks, a legend, values on hover. No script.
#include <string>
#include <vector>

namespace fettle {

struct PlotSeries {
  std::string name;
  std::vector<double> x, y;  ///< of one length; points with a y that is not finite leave a gap
  bool dots = false;         ///< marks instead of a line
};

struct PlotOptions {
  std::string title, x_label, y_label;
  bool log_y = false;  ///< points that are not positive are left out
  int width = 640, height = 300;
};

/// An <svg> element. Series beyond 2000 points are thinned to the extremes of each pixel column. Empty input
/// gives a chart that says so.
std::string svg_plot(const std::vector<PlotSeries>& series, const PlotOptions& options);

}  // namespace fettle
