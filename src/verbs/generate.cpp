#include "verbs/generate.h"

#include <deque>
#include <optional>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/files/ranked_writer.h"
#include "data/files/reader.h"
#include "parallel/agree.h"
#include "parallel/packed.h"

namespace fettle::verbs {
namespace {

/// Rows in, rows out, in their order; a window of them runs at once.
class AnsweredRows {
 public:
  AnsweredRows(Generator& generator, const std::string& output, parallel::ProcessGroup& group)
      : generator_(generator), group_(group), writer_(group, output, dealt), progress_("generate", 0, "answers"), requests_(generator.engine()) {}

  /// The next row of the input; of ranks, one answers it.
  void add(OrderedJson row, const std::string& where) {
    const int64_t number = rows_++;
    if (!writer_.is_mine(number)) return;
    auto& job = jobs_.emplace_back(std::make_unique<Job>());
    job->row = std::move(row);
    job->number = number;
    try {
      auto request = generator_.request(job->row, where);
      request.on_done = [this, job = job.get()](GenerationResult&& result) {
        job->result = std::move(result);
        progress_.advance();
      };
      requests_.submit(std::move(request));
    } catch (const Error& error) {
      rethrow_unless_of_input(error);
      job->result.emplace();
      job->result->error = error.what();
    }
    // Enough of them wait that a step is always full, and no more than memory can bear.
    while (jobs_.size() > window) step();
  }

  void finish() {
    while (!jobs_.empty()) step();
    writer_.commit(rows_);
    count_all();
  }
  // Of all ranks, after finish().
  int64_t failed() const { return failed_; }
  /// ": why" of the first row without an answer; empty when there is none.
  std::string first_error() const { return first_error_.empty() ? "" : ": " + first_error_; }
  int64_t written() const { return rows_; }

 private:
  struct Job {
    OrderedJson row;
    int64_t number = 0;
    std::optional<GenerationResult> result;
  };
  static constexpr size_t window = 1024;
  static constexpr int64_t dealt = 16;  ///< rows that go to a rank at once

  void step() {
    throw_if_interrupted();
    if (!jobs_.front()->result) generator_.engine().step();
    while (!jobs_.empty() && jobs_.front()->result) {
      write(*jobs_.front());
      jobs_.pop_front();
    }
  }

  void write(Job& job) {
    const GenerationResult& result = *job.result;
    if (result.machine_failed) throw Error(Error::Kind::io, "generate: " + result.error);
    if (!result.error.empty()) {
      if (failed_++ == 0) {
        first_error_ = result.error;
        first_failed_ = job.number;
      }
      job.row["error"] = result.error;
    } else if (result.samples.size() == 1) {
      job.row["completion"] = result.samples[0].text;
      job.row["finish_reason"] = finish_reason_name(result.samples[0].finish);
    } else {
      job.row["completions"] = answers_json(result);
    }
    writer_.write_text(dump_json(job.row));
  }

  void count_all() {
    if (group_.is_alone()) return;
    parallel::Packer mine;
    mine.put(failed_);
    mine.put(first_failed_);
    mine.put_text(first_error_);
    failed_ = 0;
    for (const std::string& packed : group_.all_gather(mine.bytes())) {
      parallel::Unpacker from(packed);
      const auto failed = from.get<int64_t>(), first = from.get<int64_t>();
      std::string error = from.get_text();
      if (failed > 0 && (failed_ == 0 || first < first_failed_)) {
        first_failed_ = first;
        first_error_ = std::move(error);
      }
      failed_ += failed;
    }
  }

  Generator& generator_;
  parallel::ProcessGroup& group_;
  data::RankedWriter writer_;
  Progress progress_;
  std::deque<std::unique_ptr<Job>> jobs_;
  int64_t rows_ = 0;  ///< of all ranks
  int64_t failed_ = 0, first_failed_ = 0;
  std::string first_error_;
  RequestGroup requests_;  ///< last: its callbacks use the others
};

void answer_rows(Generator& generator, const Generate& state, parallel::ProcessGroup& group) {
  data::check_same_files(group, {state.input});
  data::RejectedRows rejected;
  data::RowReader reader({state.input}, rejected);
  AnsweredRows batch(generator, state.output, group);
  std::vector<data::Row> rows;
  std::vector<OrderedJson> values;
  while (reader.next(rows, values)) {
    for (size_t i = 0; i < values.size(); ++i) batch.add(std::move(values[i]), rows[i].where());
  }
  batch.finish();
  for (const auto& rejection : rejected.first()) {
    log_warning("{}:{}: {}: {}", rejection.file, rejection.line, rejection.reason, rejection.detail);
  }
  const int64_t lost = batch.failed() + rejected.count();
  log_info("{} rows answered, {} not", batch.written() - batch.failed(), lost);
  parallel::together_do(group, [&] {
    if (lost == 0) return;
    fail(state.input, "{} rows have no answer: {} carry the reason under 'error', {} could not be read{}", lost,
         batch.failed(), rejected.count(), batch.first_error());
  });
}

/// All samples of one prompt; a caller that streams does it itself.
void answer_prompt(Generator& generator, const Generate& options) {
  const GenerationResult result = generator.engine().generate(generator.request(options.prompt == "-" ? read_file("-") : options.prompt));
  if (!result.error.empty()) fail("generate", "{}", result.error);
  std::string text;
  for (const auto& sample : result.samples) text += (text.empty() ? "" : "---\n") + sample.text + "\n";
  write_file(options.output, text);
}

void check_generate(const Generate& options, const KeyValues& values) {
  const auto& style = values.style();
  if (values.has("prompt") == !options.input.empty())
    fail_usage("{}give either {} or {}", style.where, style.shown("prompt"), style.shown("input"));
}

Report run_generate(Generate& options, const KeyValues& values, parallel::ProcessGroup& group) {
  Generator generator(options);
  if (values.has("prompt")) {
    answer_prompt(generator, options);
  } else {
    answer_rows(generator, options, group);
  }
  return {};
}

}  // namespace

const KeyTable<Generate>& generate_keys() {
  static const auto table = [] {
    KeyTable<Generate> keys;
    keys.include(model_keys(), [](auto& o) -> auto& { return o.model; });
    keys.add("prompt", "What to answer; - reads standard input", [](auto& o) -> auto& { return o.prompt; }).on_terminal();
    keys.add("system", "A system message before the prompt", [](auto& o) -> auto& { return o.system; }).not_with({"raw"});
    keys.add("input", "Rows of `prompt` (text or messages), `messages`, or any other format (docs/data.md); - is standard input",
             [](auto& o) -> auto& { return o.input; })
        .input();
    keys.add("output", "The rows with `completion` (with n: `completions`) added; - is standard output", [](auto& o) -> auto& { return o.output; })
        .output("answers.jsonl");
    keys.include(sampling_keys(), [](auto& o) -> auto& { return o.sampling; });
    keys.add("n", "Answers to each prompt", [](auto& o) -> auto& { return o.n; }).between(1, 4096);
    keys.add("schema", "A file with a JSON Schema that every answer fits", [](auto& o) -> auto& { return o.schema; }).input().not_with({"regex"});
    keys.add("regex", "A regular expression (ECMA-262) that every answer fits as a whole", [](auto& o) -> auto& { return o.regex; });
    keys.add("raw", "Continue the text as it is, without the chat template", [](auto& o) -> auto& { return o.raw; });
    keys.include(engine_keys(), [](auto& o) -> auto& { return o.engine; });
    return keys;
  }();
  return table;
}

const Verb& generate_verb() {
  static const Verb verb =
      make_verb({.name = "generate",
                 .summary = "Let a model answer one prompt, or a file of them",
                 .examples = "  $ fettle generate --model starter --prompt 'Who bakes bread?'\n"
                             "  $ fettle generate --model smollm2-135m-instruct --raw --prompt 'Gravity is' --max-tokens 24\n"
                             "  $ fettle generate --model runs/dpo --input prompts.jsonl --output answers.jsonl --temperature 0.7 "
                             "--n 4\n"
                             "  $ fettle generate --model starter --prompt 'A cat as JSON' --schema cat.schema.json\n"
                             "  $ fettle generate --model starter --input reviews.jsonl --regex 'good|bad' --output verdicts.jsonl"},
                generate_keys(), check_generate, run_generate);
  return verb;
}

}  // namespace fettle::verbs
