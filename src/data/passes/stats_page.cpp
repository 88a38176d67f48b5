#include "data/passes/stats_page.h"

#include <algorithm>

#include "base/html.h"
#include "base/progress.h"

namespace fettle::data {
namespace {

constexpr const char* kept_colour = "#0072b2";
constexpr const char* dropped_colour = "#d55e00";

std::string short_label(std::string text, size_t most) {
  if (text.size() <= most) return text;
  size_t cut = most;
  while (cut > 0 && (static_cast<uint8_t>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "…";
}

std::string label(double x, double y, std::string_view text, std::string_view extra = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>", x, y, extra, html_escape(text));
}

std::string bar(double x, double y, double width, double height, const char* colour, std::string_view hover) {
  return fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"><title>{}</title></rect>",
                     x, y, width, height, colour, html_escape(hover));
}

/// Upright bars, one for each bin, with the bins' lower bounds under them.
std::string histogram(const std::string& title, const std::string& unit, const Distribution& values) {
  constexpr double width = 560, height = 260, left = 12, bottom = 40, top = 34;
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\">", width, height);
  svg += label(left, 20, fmt::format("{} (median {}, mean {:.1f})", title, values.median, values.mean), "class=\"title\"");
  int64_t most = 1;
  for (const auto& [from, count] : values.histogram) most = std::max(most, count);
  const double step = (width - 2 * left) / static_cast<double>(std::max<size_t>(1, values.histogram.size()));
  for (size_t i = 0; i < values.histogram.size(); ++i) {
    const auto& [from, count] = values.histogram[i];
    const double tall = (height - top - bottom) * static_cast<double>(count) / static_cast<double>(most);
    const double x = left + step * static_cast<double>(i), y = height - bottom - tall;
    svg += bar(x + step * 0.08, y, step * 0.84, tall, kept_colour, fmt::format("from {} {}: {} rows", from, unit, count));
    svg += label(x + step / 2, height - bottom + 16, human_count(static_cast<double>(from)), "text-anchor=\"middle\"");
  }
  svg += label(width / 2, height - 6, unit + " from", "text-anchor=\"middle\" class=\"soft\"");
  return svg + "</svg>";
}

/// Lying bars, the longest first.
std::string ranking(const std::string& title, const std::map<std::string, int64_t>& counts) {
  constexpr size_t shown = 15;
  std::vector<std::pair<int64_t, std::string>> sorted;
  int64_t others = 0;
  for (const auto& [name, count] : counts) {
    if (name == other_groups) {
      others = count;
    } else {
      sorted.emplace_back(-count, name);
    }
  }
  std::sort(sorted.begin(), sorted.end());
  while (sorted.size() > shown) {
    others -= sorted.back().first;
    sorted.pop_back();
  }
  if (others > 0) sorted.emplace_back(-others, other_groups);
  const double most = sorted.empty() ? 1 : static_cast<double>(std::max(-sorted.front().first, others));
  constexpr double width = 560, left = 190, row = 21, top = 34;
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\">", width, top + row * static_cast<double>(sorted.size()) + 8);
  svg += label(12, 20, title, "class=\"title\"");
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double y = top + row * static_cast<double>(i), wide = (width - left - 90) * static_cast<double>(-sorted[i].first) / most;
    svg += label(left - 8, y + 14, short_label(sorted[i].second, 26), "text-anchor=\"end\"");
    svg += bar(left, y + 2, wide, row - 6, kept_colour, fmt::format("{}: {}", sorted[i].second, -sorted[i].first));
    svg += label(left + wide + 6, y + 14, std::to_string(-sorted[i].first));
  }
  return svg + "</svg>";
}

/// From the raw rows at the top to the final ones at the bottom, each pass narrowing the stream.
std::string flow_chart(const std::vector<FlowPass>& flow) {
  constexpr double width = 900, left = 110, wide = 380, bar_height = 16, line = 17;
  constexpr size_t shown = 7;
  const double whole = static_cast<double>(std::max<int64_t>(1, flow.front().in));
  const auto share = [&](int64_t rows) { return wide * static_cast<double>(rows) / whole; };
  std::string body;
  double y = 16;
  for (const auto& pass : flow) {
    const double in = share(pass.in), out = share(std::min(pass.in, pass.out)), lines = static_cast<double>(std::min(shown + 1, pass.reasons.size()));
    const double tall = std::max(64.0, bar_height + 14 + line * lines);
    body += label(left - 10, y + 13, pass.verb, "text-anchor=\"end\" class=\"title\"");
    body += label(left - 10, y + 30, fmt::format("{} rows", pass.in), "text-anchor=\"end\" class=\"soft\"");
    body += bar(left, y, out, bar_height, kept_colour, fmt::format("{}: {} kept", pass.verb, pass.out));
    body += bar(left + out, y, in - out, bar_height, dropped_colour, fmt::format("{}: {} dropped", pass.verb, pass.in - pass.out));
    body += fmt::format("<path d=\"M{:.1f} {:.1f} H{:.1f} V{:.1f} H{:.1f} Z\" fill=\"{}\" opacity=\"0.18\"/>", left, y + bar_height,
                        left + out, y + tall, left, kept_colour);
    double at = y + 12;
    int64_t others = 0;
    for (size_t i = 0; i < pass.reasons.size(); ++i) {
      const auto& [reason, count] = pass.reasons[i];
      if (i >= shown) {
        others += count;
        continue;
      }
      body += label(left + wide + 20, at, fmt::format("−{}  {}", count, short_label(reason, 52)));
      at += line;
    }
    if (others > 0) body += label(left + wide + 20, at, fmt::format("−{}  other reasons", others));
    y += tall;
  }
  body += bar(left, y, share(flow.back().out), bar_height, kept_colour, fmt::format("{} rows at the end", flow.back().out));
  body += label(left - 10, y + 13, "final", "text-anchor=\"end\" class=\"title\"");
  body += label(left + share(flow.back().out) + 8, y + 13,
                fmt::format("{} rows, {:.1f} % of the raw ones", flow.back().out, 100 * static_cast<double>(flow.back().out) / whole));
  return fmt::format("<svg viewBox=\"0 0 {} {:.0f}\">{}</svg>", width, y + bar_height + 14, body);
}

std::string table_of(const StatsReport& report) {
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, const Distribution& d) {
    rows.push_back({name, std::to_string(d.total), fmt::format("{:.1f}", d.mean), std::to_string(d.least), std::to_string(d.p5),
                    std::to_string(d.median), std::to_string(d.p95), std::to_string(d.p99), std::to_string(d.most)});
  };
  add("turns", report.turns);
  add("characters", report.characters);
  if (report.tokens.count > 0) add("tokens", report.tokens);
  for (const auto& [role, d] : report.role_characters) add("characters of " + role, d);
  return html_table({"per row", "total", "mean", "least", "5 %", "median", "95 %", "99 %", "most"}, rows);
}

}  // namespace

std::vector<FlowPass> read_flow(const std::vector<std::string>& reports) {
  std::vector<FlowPass> flow;
  for (const auto& path : reports) {
    const Json report = read_json(path);
    FlowPass pass{json_get<std::string>(report, "verb", path), json_get<int64_t>(report, "in", path),
                  json_get<int64_t>(report, "out", path), {}};
    for (const auto& [reason, count] : json_get<std::map<std::string, int64_t>>(report, "reasons", path)) {
      pass.reasons.emplace_back(reason, count);
    }
    std::stable_sort(pass.reasons.begin(), pass.reasons.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    flow.push_back(std::move(pass));
  }
  return flow;
}

std::string stats_page(const StatsReport& report, const std::vector<FlowPass>& flow) {
  std::string body = fmt::format("<p>{} rows, {} that could not be read, {} repaired, {} that repeat the texts of another.</p>", report.rows,
                                 report.rejected, report.repaired, report.equal_texts);
  if (!flow.empty()) body += "<h2>From raw to final</h2>" + flow_chart(flow);
  body += "<h2>Lengths</h2><div class=\"charts\">" + histogram("Turns of a row", "turns", report.turns) +
          histogram("Characters of a row", "characters", report.characters);
  if (report.tokens.count > 0) body += histogram("Tokens of a row", "tokens", report.tokens);
  body += "</div>" + table_of(report) + "<h2>Kinds</h2><div class=\"charts\">";
  if (!report.languages.empty()) body += ranking("Languages", report.languages);
  body += ranking("Formats", report.formats) + ranking("Texts by role", report.roles);
  for (const auto& [field, counts] : report.groups) {
    // A field that is another in every row, such as the page it came from, has no picture.
    if (counts.size() > 1 && std::ranges::all_of(counts, [](const auto& c) { return c.second == 1 || c.first == other_groups; })) continue;
    body += ranking("By " + field, counts);
  }
  return html_page("Data", body + "</div>");
}

}  // namespace fettle::data
