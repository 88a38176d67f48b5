#include "verbs/rows.h"

#include "checkpoint/load_tokenizer.h"
#include "data/files/unread_input.h"
#include "verbs/model_argument.h"

namespace fettle::verbs {

const KeyTable<Files>& output_keys() {
  static const auto table = [] {
    KeyTable<Files> keys;
    keys.add("output", "Rows as JSON lines (.json: an array; .parquet; .gz, .zst: compressed); - is standard output",
             [](auto& o) -> auto& { return o.output; })
        .output("rows.jsonl");
    keys.add("rejected", "Where dropped rows go, each with its reason; - is standard output", [](auto& o) -> auto& { return o.rejected; })
        .output("rejected.jsonl");
    keys.add("report", "Counts as JSON: in, out, and per reason; - is standard output", [](auto& o) -> auto& { return o.report; })
        .output("report.json");
    return keys;
  }();
  return table;
}

const KeyTable<Files>& file_keys() {
  static const auto table = [] {
    KeyTable<Files> keys;
    add_inputs(keys, [](auto& o) -> auto& { return o.inputs; });
    keys.include(output_keys(), [](auto& o) -> auto& { return o; });
    return keys;
  }();
  return table;
}

Report finish(const Files& files, const data::PassReport& report) {
  if (!report.files.group->leads()) return {};
  Report made{data::to_json(report), data::to_text(report), {}, {}};
  if (!files.report.empty()) write_file(files.report, dump_json(made.json, 1) + "\n");
  if (made.json.contains("warnings"))
    for (const auto& warning : made.json["warnings"]) made.warnings.push_back(warning.get<std::string>());
  made.failure = data::unread_text(report.verb, made.json);
  return made;
}

void ModelText::load(const std::string& model, bool with_template, const std::string& chosen) {
  if (model.empty()) return;
  LoadOptions options;
  options.resolve = resolve_model;
  tokenizer = load_tokenizer(resolve_model(model), options);
  if (with_template) chat.emplace(ChatTemplate::of(*tokenizer, chosen));
}

const KeyTable<TokenOptions>& token_keys() {
  using data::TrainOn, data::Truncate;
  static const auto table = [] {
    KeyTable<TokenOptions> keys;
    keys.choice<TrainOn>("train_on", "What is learnt: the last answer, every answer of the assistant, or all",
                         {std::begin(data::train_on_names), std::end(data::train_on_names)},
                         [](auto& o) -> auto& { return o.tokenize.train_on; })
        .only_with({"model"});
    keys.choice<Truncate>("truncate", "What becomes of a row that is too long",
                          {std::begin(data::truncate_names), std::end(data::truncate_names)},
                          [](auto& o) -> auto& { return o.tokenize.truncate; })
        .only_with({"model"});
    keys.add("max_length", "Tokens of a row; 0 for no limit", [](auto& o) -> auto& { return o.tokenize.max_length; })
        .at_least(0)
        .only_with({"model"});
    keys.add("raw", "Prompt and completion as plain text, without a chat template", [](auto& o) -> auto& { return o.tokenize.raw; })
        .only_with({"model"});
    keys.add("split_turns", "A row of each turn of the assistant, behind the history as serving renders it",
             [](auto& o) -> auto& { return o.tokenize.split_turns; })
        .only_with({"model"});
    keys.add("chat_template", "A Jinja file, or the name of one of the model's templates, instead of its own",
             [](auto& o) -> auto& { return o.chat_template; })
        .is_file_or_name()
        .only_with({"model"});
    return keys;
  }();
  return table;
}

}  // namespace fettle::verbs
