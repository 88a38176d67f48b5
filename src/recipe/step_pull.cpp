#include "hub/pull.h"
#include "recipe/params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

/// {do: pull, source: NAME}: outputs the model's (or file's) path; for the starter also the data files beside it.
class PullStep final : public StepKind {
 public:
  std::string_view name() const override { return "pull"; }
  void check(const Step& step) const override {
    check_params(step, {"source"}, {"source"});
    const auto& source = step.params.at("source");
    if (!source.is_string()) fail_usage("{}: step '{}': source must be a text, found {}", step.place, step.name, source.dump().substr(0, 80));
    const auto text = param_as<std::string>(source, "source");
    if (!has_reference(text)) hub::check_source(text);
  }
  std::vector<std::string> input_params() const override { return {}; }  // check() knows names too
  std::vector<std::string> file_params() const override { return {"source"}; }
  /// Another version of the program may hold another starter.
  std::string content(const OrderedJson& params) const override {
    return params.at("source") == "starter" ? hub::starter_hash() : std::string();
  }
  Outputs run(const StepContext& context) const override {
    const std::string source = param<std::string>(context.params, "source");
    const hub::Pulled pulled = hub::pull(source);
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
