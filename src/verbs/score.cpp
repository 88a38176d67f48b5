#include <cstring>
#include <optional>

#include "base/input_fault.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/files/ranked_writer.h"
#include "data/files/reader.h"
#include "data/files/writer.h"
#include "data/passes/rows_read.h"
#include "data/rows/example.h"
#include "data/training/tokenize.h"
#include "generate/score.h"
#include "parallel/agree.h"
#include "parallel/packed.h"
#include "verbs/generation.h"
#include "verbs/verb.h"

namespace fettle::verbs {
namespace {

struct ScoreRows {
  ModelChoice model;
  std::string input = "-", output = "-";
  bool raw = false, per_token = false;
  int64_t batch_tokens = 2048;
};

KeyTable<ScoreRows> score_keys() {
  KeyTable<ScoreRows> keys;
  keys.include(model_keys(), [](auto& o) -> auto& { return o.model; });
  keys.add("input", "Rows of `prompt` and `completion`, or of any format with an answer (docs/data.md)", [](auto& o) -> auto& { return o.input; })
      .input();
  keys.add("output", "Rows of `logp` (the sum), `tokens` and `greedy`", [](auto& o) -> auto& { return o.output; }).output("scores.jsonl");
  keys.add("per_token", "Add `logps`, one per token of the completion", [](auto& o) -> auto& { return o.per_token; });
  keys.add("raw", "Prompt and completion as plain text, without the chat template", [](auto& o) -> auto& { return o.raw; });
  keys.add("batch_tokens", "Tokens computed at once", [](auto& o) -> auto& { return o.batch_tokens; }).at_least(1).for_speed();
  return keys;
}

/// As lm-evaluation-harness cuts them: white space at the end of the prompt belongs to the completion, and
/// the completion's tokens are those of the whole text after the prompt's own.
ScoreRow encode_raw(const Tokenizer& tokenizer, std::string prompt, std::string completion) {
  size_t end = prompt.size();
  while (end > 0 && std::string_view(" \t\n\r\f\v").find(prompt[end - 1]) != std::string_view::npos) --end;
  completion.insert(0, prompt, end);
  prompt.resize(end);
  ScoreRow row;
  row.prompt = tokenizer.encode(prompt, {.add_special = true, .parse_special = false});
  const auto whole = tokenizer.encode(prompt + completion, {.add_special = true, .parse_special = false});
  if (row.prompt.empty()) {
    const int32_t begin = tokenizer.bos() >= 0 ? tokenizer.bos() : tokenizer.eos();
    if (begin < 0) fail("prompt", "is empty, and the model has no token to begin a text with");
    row.prompt = {begin};
    row.completion = whole;
  } else {
    row.completion.assign(
        whole.begin() + static_cast<std::ptrdiff_t>(std::min(row.prompt.size(), whole.size())), whole.end());
  }
  return row;
}

/// Under the template: what training on completions counts (the end of the turn included).
ScoreRow encode_chat(OpenModel& model, const data::Example& example) {
  data::TokenizeOptions options;
  options.max_length = 0;
  std::string reason;
  bool truncated = false;
  const auto sequence =
      data::tokenize_sequence(example, *model.tokenizer(), &model.chat(), options, reason, truncated);
  if (!sequence) fail("row", "{}", reason);
  const auto first = std::ranges::find_if(sequence->weights, [](float weight) { return weight != 0.0F; });
  const auto split = sequence->ids.begin() + (first - sequence->weights.begin());
  return {{sequence->ids.begin(), split}, {split, sequence->ids.end()}};
}

ScoreRow encode_row(ScoreRows& state, OpenModel& model, const OrderedJson& row, const std::string& where) {
  const auto text_under = [&](const char* key) { return row.contains(key) && row[key].is_string(); };
  if (state.raw && text_under("prompt") && text_under("completion")) return encode_raw(*model.tokenizer(), row["prompt"], row["completion"]);
  using Kind = data::Example::Kind;
  data::Example example = data::example_from_row(row, data::Format::automatic, {}, where);
  if (example.kind == Kind::pair) fail(where, "is a preference pair; a row is scored as one prompt and one completion");
  if (example.kind == Kind::text) fail(where, "is plain text; a row of prompt and completion, or a conversation, is scored");
  if (example.kind == Kind::judged) example.kind = Kind::completion;
  if (!state.raw) return encode_chat(model, example);
  const auto is_text = [](const data::Content& content) { return !content.is_chat || !content.text.empty(); };
  if (!is_text(example.prompt) || !is_text(example.completion)) fail(where, "--raw takes prompt and completion as text");
  return encode_raw(*model.tokenizer(), example.prompt.text, example.completion.text);
}

/// Rows in, scores out, in their order; of ranks, each scores some of the packed batches.
class Scorer {
 public:
  Scorer(ScoreRows& state, parallel::ProcessGroup& group)
      : state_(state), model_(state.model.open()), group_(group), progress_("score", 0, "rows") {
    if (!state.raw) model_->chat();
    if (group.leads()) writer_.emplace(state.output);
    options_.batch_tokens = state.batch_tokens;
    options_.on_progress = [this](int64_t rows) { progress_.advance(static_cast<uint64_t>(rows)); };
    options_.is_mine = [this] { return batches_++ % group_.size() == group_.rank(); };
  }

  void add(const std::vector<data::Row>& rows, const std::vector<OrderedJson>& values) {
    std::vector<ScoreRow> inputs(values.size());
    std::vector<std::string> errors(values.size());
    std::vector<Score> scores;
    parallel::together_do(group_, [&] {
      for (size_t i = 0; i < values.size(); ++i) encode(values[i], rows[i].where(), inputs[i], errors[i]);
      scores = score(model_->decoder(), inputs, options_);
    });
    gather(scores);
    if (!writer_) return;
    for (size_t i = 0; i < values.size(); ++i) write(values[i], scores[i], errors[i]);
  }

  /// How many rows have no score.
  int64_t finish() {
    progress_.finish();
    parallel::together_do(group_, [&] {
      if (writer_) writer_->commit();
    });
    return failed_;
  }

 private:
  /// To rank 0, what the others scored.
  void gather(std::vector<Score>& scores) {
    if (group_.is_alone()) return;
    parallel::Packer mine;
    for (size_t i = 0; i < scores.size() && !group_.leads(); ++i) {
      if (scores[i].tokens == 0) continue;
      mine.put(i);
      mine.put(scores[i].logp);
      mine.put(scores[i].greedy);
      mine.put_text({reinterpret_cast<const char*>(scores[i].logps.data()), scores[i].logps.size() * sizeof(float)});
    }
    for (const std::string& packed : group_.gather(mine.bytes(), 0)) {
      for (parallel::Unpacker from(packed); !from.at_end();) {
        Score& score = scores.at(from.get<size_t>());
        score.logp = from.get<double>();
        score.greedy = from.get<bool>();
        const std::string_view logps = from.get_view();
        score.logps.resize(logps.size() / sizeof(float));
        std::memcpy(score.logps.data(), logps.data(), logps.size());
        score.tokens = static_cast<int64_t>(score.logps.size());
      }
    }
  }

  void encode(const OrderedJson& value, const std::string& where, ScoreRow& input, std::string& error_text) {
    const int64_t context = model_->decoder().config().context_length;
    try {
      input = encode_row(state_, *model_, value, where);
      const auto length = static_cast<int64_t>(input.prompt.size() + input.completion.size());
      if (context > 0 && length > context) fail(where, "has {} tokens, the model's context holds {}", length, context);
    } catch (const Error& error) {
      rethrow_unless_of_input(error);
      error_text = error.what();
      input = {{0}, {}};
      ++failed_;
    }
  }

  void write(const OrderedJson& value, const Score& score, const std::string& error) {
    OrderedJson out = OrderedJson::object();
    if (value.contains("id")) out["id"] = value["id"];
    if (error.empty()) {
      out["logp"] = score.logp;
      out["tokens"] = score.tokens;
      out["greedy"] = score.greedy;
      if (state_.per_token) out["logps"] = score.logps;
    } else {
      out["error"] = error;
    }
    writer_->write(out);
  }

  ScoreRows& state_;
  std::unique_ptr<OpenModel> model_;
  parallel::ProcessGroup& group_;
  std::optional<data::RowWriter> writer_;
  Progress progress_;
  ScoreOptions options_;
  int64_t batches_ = 0, failed_ = 0;
};

Report run_score(ScoreRows& state, const KeyValues&, parallel::ProcessGroup& group) {
  Scorer scorer(state, group);
  data::check_same_files(group, {state.input});
  data::RejectedRows rejected;
  data::ReadOptions read;
  if (!group.is_alone()) read.whole_batch_bytes = data::common_batch_bytes(group, read.batch_bytes);
  data::RowReader reader({state.input}, rejected, read);
  std::vector<data::Row> rows;
  std::vector<OrderedJson> values;
  while (reader.next(rows, values)) scorer.add(rows, values);
  const int64_t failed = scorer.finish();
  for (const auto& rejection : rejected.first()) {
    log_warning("{}:{}: {}: {}", rejection.file, rejection.line, rejection.reason, rejection.detail);
  }
  parallel::together_do(group, [&] {
    if (failed + rejected.count() == 0) return;
    fail(state.input, "{} rows have no score: {} carry the reason under 'error', {} could not be read", failed + rejected.count(), failed,
         rejected.count());
  });
  return {};
}

}  // namespace

const Verb& score_verb() {
  static const Verb verb = make_verb({.name = "score",
                                      .summary = "Log-probabilities of given completions",
                                      .examples = "  $ fettle score --model smollm2-135m-instruct --input pairs.jsonl --output scores.jsonl\n"
                                                  "  $ echo '{\"prompt\": \"Gravity is\", \"completion\": \" a force\"}' | fettle score "
                                                  "--model starter --raw --per-token"},
                                     score_keys(), {}, run_score);
  return verb;
}

}  // namespace fettle::verbs
