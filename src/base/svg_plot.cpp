#include "base/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/html.h"

namespace fettle {
namespace {

/// Okabe and Ito's colours: told apart by colour-blind readers, on light and dark.
constexpr std::array<const char*, 6> kColours{"#0072b2", "#d55e00", "#009e73",
                                              "#cc79a7", "#e69f00", "#56b4e9"};
constexpr double kLeft = 62.0, kRight = 16.0, kTop = 34.0, kBottom = 42.0;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  void widen() {
    if (high > low) return;
    const double pad = low == 0.0 ? 1.0 : std::abs(low) * 0.1;
    low -= pad;
    high += pad;
  }
};

/// 1, 2 or 5 times a power of ten, so that `range` has about `count` of them.
double round_step(const Range& range, int count) {
  const double raw = (range.high - range.low) / count, power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10.0 * power;
}

struct Frame {
  const PlotOptions& options;
  Range x, y;  ///< y in log10 when options.log_y

  double height_of(double value) const { return options.log_y ? std::log10(value) : value; }
  bool usable(double value) const { return std::isfinite(value) && (!options.log_y || value > 0.0); }
  double px(double value) const {
    return kLeft + (value - x.low) / (x.high - x.low) * (options.width - kLeft - kRight);
  }
  double py(double value) const {
    return options.height - kBottom -
           (height_of(value) - y.low) / (y.high - y.low) * (options.height - kTop - kBottom);
  }
};

std::string label(double value) {
  return fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::string axes(const Frame& frame) {
  std::string out;
  const double bottom = frame.options.height - kBottom, right = frame.options.width - kRight;
  const double x_step = round_step(frame.x, 6);
  for (double x = std::ceil(frame.x.low / x_step) * x_step; x <= frame.x.high + 1e-9 * x_step; x += x_step)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", frame.px(x),
                       bottom + 16.0, label(x));
  const double y_step = round_step(frame.y, 5);
  for (double y = std::ceil(frame.y.low / y_step) * y_step; y <= frame.y.high + 1e-9 * y_step; y += y_step) {
    const double value = frame.options.log_y ? std::pow(10.0, y) : y, at = frame.py(value);
    out += fmt::format("<line class=\"grid\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       kLeft, at, right, at);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 6.0,
                       at + 4.0, label(value));
  }
  out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                     (kLeft + right) / 2.0, frame.options.height - 8.0, html_escape(frame.options.x_label));
  return out;
}

/// Indices of at most two points per pixel column: the lowest and the highest.
std::vector<size_t> thinned(const PlotSeries& series, const Frame& frame) {
  std::vector<size_t> result;
  const size_t count = series.x.size();
  if (count <= 2000) {
    for (size_t i = 0; i < count; ++i) result.push_back(i);
    return result;
  }
  for (size_t begin = 0; begin < count;) {
    const int column = static_cast<int>(frame.px(series.x[begin]));
    size_t end = begin, low = begin, high = begin;
    for (; end < count && static_cast<int>(frame.px(series.x[end])) == column; ++end) {
      if (series.y[end] < series.y[low]) low = end;
      if (series.y[end] > series.y[high]) high = end;
    }
    result.push_back(std::min(low, high));
    if (low != high) result.push_back(std::max(low, high));
    begin = end;
  }
  return result;
}

std::string curve(const PlotSeries& series, const Frame& frame, const char* colour) {
  std::string path, dots;
  bool pen_down = false;
  const std::vector<size_t> points = thinned(series, frame);
  for (const size_t i : points) {
    if (!frame.usable(series.y[i]) || !std::isfinite(series.x[i])) {
      pen_down = false;
      continue;
    }
    const double x = frame.px(series.x[i]), y = frame.py(series.y[i]);
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y);
    pen_down = true;
    if (series.dots || points.size() <= 200)
      dots += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"><title>{}: {} at {}</title></circle>\n",
          x, y, series.dots ? 4 : 2, colour, html_escape(series.name), label(series.y[i]),
          label(series.x[i]));
  }
  std::string out;
  if (!series.dots && !path.empty())
    out = fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"/>\n", path, colour);
  return out + dots;
}

std::string legend(const std::vector<PlotSeries>& series) {
  std::string out;
  double x = kLeft + 8.0;
  for (size_t i = 0; i < series.size(); ++i) {
    if (series[i].name.empty()) continue;
    const double y = kTop + 4.0;
    out += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"3\" fill=\"{}\"/>", x, y,
                       kColours[i % kColours.size()]);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", x + 18.0, y + 6.0,
                       html_escape(series[i].name));
    x += 30.0 + 7.0 * static_cast<double>(series[i].name.size());
  }
  return out;
}

}  // namespace

std::string svg_plot(const std::vector<PlotSeries>& series, const PlotOptions& options) {
  Frame frame{options, {}, {}};
  for (const PlotSeries& one : series) {
    for (size_t i = 0; i < one.x.size(); ++i) {
      if (!frame.usable(one.y[i]) || !std::isfinite(one.x[i])) continue;
      frame.x.include(one.x[i]);
      frame.y.include(frame.height_of(one.y[i]));
    }
  }
  std::string body = fmt::format("<text class=\"title\" x=\"{:.1f}\" y=\"20\">{}{}</text>\n", kLeft,
                                 html_escape(options.title),
                                 options.y_label.empty() ? "" : " (" + html_escape(options.y_label) + ")");
  if (frame.x.empty()) {
    body += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">no values</text>\n",
                        options.width / 2, options.height / 2);
  } else {
    frame.x.widen();
    frame.y.widen();
    body += axes(frame);
    for (size_t i = 0; i < series.size(); ++i) body += curve(series[i], frame, kColours[i % kColours.size()]);
    if (series.size() > 1) body += legend(series);
  }
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n{}</svg>\n", options.width,
                     options.height, html_escape(options.title), body);
}

}  // namespace fettle
