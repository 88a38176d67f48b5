#include "base/interrupt.h"
#include "base/progress.h"
#include "data/files/reader.h"
#include "generate/chat_client.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

std::vector<std::string> read_prompts(const OrderedJson& value, const std::string& place) {
  std::vector<std::string> prompts;
  if (value.is_array()) {
    read_value({value, "prompts", "prompts"}, prompts);
    return prompts;
  }
  data::RejectedRows rejected;
  for (const auto& row : data::read_rows({value.get<std::string>()}, rejected)) {
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

struct Sampling {
  OrderedJson prompts;
  std::vector<std::pair<std::string, std::string>> models;
  ChatOptions chat;
  Sampling() {
    chat.max_tokens = 200;
    chat.sampling.seed = 0;
  }
};

const KeyTable<Sampling>& sampling_keys() {
  static const auto table = [] {
    KeyTable<Sampling> keys;
    keys.add("prompts", "A list of prompts, or a file with rows of `prompt`", [](auto& o) -> auto& { return o.prompts; }).input().required();
    keys.add("models", "{NAME: MODEL}", [](auto& o) -> auto& { return o.models; }).input().required();
    keys.add("max_tokens", "Most tokens of an answer", [](auto& o) -> auto& { return o.chat.max_tokens; }).at_least(1);
    keys.add("temperature", "0: always the most likely token", [](auto& o) -> auto& { return o.chat.sampling.temperature; }).at_least(0);
    keys.add("top_p", "Draw from the fewest tokens whose probabilities reach this", [](auto& o) -> auto& { return o.chat.sampling.top_p; })
        .between(0, 1);
    keys.add("top_k", "Draw from this many tokens; 0: all", [](auto& o) -> auto& { return o.chat.sampling.top_k; }).at_least(0);
    keys.add("seed", "Of the first prompt; each further one has the next", [](auto& o) -> auto& { return o.chat.sampling.seed; });
    return keys;
  }();
  return table;
}

Sampling sampling_of(const OrderedJson& params) {
  Sampling sampling;
  sampling_keys().read(KeyValues(sampling_keys().infos(), params, {}), sampling);
  return sampling;
}

/// {do: sample, prompts, models: {name: path}, max_tokens, temperature, …}: what each model answers, side by side.
class SampleStep final : public StepKind {
 public:
  std::string_view name() const override { return "sample"; }
  std::string_view summary() const override { return "What every model answers, side by side"; }
  const std::vector<KeyInfo>& keys() const override { return sampling_keys().infos(); }
  void check(const Step& step) const override {
    const Sampling sampling = sampling_of(step.params);
    if (sampling.prompts.is_array()) {
      read_prompts(sampling.prompts, step.place);
    } else if (!sampling.prompts.is_string()) {
      fail_usage("prompts: expected a list of texts, or a file");
    }
  }
  std::vector<std::string> file_params() const override { return {"prompts", "models.*"}; }

  Outputs run(const StepContext& context) const override {
    const Sampling given = sampling_of(context.params);
    const auto prompts = read_prompts(given.prompts, context.step.place);
    OrderedJson rows = OrderedJson::array();
    for (const auto& prompt : prompts) rows.push_back({{"prompt", prompt}, {"answers", OrderedJson::object()}});
    for (const auto& [name, path] : given.models) {
      throw_if_interrupted();
      const auto answers = answer(name, path, prompts, given.chat);
      for (size_t i = 0; i < prompts.size(); ++i) rows[i]["answers"][name] = answers[i];
    }
    const fs::path file = context.folder / "samples.json";
    write_file(file, dump_json(rows, 1));
    return {{"", file.string()}};
  }
};

}  // namespace

const StepKind& sample_step() {
  static const SampleStep step;
  return step;
}

}  // namespace fettle
