#include "data/passes/convert_rows.h"

#include "base/error.h"
#include "base/open_file.h"
#include "data/openchat/openchat.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

struct Convert {
  Files files;
  TokenOptions tokens;
  std::string from = "auto", to = "messages", model, openchat, layout;
  std::map<std::string, std::string> columns;
  std::optional<double> eval_ratio;
  data::OpenChatOptions published;
};

#define MEMBER(expression) [](auto& o) -> auto& { return o.expression; }

void add_openchat_keys(KeyTable<Convert>& keys) {
  keys.add("openchat", fmt::format("Write the files OpenChat trains this model type from: {}", fmt::join(openchat_type_names(), ", ")),
           MEMBER(openchat))
      .only_with({"model"});
  keys.add("layout", "Of OpenChat's files", MEMBER(layout))
      .one_of({"v1", "v2", "v3.1", "v3.2", "v3.5"})
      .only_with({"openchat"})
      .by_default("the type's own");
  keys.add("eval_ratio", "Share of OpenChat's evaluation rows", MEMBER(eval_ratio))
      .between(0, 1)
      .only_with({"openchat"})
      .by_default("0.01; 0 from v3.1 on");
  keys.add("seed", "Of OpenChat's shuffle", MEMBER(published.seed)).only_with({"openchat"});
  keys.add("gpt3_weight", "v3.2: weight of conversations that are not GPT-4's", MEMBER(published.gpt3_weight)).only_with({"openchat"});
  keys.add("per_sequence_loss", "v3.5: a message's weight is shared by its tokens", MEMBER(published.per_sequence_loss))
      .only_with({"openchat"});
}

KeyTable<Convert> convert_keys() {
  KeyTable<Convert> keys;
  keys.include(file_keys(), MEMBER(files));
  keys.add("from", "The rows' format; auto: by their keys", MEMBER(from)).alias("format").not_with({"openchat"});
  keys.add("to", "messages, sharegpt, alpaca, completion, pair, judged or text", MEMBER(to)).alias("as").not_with({"openchat", "model"});
  keys.add("columns", "KEY=COLUMN: which column stands for a format's key", MEMBER(columns)).not_with({"openchat"});
  keys.add("model", "Write token ids and masks under this model's tokenizer and template; its files alone will do", MEMBER(model)).input();
  KeyTable<TokenOptions> tokens = token_keys();
  keys.include(tokens.each([](KeyInfo& key) { key.not_with({"openchat"}); }), MEMBER(tokens));
  add_openchat_keys(keys);
  return keys;
}

#undef MEMBER

OpenChatRelease release_of(const Convert& convert) {
  const OpenChatType& type = openchat_type(convert.openchat);
  return convert.layout.empty() ? type.release : data::openchat_release_from_name(convert.layout);
}
/// A folder of JSON files; the later releases give their files a common beginning.
bool writes_json(const Convert& convert) {
  const OpenChatRelease release = release_of(convert);
  return release == OpenChatRelease::v1 || release == OpenChatRelease::v2;
}

void check_convert(const Convert& convert, const KeyValues&) {
  if (!convert.openchat.empty()) release_of(convert);
  data::format_from_name(convert.from);
  data::format_from_name(convert.to);
}

Report run_openchat(Convert& convert, const ModelText& text) {
  data::OpenChatOptions& options = convert.published;
  options.type = &openchat_type(convert.openchat);
  options.files = release_of(convert);
  options.tokenizer = text.tokenizer.get();
  options.eval_ratio = convert.eval_ratio.value_or(writes_json(convert) ? 0.01 : 0.0);
  return finish(convert.files, data::convert_openchat(convert.files.pass(), options));
}

Report run_convert(Convert& convert, const KeyValues& values, parallel::ProcessGroup& group) {
  if (!convert.openchat.empty() && !group.is_alone())
    fail_usage("{}{} is the work of one process; start it without mpirun or srun", values.style().where, values.shown("openchat"));
  ModelText text;
  text.load(convert.model, convert.openchat.empty() && !convert.tokens.tokenize.raw, convert.tokens.chat_template);
  if (!convert.openchat.empty()) return run_openchat(convert, text);
  data::ConvertOptions options;
  options.from = data::format_from_name(convert.from);
  options.to = data::format_from_name(convert.to);
  options.columns = convert.columns;
  options.tokenizer = text.tokenizer.get();
  options.chat = text.chat ? &*text.chat : nullptr;
  options.tokenize = convert.tokens.tokenize;
  return finish(convert.files, data::convert_rows(convert.files.pass(group), options));
}

Place place_of_convert(const KeyValues& values, const fs::path& folder) {
  if (!values.has("openchat")) return {folder / "rows.jsonl", folder / "rows.jsonl"};
  Convert convert;
  read_value(values.at("openchat"), convert.openchat);
  if (values.has("layout")) read_value(values.at("layout"), convert.layout);
  const fs::path files = folder / "openchat";
  make_folders(files);
  return {writes_json(convert) ? files : files / openchat_type(convert.openchat).name, files};
}

}  // namespace

const Verb& convert_verb() {
  static const Verb verb = make_verb(
      {.group = "data",
       .name = "convert",
       .summary = "Rows of one format to another, or to token ids with masks",
       .examples = "  $ fettle data convert --input sharegpt.json --output messages.jsonl\n"
                   "  $ fettle data convert --input qa.jsonl --columns prompt=question completion=answer --to messages\n"
                   "  $ fettle data convert --input chats/ --model smollm2-135m-instruct --output tokens.jsonl\n"
                   "  $ fettle data convert --input sharegpt_gpt4.json --openchat openchat_v2 --model llama/ --output out/",
       .place = place_of_convert},
      convert_keys(), check_convert, run_convert);
  return verb;
}

}  // namespace fettle::verbs
