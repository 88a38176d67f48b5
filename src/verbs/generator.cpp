#include "base/error.h"
#include "base/ordered_json.h"
#include "data/rows/example.h"
#include "generate/constrain/json_schema.h"
#include "verbs/generate.h"

namespace fettle::verbs {
namespace {

/// What every answer keeps to; null: nothing.
std::shared_ptr<const TokenConstraint> constraint_of(const Generate& options, OpenModel& model) {
  if (options.schema.empty() && options.regex.empty()) return nullptr;
  const std::string where = options.schema.empty() ? "regex" : options.schema;
  const auto grammar = [&] {
    if (options.schema.empty()) return pattern_grammar(options.regex);
    return json_schema_grammar(parse_ordered_json(read_file(options.schema, 16 << 20), "the schema"));
  };
  TokenGrammars grammars(*model.tokenizer(), model.decoder().config().vocab_size, ends_of(model));
  try {
    return grammars.make(where, grammar);
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::input) throw;
    fail(where, "{}", error.what());
  }
}

}  // namespace

Generator::Generator(const Generate& options)
    : options_(options),
      model_(options.model.open()),
      engine_(*model_, options.engine.options()),
      sampling_(options.sampling.over(model_->sampling_defaults())),
      constraint_(constraint_of(options, *model_)) {
  if (!options.raw) model_->chat();  // a model without a template says so before anything is read
}

GenerationRequest Generator::request_of(std::vector<int32_t> prompt) const {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampling = sampling_;
  request.stop = options_.sampling.stop;
  request.n = options_.n;
  request.constraint = constraint_;
  request.max_tokens = options_.sampling.limit(static_cast<int64_t>(request.prompt.size()), engine_.context_length());
  return request;
}

std::vector<int32_t> Generator::encode(const std::string& text) const {
  if (!options_.raw) return encode(Messages{{"user", text, 1.0, nullptr}});
  auto ids = model_->tokenizer()->encode(text, {.add_special = true, .parse_special = false});
  if (ids.empty()) {
    const int32_t bos = model_->tokenizer()->bos();
    if (bos < 0) fail("prompt", "is empty, and the model has no token to begin a text with");
    ids.push_back(bos);
  }
  return ids;
}

std::vector<int32_t> Generator::encode(Messages messages, const OrderedJson& variables) const {
  if (!options_.system.empty() && (messages.empty() || messages.front().role != "system")) {
    messages.insert(messages.begin(), {"system", options_.system, 1.0, nullptr});
  }
  RenderOptions render;
  render.add_generation_prompt = true;
  if (variables.is_object()) render.variables = variables;
  return encode_chat(*model_->tokenizer(), model_->chat(), messages, render);
}

GenerationRequest Generator::request(const OrderedJson& row, const std::string& where) const {
  const data::Example example = data::prompt_from_row(row, data::Format::automatic, {}, where);
  const data::Content& prompt = example.prompt;
  const bool is_text = !prompt.is_chat || !prompt.text.empty();
  if (options_.raw && !is_text) fail(where, "raw prompts are texts, this one is a list of messages");
  if (options_.raw) return request(prompt.text);
  return request_of(encode(prompt.is_chat ? prompt.messages : Messages{{"user", prompt.text, 1.0, nullptr}}, example.variables));
}

OrderedJson answers_json(const GenerationResult& result) {
  OrderedJson answers = OrderedJson::array();
  for (const GenerationSample& sample : result.samples) {
    answers.push_back({{"text", sample.text},
                       {"finish_reason", finish_reason_name(sample.finish)},
                       {"tokens", sample.tokens.size()}});
  }
  return answers;
}

}  // namespace fettle::verbs
