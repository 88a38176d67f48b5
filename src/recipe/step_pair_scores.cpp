#include "base/interrupt.h"
#include "base/progress.h"
#include "data/training/dataset.h"
#include "evaluate/pair_scores.h"
#include "generate/open_model.h"
#include "generate/score.h"
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

struct Comparison {
  OrderedJson data;
  std::string reference;
  std::vector<std::pair<std::string, std::string>> models;
  double beta = 0.1;
  int64_t max_length = 1024;
};

const KeyTable<Comparison>& comparison_keys() {
  static const auto table = [] {
    KeyTable<Comparison> keys;
    keys.add("data", "Held-out pairs, as `data` of a training config", [](auto& o) -> auto& { return o.data; }).input().required();
    keys.add("reference", "The model that DPO measured rewards against", [](auto& o) -> auto& { return o.reference; }).input().required();
    keys.add("models", "{NAME: MODEL}", [](auto& o) -> auto& { return o.models; }).input().required();
    keys.add("beta", "Of the rewards", [](auto& o) -> auto& { return o.beta; });
    keys.add("max_length", "Tokens of prompt and answer", [](auto& o) -> auto& { return o.max_length; }).at_least(0);
    return keys;
  }();
  return table;
}

Comparison comparison_of(const OrderedJson& params) {
  Comparison comparison;
  comparison_keys().read(KeyValues(comparison_keys().infos(), params, {}), comparison);
  return comparison;
}

/// {do: pair_scores, data, reference, models: {name: path}, beta}: how each model tells the held-out pairs apart.
class PairScoresStep final : public StepKind {
 public:
  std::string_view name() const override { return "pair_scores"; }
  std::string_view summary() const override { return "How well each model tells held-out pairs apart"; }
  const std::vector<KeyInfo>& keys() const override { return comparison_keys().infos(); }
  void check(const Step& step) const override { comparison_of(step.params); }
  std::vector<std::string> file_params() const override { return {"data", "data.*", "reference", "models.*"}; }

  Outputs run(const StepContext& context) const override {
    const Comparison given = comparison_of(context.params);
    const auto sources = data::data_sources_from_json(Json::parse(dump_json(given.data)), context.step.place);
    const auto reference = score_pairs("reference", given.reference, sources, given.max_length);
    OrderedJson models = OrderedJson::object();
    for (const auto& [name, path] : given.models) {
      const auto logps = path == given.reference ? reference : score_pairs(name, path, sources, given.max_length);
      if (logps.size() != reference.size()) {
        fail(context.step.place, "model '{}' keeps {} of the pairs, the reference {}: they cut rows differently; raise max_length",
             name, logps.size(), reference.size());
      }
      models[name] = to_json(evaluate::compare_pairs(logps, reference, given.beta));
      models[name]["is_reference"] = path == given.reference;
    }
    const fs::path file = context.folder / "score.json";
    write_file(file, dump_json(OrderedJson{{"beta", given.beta}, {"models", models}}, 1));
    return {{"", file.string()}};
  }
};

}  // namespace

const StepKind& pair_scores_step() {
  static const PairScoresStep step;
  return step;
}

}  // namespace fettle
