#include <sstream>

#include "base/html.h"
#include "base/ordered_json.h"
#include "base/progress.h"
#include "recipe/steps.h"
#include "train/metrics.h"
#include "train/report.h"

namespace fettle {
namespace {

struct Parts {
  std::vector<std::string> train, score, sample;
};

const KeyTable<Parts>& part_keys() {
  static const auto table = [] {
    KeyTable<Parts> keys;
    keys.add("train", "Outputs of training steps", [](auto& o) -> auto& { return o.train; }).input();
    keys.add("score", "Outputs of `pair_scores` steps", [](auto& o) -> auto& { return o.score; }).input();
    keys.add("sample", "Outputs of `sample` steps", [](auto& o) -> auto& { return o.sample; }).input();
    return keys;
  }();
  return table;
}

Parts parts_of(const OrderedJson& params) {
  Parts parts;
  part_keys().read(KeyValues(part_keys().infos(), params, {}), parts);
  return parts;
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
  double seconds = 0, tokens = 0;
  for (const auto& step : steps) {
    seconds += step.seconds;
    tokens += static_cast<double>(step.tokens);
  }
  const std::string speed = seconds > 0 ? fmt::format(", {:.0f} tokens per second", tokens / seconds) : "";
  return fmt::format("<h2>Training: {}</h2>\n<p class=\"soft\">{} optimiser steps, {} tokens in {}{}.</p>\n{}", html_escape(step_of(model)),
                     steps.size(), human_count(tokens), human_seconds(seconds), speed, train::report_charts(steps, evals));
}

std::string share(const OrderedJson& value) {
  return fmt::format("{:.1f} ± {:.1f} %", 100 * value.at("value").get<double>(), 100 * value.at("standard_error").get<double>());
}

std::string figure_card(const std::string& title, const std::string& figure, const std::string& note) {
  return fmt::format("<div class=\"card\"><h4>{}</h4><div class=\"figure\">{}</div><p class=\"soft\">{}</p></div>\n", html_escape(title),
                     html_escape(figure), html_escape(note));
}

/// The reference against the last model that is not the reference: what the preferences changed, at a glance.
std::string headline(const OrderedJson& models) {
  const OrderedJson *before = nullptr, *after = nullptr;
  std::string before_name, after_name;
  for (const auto& [name, model] : models.items()) {
    const bool reference = model.at("is_reference").get<bool>();
    (reference ? before : after) = &model;
    (reference ? before_name : after_name) = name;
  }
  if (before == nullptr || after == nullptr) return "";
  const auto note = [&](const std::string& value) { return fmt::format("after {}; before, {}: {}", after_name, before_name, value); };
  return "<div class=\"figures\">\n" + figure_card("Reward accuracy", share(after->at("reward_accuracy")), note("50 % by definition")) +
         figure_card("The likelier answer is the chosen one", share(after->at("logp_accuracy")), note(share(before->at("logp_accuracy")))) +
         figure_card("Reward margin", fmt::format("{:.2f}", after->at("reward_margin").get<double>()), note("0 by definition")) + "</div>\n";
}

std::string score_section(const fs::path& file) {
  const OrderedJson scores = parse_ordered_json(read_file(file), file.string());
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, model] : scores.at("models").items()) {
    rows.push_back({name + (model.at("is_reference").get<bool>() ? " (reference)" : ""), share(model.at("reward_accuracy")),
                    fmt::format("{:.3f}", model.at("reward_margin").get<double>()), share(model.at("logp_accuracy")),
                    share(model.at("mean_logp_accuracy")), std::to_string(model.at("pairs").get<int64_t>())});
  }
  return fmt::format(
      "<h2>Held-out pairs</h2>\n{}{}<details><summary>What the columns say</summary><p class=\"soft\">Reward accuracy: how often the chosen "
      "answer's reward, {} times the log-ratio to the reference, is above the rejected one's. The reference itself has no rewards: every pair is "
      "a tie and counts one half. The two columns on likelihood compare the answers' log-probabilities without a reference, summed and per "
      "token. ± is one standard error.</p></details>\n",
      headline(scores.at("models")),
      html_table({"model", "reward accuracy", "reward margin", "likelier answer is the chosen one", "the same per token", "pairs"}, rows),
      scores.at("beta").get<double>());
}

std::string sample_section(const fs::path& file) {
  std::string body = "<h2>Sample answers</h2>\n";
  for (const auto& sample : parse_ordered_json(read_file(file), file.string())) {
    body += "<div class=\"card\"><h3>" + html_escape(sample.at("prompt").get<std::string>()) + "</h3><div class=\"answers\">\n";
    for (const auto& [name, answer] : sample.at("answers").items()) {
      body += fmt::format("<div><h4>{}</h4><p>{}</p></div>\n", html_escape(name), html_escape(answer.get<std::string>()));
    }
    body += "</div></div>\n";
  }
  return body;
}

std::string lineage_section(const StepContext& context) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& step : context.recipe.steps) {
    const fs::path marker = context.out / step.name / "step.json";
    if (!fs::exists(marker)) continue;
    const Json done = read_json(marker);
    rows.push_back({step.name, step.kind, fmt::format("{}", fmt::join(step.needs, ", ")), done.at("key").get<std::string>(),
                    human_seconds(done.at("seconds").get<double>())});
  }
  return fmt::format("<h2>Lineage</h2>\n<p class=\"soft\">A step's key is a hash of its parameters, of the content of the files it reads and of "
                     "the keys of the steps it needs.</p>\n{}<details><summary>The recipe as it ran</summary><pre>{}</pre></details>\n",
                     html_table({"step", "does", "needs", "key", "took"}, rows), html_escape(dump_json(context.recipe.source, 2)));
}

/// {do: report, train: […], score, sample}: OUT/report.html, one file that opens without network.
class ReportStep final : public StepKind {
 public:
  std::string_view name() const override { return "report"; }
  std::string_view summary() const override { return "The page of a run: curves, figures, answers, lineage"; }
  const std::vector<KeyInfo>& keys() const override { return part_keys().infos(); }
  void check(const Step& step) const override { parts_of(step.params); }
  std::vector<std::string> file_params() const override { return {"train", "train.*", "score", "score.*", "sample", "sample.*"}; }

  Outputs run(const StepContext& context) const override {
    std::string body;
    const std::string setting = context.recipe.setting.empty() ? "" : "setting " + context.recipe.setting + ", ";
    body += fmt::format("<p>{}</p>\n<p class=\"soft\">{}fettle {}</p>\n", html_escape(context.recipe.description), html_escape(setting), FETTLE_VERSION);
    const Parts parts = parts_of(context.params);
    for (const auto& file : parts.score) body += score_section(file);
    for (const auto& file : parts.sample) body += sample_section(file);
    for (const auto& model : parts.train) body += training_section(model);
    body += lineage_section(context);
    const fs::path file = context.folder / "report.html";
    write_file(file, html_page(context.recipe.name, body));
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
