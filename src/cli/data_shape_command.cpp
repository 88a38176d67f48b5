// Verbs of `fettle data` that reshape rows: convert, binarize, split, mix.
#include "cli/data_verbs.h"
#include "data/openchat/openchat.h"
#include "data/passes/binarize_rows.h"
#include "data/passes/convert_rows.h"
#include "data/passes/mix_rows.h"
#include "data/passes/split_rows.h"

namespace fettle::cli {
namespace {

struct ConvertState {
  Files files;
  TokenFlags tokens;
  std::string from = "auto", to = "messages", openchat, layout;
  std::vector<std::string> columns;
  double eval_ratio = -1;
  data::OpenChatOptions published;
  const CLI::Option *to_option = nullptr;
  std::vector<const CLI::Option*> of_rows, of_tokens;  ///< that OpenChat's files, or rows, have no use for
};

void run_openchat(ConvertState& state) {
  for (const auto& options : {state.of_rows, state.of_tokens, {state.to_option}}) {
    const std::string unused = first_given(options);
    if (!unused.empty()) fail_usage("convert: {} has no effect on the files of --openchat", unused);
  }
  Text text;
  text.load(state.tokens.model, false);
  if (!text.tokenizer) fail_usage("convert: --openchat needs --model, whose tokenizer makes the ids");
  auto& options = state.published;
  options.type = &openchat_type(state.openchat);
  options.files = state.layout.empty() ? options.type->release : data::openchat_release_from_name(state.layout);
  options.tokenizer = text.tokenizer.get();
  const bool json = options.files == OpenChatRelease::v1 || options.files == OpenChatRelease::v2;
  options.eval_ratio = state.eval_ratio >= 0 ? state.eval_ratio : json ? 0.01 : 0.0;
  finish(state.files, data::convert_openchat(state.files.pass(), options));
}
void run_convert(ConvertState& state) {
  if (!state.openchat.empty()) return run_openchat(state);
  const std::string of_tokens = state.tokens.model.empty() ? first_given(state.of_tokens) : std::string();
  if (!of_tokens.empty()) fail_usage("convert: {} is of token rows; name their tokenizer with --model", of_tokens);
  if (!state.tokens.model.empty() && state.to_option->count() > 0)
    fail_usage("convert: --model writes token rows, --to rows of another format; give one of them");
  Text text;
  text.load(state.tokens.model, !state.tokens.raw, state.tokens.chat_template);
  data::ConvertOptions options;
  options.from = data::format_from_name(state.from);
  options.to = data::format_from_name(state.to);
  options.columns = columns_of(state.columns);
  options.tokenizer = text.tokenizer.get();
  options.chat = text.chat ? &*text.chat : nullptr;
  options.tokenize = state.tokens.options();
  finish(state.files, data::convert_rows(state.files.pass(), options));
}

}  // namespace

void add_convert(CLI::App& data) {
  auto& command = add_command(
      data, "convert", "Rows of one format to another, or to token ids with masks",
      "  $ fettle data convert --input sharegpt.json --output messages.jsonl\n"
      "  $ fettle data convert --input qa.jsonl --columns prompt=question completion=answer --to messages\n"
      "  $ fettle data convert --input chats/ --model smollm2-135m-instruct --output tokens.jsonl\n"
      "  $ fettle data convert --input sharegpt_gpt4.json --openchat openchat_v2 --model llama/ --output out/");
  auto state = std::make_shared<ConvertState>();
  add_files(command, state->files);
  state->of_rows.push_back(command.add_option("--from", state->from, "The rows' format (auto: by their keys)")->capture_default_str());
  state->to_option = command.add_option("--to", state->to, "messages, sharegpt, alpaca, completion, pair, judged or text")
                         ->capture_default_str();
  state->of_rows.push_back(command.add_option("--columns", state->columns, "KEY=COLUMN: which column stands for a format's key"));
  state->of_tokens = add_token_flags(command, state->tokens,
                                     "Write token ids and masks under this model's tokenizer and template; its files alone will do");
  auto& published = state->published;
  auto* openchat = command.add_option("--openchat", state->openchat,
                     fmt::format("Write the files OpenChat trains this model type from: {}",
                                 fmt::join(openchat_type_names(), ", ")));
  command.add_option("--layout", state->layout,
                     "Of OpenChat's files: v1, v2, v3.1, v3.2 or v3.5 (default: the type's own)")->needs(openchat);
  command.add_option("--eval-ratio", state->eval_ratio, "Of OpenChat's evaluation rows (default 0.01; 0 from v3.1 on)")->needs(openchat);
  command.add_option("--seed", published.seed, "Of OpenChat's shuffle")->needs(openchat)->capture_default_str();
  command.add_option("--gpt3-weight", published.gpt3_weight, "v3.2: weight of conversations that are not GPT-4's")
      ->needs(openchat)
      ->capture_default_str();
  command.add_flag("--per-sequence-loss", published.per_sequence_loss,
                   "v3.5: a message's weight is shared by its tokens")->needs(openchat);
  on_run(command, state, run_convert);
}

namespace {

struct BinarizeState {
  Files files;
  std::string rule = "corrected";
  data::BinarizeOptions options;
};
void run_binarize(BinarizeState& state) {
  state.options.rule = data::binarize_rule_from_name(state.rule);
  finish(state.files, data::binarize_rows(state.files.pass(), state.options));
}

}  // namespace

void add_binarize(CLI::App& data) {
  auto& command = add_command(
      data, "binarize", "Scored answers (UltraFeedback) to preference pairs",
      "  $ fettle data binarize --input ultrafeedback.jsonl --output pairs.jsonl --report pairs.json\n"
      "  $ fettle data binarize --input ultrafeedback.jsonl --rule zephyr-beta --output pairs.jsonl");
  auto state = std::make_shared<BinarizeState>();
  add_files(command, state->files);
  command.add_option("--rule", state->rule, "corrected, zephyr, zephyr-beta or argilla-mean")
      ->capture_default_str();
  command.add_option("--seed", state->options.seed, "Of the draw of the rejected answer")
      ->capture_default_str();
  command.add_option("--min-margin", state->options.min_margin, "Drop pairs whose scores differ by less")
      ->capture_default_str();
  on_run(command, state, run_binarize);
}

namespace {

struct SplitState {
  Files files;
  std::string eval;
  double share = 0.1;
  data::SplitOptions options;
};
void run_split(SplitState& state) {
  state.options.parts = {{state.eval, state.share}};
  finish(state.files, data::split_rows(state.files.pass({{"--eval", state.eval}}), state.options));
}

}  // namespace

void add_split(CLI::App& data) {
  auto& command = add_command(
      data, "split", "Hold out a share of the rows, by hash",
      "  $ fettle data split --input rows.jsonl --output train.jsonl --eval eval.jsonl --share 0.05");
  auto state = std::make_shared<SplitState>();
  add_files(command, state->files);
  command.add_option("--eval", state->eval, "Where the held-out rows go")->required();
  command.add_option("--share", state->share, "Of the rows that are held out")->capture_default_str();
  command.add_option("--by", state->options.by, "prompt: rows that ask the same stay together; near: near-duplicates do; id")
      ->capture_default_str();
  command.add_option("--seed", state->options.seed, "Another seed, other rows")->capture_default_str();
  on_run(command, state, run_split);
}

namespace {

struct MixState {
  Files files;
  std::vector<std::string> sources;
  bool in_order = false;
  data::MixOptions options;
};
/// PATH=WEIGHT, or the path of a file, which may hold a "=" too.
std::pair<std::string, double> source_from(const std::string& text) {
  const size_t equal = text.rfind('=');
  if (equal == std::string::npos || fs::exists(text)) return {text, 1.0};
  const std::string number = text.substr(equal + 1);
  char* end = nullptr;
  const double weight = std::strtod(number.c_str(), &end);
  if (number.empty() || *end != '\0') fail_usage("mix: '{}' should be PATH or PATH=WEIGHT", text);
  return {text.substr(0, equal), weight};
}

void run_mix(MixState& state) {
  for (const auto& source : state.sources) state.options.sources.push_back(source_from(source));
  state.options.shuffle = !state.in_order;
  finish(state.files, data::mix_rows(state.files.pass(), state.options));
}

}  // namespace

void add_mix(CLI::App& data) {
  auto& command = add_command(
      data, "mix", "Several sources with weights into one file, shuffled",
      "  $ fettle data mix --input chats.jsonl=1 code.jsonl=0.25 poems.jsonl=3 --output mixed.jsonl");
  auto state = std::make_shared<MixState>();
  command
      .add_option("--input", state->sources, "PATH or PATH=WEIGHT: 0.25 a quarter of its rows, 3 three times")
      ->required();
  add_outputs(command, state->files);
  command.add_option("--seed", state->options.seed, "Of the choice and the order")->capture_default_str();
  command.add_flag("--in-order", state->in_order, "One source after another, not shuffled");
  on_run(command, state, run_mix);
}

}  // namespace fettle::cli
