#include <algorithm>
#include <deque>
#include <optional>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/ordered_json.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/generation_flags.h"
#include "data/files/reader.h"
#include "data/files/writer.h"
#include "data/rows/example.h"
#include "generate/constrain/json_schema.h"
#include "generate/constrain/token_grammar.h"

namespace fettle::cli {
namespace {

struct GenerateState {
  ModelFlags model;
  SamplingFlags sampling;
  EngineFlags engine;
  std::string prompt, system, input, output = "-";
  std::string schema, regex;  ///< what answers keep to: a schema's file, a pattern
  int32_t n = 1;
  bool raw = false;
  const CLI::Option* prompt_option = nullptr;

  /// What every answer keeps to; null: nothing.
  std::shared_ptr<const TokenConstraint> constraint(OpenModel& opened) const {
    if (schema.empty() && regex.empty()) return nullptr;
    const std::string where = schema.empty() ? "--regex" : schema;
    const auto grammar = [&] {
      if (schema.empty()) return pattern_grammar(regex);
      return json_schema_grammar(parse_ordered_json(read_file(schema, 16 << 20), "the schema"));
    };
    TokenGrammars grammars(*opened.tokenizer(), opened.decoder().config().vocab_size, ends_of(opened));
    try {
      return grammars.make(where, grammar);
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::input) throw;
      fail(where, "{}", error.what());
    }
  }
};

/// Everything that is needed to turn prompts into answers.
struct Generator {
  GenerateState& state;
  std::unique_ptr<OpenModel> model;
  Engine engine;
  SamplingOptions sampling;
  std::shared_ptr<const TokenConstraint> constraint;

  explicit Generator(GenerateState& s)
      : state(s),
        model(s.model.open()),
        engine(*model, s.engine.options()),
        sampling(s.sampling.over(model->sampling_defaults())),
        constraint(s.constraint(*model)) {
    if (!state.raw) model->chat();  // a model without a template says so before anything is read
  }

  GenerationRequest request(std::vector<int32_t> prompt) const {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.sampling = sampling;
    request.stop = state.sampling.stop;
    request.n = state.n;
    request.constraint = constraint;
    request.max_tokens =
        state.sampling.limit(static_cast<int64_t>(request.prompt.size()), engine.context_length());
    return request;
  }

  std::vector<int32_t> encode(const std::string& text) const {
    if (!state.raw) return encode(Messages{{"user", text, 1.0, nullptr}});
    auto ids = model->tokenizer()->encode(text, {.add_special = true, .parse_special = false});
    if (ids.empty()) {
      const int32_t bos = model->tokenizer()->bos();
      if (bos < 0) fail("prompt", "is empty, and the model has no token to begin a text with");
      ids.push_back(bos);
    }
    return ids;
  }

  std::vector<int32_t> encode(Messages messages, const OrderedJson& variables = nullptr) const {
    if (!state.system.empty() && (messages.empty() || messages.front().role != "system")) {
      messages.insert(messages.begin(), {"system", state.system, 1.0, nullptr});
    }
    RenderOptions render;
    render.add_generation_prompt = true;
    if (variables.is_object()) render.variables = variables;
    return encode_chat(*model->tokenizer(), model->chat(), messages, render);
  }

  /// The prompt of a row of any format, with its tools and template variables.
  std::vector<int32_t> encode_row(const OrderedJson& row, const std::string& where) const {
    const data::Example example = data::prompt_from_row(row, data::Format::automatic, {}, where);
    const data::Content& prompt = example.prompt;
    const bool is_text = !prompt.is_chat || !prompt.text.empty();
    if (state.raw && !is_text) fail(where, "--raw takes prompts as text, this one is a list of messages");
    if (state.raw) return encode(prompt.text);
    return encode(prompt.is_chat ? prompt.messages : Messages{{"user", prompt.text, 1.0, nullptr}}, example.variables);
  }
};

OrderedJson answers_json(const GenerationResult& result) {
  OrderedJson answers = OrderedJson::array();
  for (const GenerationSample& sample : result.samples) {
    answers.push_back({{"text", sample.text},
                       {"finish_reason", finish_reason_name(sample.finish)},
                       {"tokens", sample.tokens.size()}});
  }
  return answers;
}

void answer_prompt(Generator& generator) {
  GenerateState& state = generator.state;
  std::string text = state.prompt;
  if (text == "-") text = read_file("-");
  auto request = generator.request(generator.encode(text));
  const bool stream = state.n == 1 && !json_output();
  if (stream) {
    request.on_delta = [](const GenerationDelta& delta) {
      if (!delta.text.empty()) print_part(delta.text);
    };
  }
  const GenerationResult result = generator.engine.generate(std::move(request));
  if (!result.error.empty()) fail("generate", "{}", result.error);
  if (json_output()) {
    const OrderedJson report{{"answers", answers_json(result)},
                             {"prompt_tokens", result.prompt_tokens},
                             {"completion_tokens", result.completion_tokens},
                             {"seconds", result.total_seconds}};
    return print_report(report, "");
  }
  for (size_t i = 0; i < result.samples.size(); ++i) {
    if (i > 0) print_line("---");
    print_line(stream ? std::string_view() : std::string_view(result.samples[i].text));
  }
}

/// Rows in, rows out, in their order; a window of them runs at once.
class Batch {
 public:
  Batch(Generator& generator, const std::string& output)
      : generator_(generator), writer_(output), progress_("generate", 0, "answers"), requests_(generator.engine) {}

  void add(OrderedJson row, const std::string& where) {
    auto& job = jobs_.emplace_back(std::make_unique<Job>());
    job->row = std::move(row);
    try {
      auto request = generator_.request(generator_.encode_row(job->row, where));
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
    writer_.commit();
  }
  int64_t failed() const { return failed_; }
  /// ": why" of the first row without an answer; empty when there is none.
  std::string first_error() const { return first_error_.empty() ? "" : ": " + first_error_; }
  int64_t written() const { return written_; }

 private:
  struct Job {
    OrderedJson row;
    std::optional<GenerationResult> result;
  };
  static constexpr size_t window = 1024;

  void step() {
    throw_if_interrupted();
    if (!jobs_.front()->result) generator_.engine.step();
    while (!jobs_.empty() && jobs_.front()->result) {
      write(*jobs_.front());
      jobs_.pop_front();
    }
  }

  void write(Job& job) {
    const GenerationResult& result = *job.result;
    if (result.machine_failed) throw Error(Error::Kind::io, "generate: " + result.error);
    if (!result.error.empty()) {
      if (failed_++ == 0) first_error_ = result.error;
      job.row["error"] = result.error;
    } else if (result.samples.size() == 1) {
      job.row["completion"] = result.samples[0].text;
      job.row["finish_reason"] = finish_reason_name(result.samples[0].finish);
    } else {
      job.row["completions"] = answers_json(result);
    }
    writer_.write(job.row);
    ++written_;
  }

  Generator& generator_;
  data::RowWriter writer_;
  Progress progress_;
  std::deque<std::unique_ptr<Job>> jobs_;
  int64_t failed_ = 0, written_ = 0;
  std::string first_error_;
  RequestGroup requests_;  ///< last: its callbacks use the others
};

void answer_file(Generator& generator) {
  const GenerateState& state = generator.state;
  data::RejectedRows rejected;
  data::RowReader reader({state.input}, rejected);
  Batch batch(generator, state.output);
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
  if (lost > 0) {
    fail(state.input, "{} rows have no answer: {} carry the reason under 'error', {} could not be read{}", lost,
         batch.failed(), rejected.count(), batch.first_error());
  }
}

void run_generate(GenerateState& state) {
  const bool has_prompt = state.prompt_option->count() > 0;
  if (has_prompt == !state.input.empty()) fail_usage("generate: give either --prompt TEXT or --input FILE");
  if (!state.schema.empty() && !state.regex.empty()) fail_usage("generate: give either --schema or --regex");
  if (state.raw && !state.system.empty())
    fail_usage("generate: --system needs the chat template, --raw leaves it out");
  Generator generator(state);
  if (has_prompt) {
    answer_prompt(generator);
  } else {
    answer_file(generator);
  }
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto& command = add_command(
      app, "generate", "Let a model answer one prompt, or a file of them",
      "  $ fettle generate --model starter --prompt 'Who bakes bread?'\n"
      "  $ fettle generate --model smollm2-135m-instruct --raw --prompt 'Gravity is' --max-tokens 24\n"
      "  $ fettle generate --model runs/dpo --input prompts.jsonl --output answers.jsonl --temperature 0.7 "
      "--n 4\n"
      "  $ fettle generate --model starter --prompt 'A cat as JSON' --schema cat.schema.json\n"
      "  $ fettle generate --model starter --input reviews.jsonl --regex 'good|bad' --output verdicts.jsonl");
  auto state = std::make_shared<GenerateState>();
  state->model.add_to(command);
  state->prompt_option =
      command.add_option("--prompt", state->prompt, "What to answer; - reads standard input");
  command.add_option("--system", state->system, "A system message before the prompt");
  command.add_option("--input", state->input,
                     "Rows of `prompt` (text or messages), `messages`, or any other format (docs/data.md); - is standard input");
  command
      .add_option("--output", state->output,
                  "The rows with `completion` (with --n: `completions`) added; - is standard output")
      ->capture_default_str();
  state->sampling.add_to(command);
  command.add_option("--n", state->n, "Answers to each prompt")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--schema", state->schema, "A file with a JSON Schema that every answer fits");
  command.add_option("--regex", state->regex, "A regular expression (ECMA-262) that every answer fits as a whole");
  command.add_flag("--raw", state->raw, "Continue the text as it is, without the chat template");
  state->engine.add_to(command);
  on_run(command, state, run_generate);
}

}  // namespace fettle::cli
