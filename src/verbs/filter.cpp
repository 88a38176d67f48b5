#include "data/passes/filter.h"

#include "base/error.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

using OnPhrase = data::FilterOptions::OnPhrase;
using Rule = data::DecontaminateOptions::Rule;

struct Filter {
  Files files;
  std::vector<std::string> rules, lists;
  std::string model;
  bool substring = false;
  data::FilterOptions options;
};

#define MEMBER(expression) [](auto& o) -> auto& { return o.expression; }

void add_phrase_keys(KeyTable<Filter>& keys) {
  keys.add("field", "FIELD=VALUE or FIELD!=VALUE; all must hold", MEMBER(rules));
  keys.add("phrases", "wizardlm-unfiltered, vicuna-unfiltered, openchat, openchat-later, or a file with one phrase a line", MEMBER(lists))
      .is_file_or_name();
  keys.add("where", "Where phrases are searched: roles, keys of the row, or all; a rule on a field is `field`", MEMBER(options.phrase_fields))
      .alias("fields")
      .listed()
      .only_with({"phrases"})
      .by_default("the assistant's texts");
  keys.choice<OnPhrase>("on_phrase", "What goes: the row, the exchange, or the weight of the turn (it stays, unlearnt)",
                        {{"drop-row", OnPhrase::drop_row}, {"drop-pair", OnPhrase::drop_pair}, {"zero-weight", OnPhrase::zero_weight}},
                        MEMBER(options.on_phrase))
      .only_with({"phrases"});
}

void add_size_keys(KeyTable<Filter>& keys) {
  keys.add("min_characters", "Of all texts of the row together; 0: no bound", MEMBER(options.min_characters)).at_least(0);
  keys.add("max_characters", "Of all texts of the row together; 0: no bound", MEMBER(options.max_characters)).at_least(0);
  keys.add("min_turns", "Turns of the row; 0: no bound", MEMBER(options.min_turns)).at_least(0);
  keys.add("max_turns", "Turns of the row; 0: no bound", MEMBER(options.max_turns)).at_least(0);
  keys.add("min_tokens", "Tokens of the row's texts, without a template; 0: no bound", MEMBER(options.min_tokens))
      .at_least(0)
      .only_with({"model"});
  keys.add("max_tokens", "Tokens of the row's texts, without a template; 0: no bound", MEMBER(options.max_tokens))
      .at_least(0)
      .only_with({"model"});
  keys.add("model", "Whose tokenizer counts tokens; its files alone will do", MEMBER(model)).input().only_with({"min_tokens", "max_tokens"});
}

void add_text_keys(KeyTable<Filter>& keys) {
  keys.add("language", "Keep only these (en, de, zh, …)", MEMBER(options.keep_languages)).alias("languages").listed();
  keys.add("skip_language", "Drop these", MEMBER(options.skip_languages)).alias("skip_languages").listed();
  keys.add("min_confidence", "Of the language", MEMBER(options.min_confidence)).between(0, 1).only_with({"language", "skip_language"});
  keys.add("fasttext", "A fastText model (lid.176.bin) tells the language instead of CLD2", MEMBER(options.fasttext))
      .input()
      .only_with({"language", "skip_language"});
  keys.add("max_repetition", "Share of a text's five-word runs that stood in it before", MEMBER(options.max_repetition));
  keys.add("max_symbols", "Share of characters that are no letters, digits or spaces", MEMBER(options.max_symbols));
  keys.add("max_non_ascii", "Share of characters beyond ASCII", MEMBER(options.max_non_ascii));
  keys.add("max_digit_run", "Drop rows with one digit so often in a row; 0: no bound", MEMBER(options.max_digit_run)).at_least(0);
}

void add_benchmark_keys(KeyTable<Filter>& keys) {
  keys.add("decontaminate", "Drop rows that hold a question of these benchmark files", MEMBER(options.decontaminate.benchmarks)).input();
  keys.add("run_words", "Words of a run that question and row share", MEMBER(options.decontaminate.words)).only_with({"decontaminate"});
  keys.add("overlap", "Share of a question's runs that a row must hold", MEMBER(options.decontaminate.overlap)).only_with({"decontaminate"});
  keys.add("substring", "The handbook's rule instead: the whole question, in lower case, inside the row", MEMBER(substring))
      .only_with({"decontaminate"})
      .not_with({"run_words", "overlap"});
}

#undef MEMBER

KeyTable<Filter> filter_keys() {
  KeyTable<Filter> keys;
  keys.include(file_keys(), [](auto& o) -> auto& { return o.files; });
  add_phrase_keys(keys);
  add_size_keys(keys);
  add_text_keys(keys);
  add_benchmark_keys(keys);
  return keys;
}

void check_filter(const Filter& filter, const KeyValues& values) {
  for (const auto& rule : filter.rules) data::FieldRule::parse(rule);
  for (const auto& place : filter.options.phrase_fields) {
    if (place.find('=') != std::string::npos)
      fail_usage("{}{}: '{}' is a rule on a field, which stands under {}", values.style().where, values.shown("where"), place,
                 values.style().shown("field"));
  }
  for (const auto& list : filter.lists)
    if (!has_reference(list)) data::phrase_list(list);
}

Report run_filter(Filter& filter, const KeyValues&, parallel::ProcessGroup& group) {
  auto& options = filter.options;
  ModelText text;
  text.load(filter.model, false);
  options.tokenizer = text.tokenizer.get();
  if (filter.substring) options.decontaminate.rule = Rule::substring;
  for (const auto& rule : filter.rules) options.fields.push_back(data::FieldRule::parse(rule));
  for (const auto& list : filter.lists) {
    const auto phrases = data::phrase_list(list);
    options.phrases.insert(options.phrases.end(), phrases.begin(), phrases.end());
  }
  return finish(filter.files, data::filter_rows(filter.files.pass(group), options));
}

}  // namespace

const Verb& filter_verb() {
  static const Verb verb = make_verb({.group = "data",
                                      .name = "filter",
                                      .summary = "Keep rows by field, size, language, quality and phrases",
                                      .examples = "  $ fettle data filter --input chats.jsonl --phrases wizardlm-unfiltered "
                                                  "--output kept.jsonl --rejected removed.jsonl\n"
                                                  "  $ fettle data filter --input sharegpt.json --field \"model=Model: GPT-4\" "
                                                  "--min-turns 2 --output gpt4.jsonl\n"
                                                  "  $ fettle data filter --input chats.jsonl --language en --decontaminate "
                                                  "mmlu.parquet gsm8k.jsonl --output clean.jsonl --rejected removed.jsonl"},
                                     filter_keys(), check_filter, run_filter);
  return verb;
}

}  // namespace fettle::verbs
