#include "base/interrupt.h"
#include "base/progress.h"
#include "data/files/reader.h"
#include "generate/chat_client.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "recipe/params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

std::vector<std::string> read_prompts(const OrderedJson& value, const std::string& place) {
  std::vector<std::string> prompts;
  if (value.is_array()) {
    for (const auto& prompt : value) prompts.push_back(param_as<std::string>(prompt, "prompts"));
    return prompts;
  }
  data::RejectedRows rejected;
  for (const auto& row : data::read_rows({param_as<std::string>(value, "prompts")}, rejected)) {
    if (!row.contains("prompt") || !row["prompt"].is_string()) fail(place, "prompts: every row needs a text `prompt`, found {}", row.dump().substr(0, 80));
    prompts.push_back(row["prompt"].get<std::string>());
  }
  if (prompts.empty()) fail(place, "prompts: there is none");
  return prompts;
}

std::vector<std::string> answer(const std::string& name, const fs::path& path, const std::vector<std::string>& prompts,
                                const ChatOptions& options) {
  OpenModel model(path);
  Engine engine(model.decoder(), model.tokenizer());
  EngineThread thread(engine);
  const auto client = make_local_chat_client(engine, thread, {name, {}, {}});
  std::vector<ChatTask> tasks;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tasks.push_back({{{"user", prompts[i], 1.0, nullptr}}, options});
    tasks.back().options.sampling.seed += i;
  }
  Progress progress("sample " + name, tasks.size(), "answers");
  const auto outcomes = client->complete_batch(tasks, [&](size_t, const ChatOutcome&) { progress.advance(); });
  std::vector<std::string> answers;
  for (const auto& outcome : outcomes) {
    if (!outcome.ok()) fail(name, "{}", outcome.error);
    answers.push_back(outcome.reply.text());
  }
  return answers;
}

/// {do: sample, prompts, models: {name: path}, max_tokens, temperature, …}: what each model answers, side by side.
class SampleStep final : public StepKind {
 public:
  std::string_view name() const override { return "sample"; }
  void check(const Step& step) const override {
    check_params(step, {"prompts", "models", "max_tokens", "temperature", "top_p", "top_k", "seed"}, {"prompts", "models"});
    if (!step.params.at("models").is_object()) fail_usage("{}: step '{}': models: {{name: model}}", step.place, step.name);
    options_of(step.params);
  }
  std::vector<std::string> file_params() const override { return {"prompts", "models.*"}; }

  Outputs run(const StepContext& context) const override {
    const auto prompts = read_prompts(context.params.at("prompts"), context.step.place);
    const ChatOptions options = options_of(context.params);
    OrderedJson rows = OrderedJson::array();
    for (const auto& prompt : prompts) rows.push_back({{"prompt", prompt}, {"answers", OrderedJson::object()}});
    for (const auto& [name, path] : context.params.at("models").items()) {
      throw_if_interrupted();
      const auto answers = answer(name, param_as<std::string>(path, "models"), prompts, options);
      for (size_t i = 0; i < prompts.size(); ++i) rows[i]["answers"][name] = answers[i];
    }
    const fs::path file = context.folder / "samples.json";
    write_file(file, dump_json(rows, 1));
    return {{"", file.string()}};
  }

 private:
  static ChatOptions options_of(const OrderedJson& params) {
    ChatOptions options;
    options.max_tokens = param_or(params, "max_tokens", int64_t{200});
    options.sampling.temperature = param_or(params, "temperature", options.sampling.temperature);
    options.sampling.top_p = param_or(params, "top_p", options.sampling.top_p);
    options.sampling.top_k = param_or(params, "top_k", options.sampling.top_k);
    options.sampling.seed = param_or(params, "seed", uint64_t{0});
    return options;
  }
};

}  // namespace

const StepKind& sample_step() {
  static const SampleStep step;
  return step;
}

}  // namespace fettle
