#include <sstream>

#include "base/html.h"
#include "base/progress.h"
#include "recipe/steps.h"
#include "train/metrics.h"
#include "train/report.h"

namespace fettle {
namespace {

std::vector<std::string> paths_of(const OrderedJson& params, const char* key) {
  std::vector<std::string> paths;
  if (!params.contains(key)) return paths;
  const OrderedJson& value = params[key];
  if (value.is_string()) return {value.get<std::string>()};
  for (const auto& path : value) paths.push_back(path.get<std::string>());
  return paths;
}

/// Steps by the folder that a path lies in: ".../steps/dpo-41c0…/model" is of step dpo.
std::string step_of(const fs::path& path) {
  for (fs::path folder = path; folder.has_relative_path(); folder = folder.parent_path()) {
    if (fs::exists(folder / "step.json")) return json_get<std::string>(read_json(folder / "step.json"), "step", folder.string());
  }
  return path.filename().string();
}

/// The rows of a metrics file; none when there is no file.
template <typename Parse>
auto read_log(const fs::path& file, Parse parse) {
  std::vector<decltype(parse(Json(), file.string()))> rows;
  if (!fs::exists(file)) return rows;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line);) rows.push_back(parse(parse_json(line, file.string()), file.string()));
  return rows;
}

std::string training_section(const fs::path& model) {
  const auto steps = read_log(model / "metrics.jsonl", train::step_metrics_from_json);
  const auto evals = read_log(model / "eval.jsonl", train::eval_metrics_from_json);
  return fmt::format("<h2>Training: {}</h2>\n{}", html_escape(step_of(model)), train::report_charts(steps, evals));
}

std::string share(const Json& value) {
  return fmt::format("{:.1f} ± {:.1f} %", 100 * value.at("value").get<double>(), 100 * value.at("standard_error").get<double>());
}

std::string score_section(const fs::path& file) {
  const Json scores = read_json(file);
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, model] : OrderedJson::parse(read_file(file)).at("models").items()) {
    const Json values = Json::parse(model.dump());
    rows.push_back({name + (values.at("is_reference").get<bool>() ? " (reference)" : ""), share(values.at("reward_accuracy")),
                    fmt::format("{:.4f}", values.at("reward_margin").get<double>()), share(values.at("logp_accuracy")),
                    share(values.at("mean_logp_accuracy")), std::to_string(values.at("pairs").get<int64_t>())});
  }
  return fmt::format(
      "<h2>Held-out pairs</h2>\n{}<p>Reward accuracy: how often the chosen answer's reward, {} times the log-ratio to the reference, is above "
      "the rejected one's; the reference itself has no rewards, every pair is a tie and counts one half. Likelihood columns compare the "
      "answers' log-probabilities without a reference, summed and per token. ± is one standard error.</p>\n",
      html_table({"model", "reward accuracy", "reward margin", "likelier answer is the chosen one", "the same per token", "pairs"}, rows),
      scores.at("beta").get<double>());
}

std::string sample_section(const fs::path& file) {
  const OrderedJson samples = OrderedJson::parse(read_file(file));
  std::string body = "<h2>Sample answers</h2>\n<div class=\"wide\"><table><thead><tr><th>prompt</th>";
  for (const auto& [name, answer] : samples.at(0).at("answers").items()) body += "<th>" + html_escape(name) + "</th>";
  body += "</tr></thead><tbody>\n";
  for (const auto& sample : samples) {
    body += "<tr><td>" + html_escape(sample.at("prompt").get<std::string>()) + "</td>";
    for (const auto& [name, answer] : sample.at("answers").items()) {
      body += "<td style=\"white-space: pre-wrap\">" + html_escape(answer.get<std::string>()) + "</td>";
    }
    body += "</tr>\n";
  }
  return body + "</tbody></table></div>\n";
}

std::string lineage_section(const StepContext& context) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& step : context.recipe.steps) {
    const fs::path marker = context.out / step.name / "step.json";
    if (!fs::exists(marker)) continue;
    const Json done = read_json(marker);
    rows.push_back({step.name, step.kind, done.at("key").get<std::string>(), fmt::format("{}", fmt::join(step.needs, ", ")),
                    human_seconds(done.at("seconds").get<double>())});
  }
  return fmt::format("<h2>Lineage</h2>\n{}<details><summary>The recipe</summary><pre>{}</pre></details>\n",
                     html_table({"step", "does", "key", "needs", "took"}, rows), html_escape(dump_json(context.recipe.source, 2)));
}

/// {do: report, train: […], score, sample}: OUT/report.html, one file that opens without network.
class ReportStep final : public StepKind {
 public:
  std::string_view name() const override { return "report"; }
  void check(const Step& step) const override { check_params(step, {"train", "score", "sample"}, {}); }
  std::vector<std::string> file_params() const override { return {"train.*", "score", "sample"}; }

  Outputs run(const StepContext& context) const override {
    std::string body;
    if (!context.recipe.description.empty()) body += "<p>" + html_escape(context.recipe.description) + ".</p>\n";
    for (const auto& file : paths_of(context.params, "score")) body += score_section(file);
    for (const auto& file : paths_of(context.params, "sample")) body += sample_section(file);
    for (const auto& model : paths_of(context.params, "train")) body += training_section(model);
    body += lineage_section(context);
    const std::string setting = context.recipe.setting.empty() ? "" : " (" + context.recipe.setting + ")";
    const std::string page = html_page(context.recipe.name + setting, body);
    const fs::path file = context.folder / "report.html";
    write_file(file, page);
    return {{"", file.string()}};
  }
  void publish(const Outputs& outputs, const fs::path& out) const override {
    write_file(out / "report.html", read_file(outputs.at("")));
  }
};

}  // namespace

const StepKind& report_step() {
  static const ReportStep step;
  return step;
}

}  // namespace fettle
