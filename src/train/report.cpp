#include "train/report.h"

#include <cmath>

#include "base/html.h"
#include "base/progress.h"
#include "base/svg_plot.h"

namespace fettle::train {
namespace {

template <typename Rows, typename Value>
PlotSeries series(std::string name, const Rows& rows, Value value, bool dots = false) {
  PlotSeries result{.name = std::move(name), .dots = dots};
  for (const auto& row : rows) {
    const double y = value(row);
    if (std::isnan(y)) continue;  // no row of the step was of this class
    result.x.push_back(static_cast<double>(row.step));
    result.y.push_back(y);
  }
  return result;
}

std::string chart(std::string title, std::vector<PlotSeries> series) {
  return svg_plot(series, {.title = std::move(title), .x_label = "optimiser step"});
}

std::string preference_charts(const std::vector<StepMetrics>& steps, const std::vector<EvalMetrics>& evals) {
  const auto both = [&](const char* title, double StepMetrics::Preference::*member) {
    std::vector<PlotSeries> lines{
        series("training", steps, [&](const StepMetrics& row) { return (*row.preference).*member; })};
    if (!evals.empty())
      lines.push_back(
          series("held out", evals, [&](const EvalMetrics& row) { return (*row.preference).*member; }));
    return chart(title, std::move(lines));
  };
  std::string out = both("Reward accuracy", &StepMetrics::Preference::reward_accuracy);
  out += both("Reward margin", &StepMetrics::Preference::reward_margin);
  out += chart(
      "Rewards",
      {series("chosen", steps, [](const StepMetrics& row) { return row.preference->reward_chosen; }),
       series("rejected", steps, [](const StepMetrics& row) { return row.preference->reward_rejected; })});
  out += chart(
      "Log-probabilities",
      {series("chosen", steps, [](const StepMetrics& row) { return row.preference->logp_chosen; }),
       series("rejected", steps, [](const StepMetrics& row) { return row.preference->logp_rejected; })});
  return out;
}

std::string summary_table(const FinishedRun& run) {
  const TrainPlan& plan = run.result.plan;
  std::vector<std::vector<std::string>> rows{
      {"method", run.config.method},
      {"model", run.config.model},
      {"parameters", fmt::format("{} ({} trained)", human_count(static_cast<double>(plan.parameters)),
                                 human_count(static_cast<double>(plan.trainable_parameters)))},
      {"rows", fmt::format("{}", plan.rows)},
      {"optimiser steps", fmt::format("{}", plan.steps)},
      {"machine", plan.backend},
  };
  double seconds = 0.0, tokens = 0.0;
  int64_t peak = 0;
  for (const StepMetrics& step : run.result.steps) {
    seconds += step.seconds;
    tokens += static_cast<double>(step.tokens);
    peak = std::max(peak, step.peak_memory_bytes);
  }
  rows.push_back({"time in steps", human_seconds(seconds)});
  if (seconds > 0.0) rows.push_back({"tokens per second", fmt::format("{:.0f}", tokens / seconds)});
  rows.push_back({"peak memory", human_bytes(static_cast<double>(peak))});
  return html_table({"", ""}, rows);
}

std::string eval_table(const std::vector<EvalMetrics>& evals) {
  if (evals.empty()) return "";
  const bool preference = evals.front().preference.has_value();
  std::vector<std::string> head{"after step", "loss"};
  if (preference) head.insert(head.end(), {"reward accuracy", "reward margin"});
  std::vector<std::vector<std::string>> rows;
  for (const EvalMetrics& eval : evals) {
    rows.push_back({fmt::format("{}", eval.step), fmt::format("{:.4f}", eval.loss)});
    if (!eval.preference) continue;
    rows.back().push_back(
        fmt::format("{:.3f} ± {:.3f}", eval.preference->reward_accuracy, eval.reward_accuracy_error));
    rows.back().push_back(fmt::format("{:.4f}", eval.preference->reward_margin));
  }
  return fmt::format("<h2>Held-out rows ({})</h2>\n{}", evals.front().rows, html_table(head, rows));
}

}  // namespace

std::string report_charts(const std::vector<StepMetrics>& steps, const std::vector<EvalMetrics>& evals) {
  std::vector<PlotSeries> loss{series("training", steps, [](const StepMetrics& row) { return row.loss; })};
  if (!evals.empty())
    loss.push_back(series("held out", evals, [](const EvalMetrics& row) { return row.loss; }));
  std::string out = "<div class=\"charts\">\n" + chart("Loss", std::move(loss));
  if (!steps.empty() && steps.front().preference) out += preference_charts(steps, evals);
  out +=
      chart("Learning rate", {series("", steps, [](const StepMetrics& row) { return row.learning_rate; })});
  out += chart("Gradient norm before clipping",
               {series("", steps, [](const StepMetrics& row) { return row.grad_norm; })});
  return out + "</div>\n";
}

std::string report_page(const FinishedRun& run) {
  std::string body = summary_table(run);
  body += "<h2>Curves</h2>\n" + report_charts(run.result.steps, run.result.evals);
  body += eval_table(run.result.evals);
  body += fmt::format("<h2>Data</h2>\n<pre>{}</pre>\n", html_escape(run.rows.summary));
  if (run.eval.size() > 0)
    body += fmt::format("<p>Held out:</p>\n<pre>{}</pre>\n", html_escape(run.eval.summary));
  body += fmt::format("<h2>Config</h2>\n<pre>{}</pre>\n", html_escape(dump_json(to_json(run.config), 2)));
  const std::string name = fs::absolute(run.config.out).lexically_normal().filename().string();
  return html_page(fmt::format("{}: {} of {}", name, run.config.method, run.config.model), body);
}

}  // namespace fettle::train
