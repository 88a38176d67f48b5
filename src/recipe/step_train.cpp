#include "recipe/steps.h"
#include "train/trainer.h"

namespace fettle {
namespace {

train::TrainConfig config_of(const OrderedJson& params, const fs::path& out, std::string_view where) {
  Json config = Json::parse(dump_json(params));
  config["out"] = out.string();
  return train::train_config_from_json(config, where);
}

bool is_resolved(const OrderedJson& value) { return dump_json(value).find("${") == std::string::npos; }

/// {do: train, method, model, data, …}: every key of docs/training.md but `out`. Outputs the model (or adapter) folder.
class TrainStep final : public StepKind {
 public:
  std::string_view name() const override { return "train"; }
  std::string_view summary() const override { return "Trains; takes every key of docs/training.md but `out`"; }
  const std::vector<KeyInfo>& keys() const override {
    static const std::vector<KeyInfo> none;
    return none;
  }
  std::vector<std::string> further_outputs() const override { return {"metrics", "report"}; }
  /// The training config knows its keys and their places itself.
  OrderedJson canonical(const OrderedJson& params) const override { return params; }
  void check(const Step& step) const override {
    if (step.params.contains("out")) fail_usage("{}: step '{}': a recipe chooses `out` itself", step.place, step.name);
    config_of(step.params, "out", step.place);
  }
  std::vector<std::string> file_params() const override {
    return {"model", "data", "data.*", "data.path", "data.path.*", "data.*.path", "data.*.path.*", "eval", "eval.*", "eval.path",
            "eval.*.path", "adapter.init", "chat_template"};
  }
  /// A chat template may be a name that the model's tokenizer knows.
  std::vector<std::string> input_params() const override {
    auto paths = file_params();
    std::erase(paths, "chat_template");
    return paths;
  }
  std::vector<std::string> irrelevant_params() const override { return {"save_every", "keep", "memory_limit", "force_memory", "token_cache"}; }

  Outputs run(const StepContext& context) const override {
    const auto config = config_of(context.params, context.folder / "model", context.step.place);
    train::train(config);
    return {{"", config.out.string()},
            {"metrics", (config.out / "metrics.jsonl").string()},
            {"report", (config.out / "report.html").string()}};
  }

  Estimate estimate(const OrderedJson& params) const override {
    if (!is_resolved(params)) return {-1, -1, "known once the steps before it have run"};
    const auto config = config_of(params, "out", "estimate");
    const auto plan = train::plan_training(config);
    if (!plan.shortage.empty() && !config.force_memory) fail("memory", "{}", plan.shortage);
    Estimate estimate;
    estimate.bytes = static_cast<double>(plan.memory.total());
    estimate.seconds = plan.seconds_per_step * static_cast<double>(plan.steps - plan.first_step);
    estimate.text = plan.describe();
    return estimate;
  }
};

}  // namespace

const StepKind& train_step() {
  static const TrainStep step;
  return step;
}

}  // namespace fettle
