#include <sys/stat.h>

#include <algorithm>

#include "base/hash.h"
#include "feedback/judge_rows.h"
#include "generate/engine.h"
#include "verbs/generation.h"
#include "verbs/model_argument.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct JudgeChoice {
  Files files;
  ModelChoice model;
  EngineChoice engine;
  std::string preset, judge, endpoint, key_variable = "OPENAI_API_KEY", label, store;
  int concurrency = 64;
  double budget = 0.0;
  feedback::Price price;
  uint64_t seed = 0;
};

KeyTable<JudgeChoice> judge_keys() {
  KeyTable<JudgeChoice> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  keys.add("preset", "A judge that ships: ultrafeedback, humpback, mt-bench, mt-bench-pair, alpacaeval, alpacaeval-ranking, vicuna, rubric",
           [](auto& o) -> auto& { return o.preset; })
      .not_with({"judge"});
  keys.add("judge", "A judge of your own (YAML), or FastChat's judge_prompts.jsonl, or a template of AlpacaEval (docs/judging.md)",
           [](auto& o) -> auto& { return o.judge; })
      .input();
  keys.include(model_keys(), [](auto& o) -> auto& { return o.model; });
  keys.add("endpoint", "An OpenAI-compatible endpoint, up to /v1; `model` is then the name that is sent to it", [](auto& o) -> auto& { return o.endpoint; });
  keys.add("key_variable", "The environment variable with the endpoint's key", [](auto& o) -> auto& { return o.key_variable; }).only_with({"endpoint"});
  keys.add("concurrency", "Rows under way at once", [](auto& o) -> auto& { return o.concurrency; }).between(1, 4096).for_speed();
  keys.add("seed", "Of the order in which answers are shown", [](auto& o) -> auto& { return o.seed; });
  keys.add("label", "The field with a person's verdict: the report then says how far the judge agrees", [](auto& o) -> auto& { return o.label; });
  keys.add("budget", "Stop before more than this is spent", [](auto& o) -> auto& { return o.budget; }).above(0).only_with({"price_in", "price_out"});
  keys.add("price_in", "Price of a million tokens that are sent", [](auto& o) -> auto& { return o.price.input; }).at_least(0);
  keys.add("price_out", "Price of a million tokens that come back", [](auto& o) -> auto& { return o.price.output; }).at_least(0);
  keys.add("store", "The file that answers are kept in", [](auto& o) -> auto& { return o.store; }).by_default("answers.sqlite in the cache").for_speed();
  keys.include(engine_keys(), [](auto& o) -> auto& { return o.engine; });
  return keys;
}

/// What tells a folder's model from another under the same name: its files, their sizes and times of change.
std::string revision_of(const fs::path& model) {
  Hasher hasher;
  hasher.add(fs::absolute(model).string());
  const auto add = [&](const fs::path& file) {
    struct stat state {};
    if (::stat(file.c_str(), &state) == 0)
      hasher.add(file.filename().string()).add(fmt::format("{} {} {}", state.st_size, state.st_mtim.tv_sec, state.st_mtim.tv_nsec));
  };
  if (!fs::is_directory(model)) {
    add(model);
  } else {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(model))
      if (entry.is_regular_file()) files.push_back(entry.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) add(file);
  }
  return hasher.hex();
}

/// A model here, or one behind an endpoint.
class Client {
 public:
  explicit Client(const JudgeChoice& choice) {
    if (!choice.endpoint.empty()) {
      RemoteChatOptions options;
      options.base_url = choice.endpoint;
      options.model = choice.model.model;
      options.api_key_variable = choice.key_variable;
      options.concurrency = choice.concurrency;
      client_ = make_remote_chat_client(std::move(options));
      revision_ = choice.endpoint;
      return;
    }
    model_ = choice.model.open();
    model_->chat();
    engine_ = std::make_unique<Engine>(*model_, choice.engine.options());
    thread_ = std::make_unique<EngineThread>(*engine_);
    client_ = make_local_chat_client(*engine_, *thread_, {.name = choice.model.model});
    revision_ = revision_of(resolve_model(choice.model.model));
    if (!choice.model.adapter.empty()) revision_ += " " + revision_of(choice.model.adapter);
  }

  ChatClient& client() { return *client_; }
  const std::string& revision() const { return revision_; }

 private:
  std::unique_ptr<OpenModel> model_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<EngineThread> thread_;
  std::unique_ptr<ChatClient> client_;
  std::string revision_;
};

feedback::Judge judge_chosen(const JudgeChoice& choice) {
  return choice.judge.empty() ? feedback::judge_preset(choice.preset) : feedback::read_judge(choice.judge);
}

void check_judge(const JudgeChoice& choice, const KeyValues& values) {
  const KeyStyle& style = values.style();
  if (choice.preset.empty() && choice.judge.empty()) fail_usage("{}give {} or {}", style.where, style.shown("preset"), style.shown("judge"));
  if (!choice.preset.empty()) feedback::judge_preset(choice.preset);
}

Report run_judge(JudgeChoice& choice, const KeyValues&) {
  const feedback::Judge judge = judge_chosen(choice);
  Client model(choice);
  feedback::AnswerStore store(choice.store.empty() ? feedback::answer_store_path() : fs::path(choice.store));
  feedback::Costs costs(choice.budget);
  feedback::StoredClient client(model.client(), model.revision(), &store, costs, choice.price);
  const auto report = feedback::judge_rows({.inputs = choice.files.inputs, .output = choice.files.output, .rejected = choice.files.rejected, .seed = choice.seed,
                                            .concurrency = choice.concurrency, .label = choice.label},
                                           judge, client, costs);
  Report made{report.to_json(), report.to_text(), {}, {}};
  if (!choice.files.report.empty()) write_file(choice.files.report, dump_json(made.json, 1) + "\n");
  if (report.in > 0 && report.out == 0) made.failure = "not one row was judged; " + report.first_reason;
  return made;
}

}  // namespace

const Verb& judge_verb() {
  static const Verb verb =
      make_verb({.name = "judge",
                 .summary = "Let a model judge answers: scores, or which of two is better",
                 .examples = "  $ fettle judge --preset humpback --model starter --input rows.jsonl --output verdicts.jsonl\n"
                             "  $ fettle judge --preset ultrafeedback --endpoint https://api.openai.com/v1 --model gpt-4o --input answers.jsonl --output judged.jsonl "
                             "--price-in 2.5 --price-out 10 --budget 20\n"
                             "  $ fettle judge --judge my.yaml --model runs/sft --input pairs.jsonl --label human --output verdicts.jsonl"},
                judge_keys(), check_judge, run_judge);
  return verb;
}

}  // namespace fettle::verbs
