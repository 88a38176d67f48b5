#include "checkpoint/export.h"
#include "recipe/params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

/// {do: export, model, to: hf|gguf|llama2c, dtype}: an adapter merged into its base, or a model in another format.
class ExportStep final : public StepKind {
 public:
  std::string_view name() const override { return "export"; }
  void check(const Step& step) const override {
    check_params(step, {"model", "to", "dtype"}, {"model"});
    options_of(step.params, step.place);
  }
  std::vector<std::string> file_params() const override { return {"model"}; }

  Outputs run(const StepContext& context) const override {
    ExportOptions options = options_of(context.params, context.step.place);
    options.output = context.folder / (options.to == ModelFormat::hf ? "model" : options.to == ModelFormat::gguf ? "model.gguf" : "model.bin");
    export_model(load_model(param<std::string>(context.params, "model")), options);
    return {{"", options.output.string()}};
  }

 private:
  static ExportOptions options_of(const OrderedJson& params, std::string_view place) {
    const std::string to = param_or(params, "to", "hf");
    ExportOptions options;
    if (to == "gguf") {
      options.to = ModelFormat::gguf;
    } else if (to == "llama2c") {
      options.to = ModelFormat::llama2c;
    } else if (to != "hf") {
      fail_usage("{}: to: {}: one of hf, gguf, llama2c", place, to);
    }
    if (params.contains("dtype")) {
      const auto name = param<std::string>(params, "dtype");
      options.dtype = dtype_from_name(name);
      if (!options.dtype) fail_usage("{}: dtype: {}: no such type", place, name);
    }
    return options;
  }
};

}  // namespace

const StepKind& export_step() {
  static const ExportStep step;
  return step;
}

}  // namespace fettle
