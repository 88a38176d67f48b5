#include "base/interrupt.h"
#include "base/progress.h"
#include "data/training/dataset.h"
#include "evaluate/pair_scores.h"
#include "generate/open_model.h"
#include "generate/score.h"
#include "recipe/params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

std::vector<evaluate::PairLogp> score_pairs(const std::string& name, const fs::path& path, const std::vector<data::DataSource>& sources,
                                  int64_t max_length) {
  OpenModel model(path);
  data::RejectedRows rejected;
  data::TokenizeOptions options;
  options.max_length = max_length;
  const auto pairs = data::load_pairs(sources, *model.tokenizer(), &model.chat(), options, 0, rejected);
  std::vector<ScoreRow> rows;
  rows.reserve(pairs.rows.size() * 2);
  for (const auto& pair : pairs.rows) {
    rows.push_back({pair.prompt_ids, pair.chosen_ids});
    rows.push_back({pair.prompt_ids, pair.rejected_ids});
  }
  Progress progress("score " + name, rows.size(), "answers");
  ScoreOptions score_options;
  score_options.on_progress = [&](int64_t count) {
    throw_if_interrupted();
    progress.advance(static_cast<uint64_t>(count));
  };
  const auto scores = score(model.decoder(), rows, score_options);
  std::vector<evaluate::PairLogp> result;
  for (size_t i = 0; i < scores.size(); i += 2) {
    result.push_back({scores[i].logp, scores[i + 1].logp, scores[i].tokens, scores[i + 1].tokens});
  }
  return result;
}

/// {do: score, data, reference, models: {name: path}, beta}: how each model tells the held-out pairs apart.
class ScoreStep final : public StepKind {
 public:
  std::string_view name() const override { return "score"; }
  void check(const Step& step) const override {
    check_params(step, {"data", "reference", "models", "beta", "max_length"}, {"data", "reference", "models"});
    if (!step.params.at("models").is_object()) fail_usage("{}: step '{}': models: {{name: model}}", step.place, step.name);
    beta_of(step.params);
    max_length_of(step.params);
  }
  std::vector<std::string> file_params() const override { return {"data", "data.*", "reference", "models.*"}; }

  Outputs run(const StepContext& context) const override {
    const auto sources = data::data_sources_from_json(Json::parse(dump_json(context.params.at("data"))), context.step.place);
    const auto reference_path = param<std::string>(context.params, "reference");
    const double beta = beta_of(context.params);
    const auto max_length = max_length_of(context.params);
    const auto reference = score_pairs("reference", reference_path, sources, max_length);
    OrderedJson models = OrderedJson::object();
    for (const auto& [name, path] : context.params.at("models").items()) {
      const auto model_path = param_as<std::string>(path, "models");
      const auto logps = model_path == reference_path ? reference : score_pairs(name, model_path, sources, max_length);
      if (logps.size() != reference.size()) {
        fail(context.step.place, "model '{}' keeps {} of the pairs, the reference {}: they cut rows differently; raise max_length",
             name, logps.size(), reference.size());
      }
      models[name] = to_json(evaluate::compare_pairs(logps, reference, beta));
      models[name]["is_reference"] = model_path == reference_path;
    }
    const fs::path file = context.folder / "score.json";
    write_file(file, dump_json(OrderedJson{{"beta", beta}, {"models", models}}, 1));
    return {{"", file.string()}};
  }

 private:
  static double beta_of(const OrderedJson& params) { return param_or(params, "beta", 0.1); }
  static int64_t max_length_of(const OrderedJson& params) { return param_or(params, "max_length", int64_t{1024}); }
};

}  // namespace

const StepKind& score_step() {
  static const ScoreStep step;
  return step;
}

}  // namespace fettle
