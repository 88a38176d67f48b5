// Verbs of `fettle data` that drop rows: dedupe, filter.
#include "cli/data_verbs.h"
#include "data/passes/dedupe.h"
#include "data/passes/filter.h"

namespace fettle::cli {
namespace {

struct DedupeState {
  Files files;
  std::string keep = "first", clusters;
  const CLI::Option* score_field = nullptr;
  data::DedupeOptions options;
};
void run_dedupe(DedupeState& state) {
  using Keep = data::DedupeOptions::Keep;
  state.options.keep = state.keep == "longest" ? Keep::longest
                       : state.keep == "best"  ? Keep::best
                                               : Keep::first;
  state.options.clusters = state.clusters;
  if (state.score_field->count() > 0 && state.options.keep != Keep::best)
    fail_usage("dedupe: --score-field is read for --keep best, not for --keep {}", state.keep);
  finish(state.files, data::dedupe_rows(state.files.pass({{"--clusters", state.clusters}}), state.options));
}

}  // namespace

void add_dedupe(CLI::App& data) {
  auto& command = add_command(data, "dedupe", "Drop rows that say the same, exactly or nearly",
                              "  $ fettle data dedupe --input chats.jsonl --output unique.jsonl\n"
                              "  $ fettle data dedupe --input a.jsonl b.jsonl --near --threshold 0.8 "
                              "--clusters c.jsonl --output unique.jsonl");
  auto state = std::make_shared<DedupeState>();
  add_files(command, state->files);
  command.add_option("--keep", state->keep, "Which row of a cluster stays")
      ->check(CLI::IsMember({"first", "longest", "best"}))
      ->capture_default_str();
  state->score_field = command
                           .add_option("--score-field", state->options.score_field,
                                       "For --keep best: the highest number in this field")
                           ->capture_default_str();
  auto* near = command.add_flag("--near", state->options.near, "Near-duplicates too (MinHash, with verified similarity)");
  command.add_option("--threshold", state->options.threshold, "Jaccard similarity from which rows are near")
      ->needs(near)
      ->capture_default_str();
  command.add_option("--shingle-words", state->options.shingle_words, "Words of a shingle")
      ->needs(near)
      ->capture_default_str();
  command.add_option("--clusters", state->clusters, "Write {\"kept\", \"dropped\"} ids");
  on_run(command, state, run_dedupe);
}

namespace {

struct FilterState {
  Files files;
  std::vector<std::string> rules, lists;
  std::string model, on_phrase = "drop-row", fasttext;
  bool substring = false;
  data::FilterOptions options;
};
void run_filter(FilterState& state) {
  using OnPhrase = data::FilterOptions::OnPhrase;
  auto& options = state.options;
  const bool counts_tokens = options.min_tokens > 0 || options.max_tokens > 0;
  const bool tells_languages = !options.keep_languages.empty() || !options.skip_languages.empty();
  if (!state.model.empty() && !counts_tokens) fail_usage("filter: --model counts tokens for --min-tokens and --max-tokens; give one of them");
  if (!tells_languages && (!state.fasttext.empty() || options.min_confidence > 0))
    fail_usage("filter: --fasttext and --min-confidence are read with --language or --skip-language");
  Text text;
  text.load(state.model, false);
  state.options.tokenizer = text.tokenizer.get();
  state.options.fasttext = state.fasttext;
  if (state.substring) state.options.decontaminate.rule = data::DecontaminateOptions::Rule::substring;
  for (const auto& rule : state.rules) state.options.fields.push_back(data::FieldRule::parse(rule));
  for (const auto& list : state.lists) {
    const auto phrases = data::phrase_list(list);
    state.options.phrases.insert(state.options.phrases.end(), phrases.begin(), phrases.end());
  }
  state.options.on_phrase = state.on_phrase == "drop-pair"     ? OnPhrase::drop_pair
                            : state.on_phrase == "zero-weight" ? OnPhrase::zero_weight
                                                               : OnPhrase::drop_row;
  finish(state.files, data::filter_rows(state.files.pass(), state.options));
}

}  // namespace

void add_filter(CLI::App& data) {
  auto& command = add_command(data, "filter", "Keep rows by field, size, language, quality and phrases",
                              "  $ fettle data filter --input chats.jsonl --phrases wizardlm-unfiltered "
                              "--output kept.jsonl --rejected removed.jsonl\n"
                              "  $ fettle data filter --input sharegpt.json --field \"model=Model: GPT-4\" "
                              "--min-turns 2 --output gpt4.jsonl\n"
                              "  $ fettle data filter --input chats.jsonl --language en --decontaminate mmlu.parquet "
                              "gsm8k.jsonl --output clean.jsonl --rejected removed.jsonl");
  auto state = std::make_shared<FilterState>();
  add_files(command, state->files);
  command.add_option("--field", state->rules, "FIELD=VALUE or FIELD!=VALUE; all must hold");
  auto* phrases = command.add_option(
      "--phrases", state->lists,
      "wizardlm-unfiltered, vicuna-unfiltered, openchat, openchat-later, or a file with one phrase a line");
  command
      .add_option(
          "--fields,--where", state->options.phrase_fields,
          "Where phrases are searched: roles, keys of the row, or all (default: the assistant's texts)")
      ->needs(phrases)
      ->delimiter(',');
  command
      .add_option("--on-phrase", state->on_phrase,
                  "What goes: drop-row, drop-pair (the exchange), zero-weight (the turn stays, unlearnt)")
      ->needs(phrases)
      ->check(CLI::IsMember({"drop-row", "drop-pair", "zero-weight"}))
      ->capture_default_str();
  command.add_option("--min-characters", state->options.min_characters);
  command.add_option("--max-characters", state->options.max_characters);
  command.add_option("--min-turns", state->options.min_turns);
  command.add_option("--max-turns", state->options.max_turns);
  command.add_option("--min-tokens", state->options.min_tokens);
  command.add_option("--max-tokens", state->options.max_tokens);
  command.add_option("--model", state->model, "Whose tokenizer counts tokens; its files alone will do");
  auto& options = state->options;
  command.add_option("--language,--languages", options.keep_languages, "Keep only these (en, de, zh, …)")->delimiter(',');
  command.add_option("--skip-language,--skip-languages", options.skip_languages, "Drop these")->delimiter(',');
  command.add_option("--min-confidence", options.min_confidence, "Of the language, from 0 to 1");
  command.add_option("--fasttext", state->fasttext, "A fastText model (lid.176.bin) tells the language instead of CLD2");
  command.add_option("--max-repetition", options.max_repetition,
                     "Share of a text's five-word runs that stood in it before")->capture_default_str();
  command.add_option("--max-symbols", options.max_symbols, "Share of characters that are no letters, digits or spaces")
      ->capture_default_str();
  command.add_option("--max-non-ascii", options.max_non_ascii, "Share of characters beyond ASCII")->capture_default_str();
  command.add_option("--max-digit-run", options.max_digit_run, "Drop rows with one digit so often in a row");
  auto& clean = options.decontaminate;
  auto* benchmarks = command.add_option("--decontaminate", clean.benchmarks, "Drop rows that hold a question of these benchmark files");
  auto* words = command.add_option("--run-words", clean.words, "Words of a run that question and row share");
  words->needs(benchmarks)->capture_default_str();
  auto* overlap = command.add_option("--overlap", clean.overlap, "Share of a question's runs that a row must hold");
  overlap->needs(benchmarks)->capture_default_str();
  command.add_flag("--substring", state->substring,
                   "The handbook's rule instead: the whole question, in lower case, inside the row")
      ->needs(benchmarks)
      ->excludes(words)
      ->excludes(overlap);
  on_run(command, state, run_filter);
}

}  // namespace fettle::cli
