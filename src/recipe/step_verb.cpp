// Every verb of verbs/ as a step: the same keys, but for the outputs, which stand in the step's folder.
#include <algorithm>

#include "base/log.h"
#include "recipe/steps.h"
#include "verbs/verb.h"

namespace fettle {
namespace {

using Use = KeyInfo::Use;

class VerbStep final : public StepKind {
 public:
  explicit VerbStep(const verbs::Verb& verb) : verb_(verb) {
    for (const auto& key : verb.keys) {
      if (key.use == Use::output) outputs_.push_back(key);
      if (key.use == Use::output || key.use == Use::terminal) continue;
      keys_.push_back(key);
      if (key.name == "input") keys_.back().required().fallback = nullptr;  // no step reads standard input
    }
    // What needs an output has it: a step writes them all.
    for (auto& key : keys_)
      if (std::ranges::any_of(key.needs, [&](const auto& need) { return is_output(need); })) key.needs.clear();
  }
  std::string_view name() const override { return verb_.name; }
  std::string_view summary() const override { return verb_.summary; }
  int version() const override { return verb_.version; }
  const std::vector<KeyInfo>& keys() const override { return keys_; }
  std::vector<std::string> further_outputs() const override {
    std::vector<std::string> names;
    for (size_t i = 1; i < outputs_.size(); ++i) names.push_back(outputs_[i].name);
    return names;
  }

  OrderedJson canonical(const OrderedJson& params) const override {
    for (const auto& output : outputs_)
      if (params.contains(output.name)) fail_usage("a recipe chooses `{}` itself", output.name);
    return StepKind::canonical(params);
  }
  void check(const Step& step) const override { verb_.check(placed(step.params, "out").values); }

  std::vector<std::string> file_params() const override { return paths_of({Use::input, Use::named}); }
  std::vector<std::string> input_params() const override { return paths_of({Use::input}); }
  std::vector<std::string> irrelevant_params() const override {
    std::vector<std::string> names;
    for (const auto& key : keys_)
      if (key.use == Use::speed) names.push_back(key.name);
    return names;
  }

  Outputs run(const StepContext& context) const override {
    const Placed made = placed(context.params, context.folder);
    const verbs::Report report = verb_.call(made.values);
    if (!report.failure.empty()) throw Error(report.failure);
    for (const auto& warning : report.warnings) log_warning("{}: {}", context.step.name, warning);
    if (report.json.is_object() && report.json.value("out", int64_t{1}) == 0)
      fail(dump_json(context.params.at("input")), "no row is left of {}", report.json.value("in", int64_t{0}));
    Outputs outputs{{"", made.result.string()}};
    for (size_t i = 1; i < outputs_.size(); ++i) {
      const fs::path file = context.folder / outputs_[i].file;
      if (fs::exists(file)) outputs[outputs_[i].name] = file.string();
    }
    return outputs;
  }

 private:
  struct Placed {
    KeyValues values;
    fs::path result;
  };
  /// The parameters with every output in `folder`.
  Placed placed(OrderedJson params, const fs::path& folder) const {
    verbs::Place main{folder / outputs_.front().file, folder / outputs_.front().file};
    if (verb_.place) main = verb_.place(KeyValues(keys_, params, {}), folder);
    for (const auto& output : outputs_) params[output.name] = (folder / output.file).string();
    params[outputs_.front().name] = main.write.string();
    return {KeyValues(verb_.keys, params, {}), main.result};
  }

  bool is_output(std::string_view name) const {
    return std::ranges::any_of(outputs_, [&](const KeyInfo& output) { return output.name == name; });
  }

  std::vector<std::string> paths_of(std::initializer_list<Use> uses) const {
    std::vector<std::string> paths;
    for (const auto& key : keys_) {
      if (std::find(uses.begin(), uses.end(), key.use) == uses.end()) continue;
      paths.push_back(key.name);
      paths.push_back(key.name + ".*");
    }
    return paths;
  }

  const verbs::Verb& verb_;
  std::vector<KeyInfo> keys_, outputs_;
};

}  // namespace

std::vector<const StepKind*> verb_steps() {
  static const auto steps = [] {
    std::vector<std::unique_ptr<VerbStep>> made;
    for (const auto* verb : verbs::verbs()) made.push_back(std::make_unique<VerbStep>(*verb));
    return made;
  }();
  std::vector<const StepKind*> list;
  for (const auto& step : steps) list.push_back(step.get());
  return list;
}

}  // namespace fettle
