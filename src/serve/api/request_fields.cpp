#include "serve/api/request_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <random>

namespace fettle::serve {
namespace {

uint64_t fresh_seed() {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  return random();
}

std::vector<std::string> read_stop(BodyFields& fields) {
  const OrderedJson* value = fields.find("stop");
  if (value == nullptr) return {};
  const OrderedJson list = value->is_string() ? OrderedJson::array({*value}) : *value;
  if (!list.is_array() || list.size() > 16) fail_field("stop", "must be text or a list of at most 16 texts");
  std::vector<std::string> stop;
  for (const OrderedJson& text : list) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty())
      fail_field("stop", "must hold texts that are not empty");
    if (text.get_ref<const std::string&>().size() > 1024)
      fail_field("stop", "a stop text may have 1024 bytes");
    stop.push_back(text.get<std::string>());
  }
  return stop;
}

std::vector<int32_t> read_stop_tokens(BodyFields& fields, int32_t vocabulary) {
  const OrderedJson* list = fields.find("stop_token_ids");
  std::vector<int32_t> tokens;
  if (list == nullptr) return tokens;
  if (!list->is_array() || list->size() > 256)
    fail_field("stop_token_ids", "must be a list of at most 256 token ids");
  for (const OrderedJson& id : *list) {
    if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() >= vocabulary)
      fail_field("stop_token_ids", "must hold token ids between 0 and {}", vocabulary - 1);
    tokens.push_back(id.get<int32_t>());
  }
  return tokens;
}

std::vector<std::pair<int32_t, float>> read_bias(BodyFields& fields, int32_t vocabulary) {
  const OrderedJson* value = fields.find("logit_bias");
  if (value == nullptr) return {};
  if (!value->is_object() || value->size() > 4096)
    fail_field("logit_bias", "must be an object of at most 4096 token ids and their bias");
  std::vector<std::pair<int32_t, float>> bias;
  for (const auto& [key, number] : value->items()) {
    int32_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0 || token >= vocabulary)
      fail_field("logit_bias", "'{}' is no token id between 0 and {}", key.substr(0, 40), vocabulary - 1);
    if (!number.is_number() || !(std::abs(number.get<double>()) <= 100.0))
      fail_field("logit_bias", "the bias of token {} must be between -100 and 100", token);
    bias.emplace_back(token, number.get<float>());
  }
  return bias;
}

}  // namespace

void read_sampling(BodyFields& fields, const ModelContext& model, GenerationRequest& request) {
  SamplingOptions& s = request.sampling;
  const SamplingOptions& own = model.sampling;
  s.temperature = static_cast<float>(fields.number("temperature", own.temperature, 0.0, 100.0));
  const double top_p = fields.number("top_p", own.top_p, 0.0, 1.0);
  s.top_p = static_cast<float>(std::max(top_p, 1e-9));
  if (top_p < 1e-8 || s.temperature < 1e-5F) s.temperature = 0.0F;
  // vLLM's clients say "all" as -1.
  s.top_k = static_cast<int32_t>(std::max<int64_t>(0, fields.integer("top_k", own.top_k, -1, INT32_MAX)));
  s.min_p = static_cast<float>(fields.number("min_p", own.min_p, 0.0, 1.0));
  s.presence_penalty = static_cast<float>(fields.number("presence_penalty", 0.0, -2.0, 2.0));
  s.frequency_penalty = static_cast<float>(fields.number("frequency_penalty", 0.0, -2.0, 2.0));
  s.repetition_penalty = static_cast<float>(fields.number("repetition_penalty", own.repetition_penalty, 0.01, 100.0));
  const bool has_seed = fields.find("seed") != nullptr;
  s.seed = has_seed ? static_cast<uint64_t>(fields.integer("seed", 0, INT64_MIN, INT64_MAX)) : fresh_seed();
  s.logit_bias = read_bias(fields, model.vocabulary);
  request.stop = read_stop(fields);
  request.stop_tokens = read_stop_tokens(fields, model.vocabulary);
  request.ignore_eos = fields.boolean("ignore_eos", false);
  request.skip_special = fields.boolean("skip_special_tokens", true);
  request.n = static_cast<int32_t>(fields.integer("n", 1, 1, model.most_answers));
  const double most = model.longest.count() > 0 ? static_cast<double>(model.longest.count()) / 1e3 : 86400.0;
  const double seconds = fields.number("timeout", most, 0.001, 86400.0);
  if (seconds < 86400.0) {
    request.deadline = std::chrono::steady_clock::now() +
                       std::chrono::milliseconds(static_cast<int64_t>(std::min(seconds, most) * 1e3));
  }
}

void read_stream(BodyFields& fields, CompletionCall& call) {
  call.stream = fields.boolean("stream", false);
  const OrderedJson* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!call.stream) fail_field("stream_options", "needs stream: true");
  BodyFields inner(*options, "stream_options.");
  call.include_usage = inner.boolean("include_usage", false);
  inner.only("include_obfuscation", false);
  inner.only("continuous_usage_stats", false);
  inner.finish();
}

namespace {

/// At most 16 texts, as OpenAI has it; they stand in the request log.
void read_metadata(BodyFields& fields) {
  const OrderedJson* metadata = fields.find("metadata");
  if (metadata == nullptr) return;
  if (!metadata->is_object() || metadata->size() > 16)
    fail_field("metadata", "must be an object of at most 16 texts");
  for (const auto& [key, value] : metadata->items()) {
    if (!value.is_string()) fail_field("metadata", "'{}' must be text", key.substr(0, 60));
  }
}

/// What OpenAI's clients send to chat alone.
void read_fixed_chat(BodyFields& fields) {
  read_metadata(fields);
  fields.only("store", false);
  fields.choice("service_tier", "auto", {"auto", "default"});
  fields.only("modalities", OrderedJson::array({"text"}));
  fields.only("verbosity", "medium");
  if (const OrderedJson* prediction = fields.find("prediction");
      prediction != nullptr && !prediction->is_object())
    fail_field("prediction", "must be an object");
  fields.text("safety_identifier", "");
  fields.text("prompt_cache_key", "");
  fields.text("prompt_cache_retention", "");
  if (const OrderedJson* options = fields.find("prompt_cache_options");
      options != nullptr && !options->is_object())
    fail_field("prompt_cache_options", "must be an object");
  const OrderedJson* functions = fields.find("functions");
  if (functions != nullptr && *functions != OrderedJson::array())
    fail_unsupported("functions", "is the old name of tools; write tools and tool_choice");
  const OrderedJson* call = fields.find("function_call");
  if (call != nullptr && *call != "none" && *call != "auto")
    fail_unsupported("function_call", "is the old name of tool_choice; write tools and tool_choice");
  fields.only("echo", false);
  fields.only("add_special_tokens", false);
  fields.only("documents", OrderedJson::array());
}

}  // namespace

void read_fixed(BodyFields& fields, CompletionCall& call) {
  call.model = fields.text("model", "");
  call.user = fields.text("user", "").substr(0, 256);
  fields.only("best_of", call.n);
  // vLLM's, with the values that they have when they are left out.
  fields.only("use_beam_search", false);
  fields.only("length_penalty", 1.0);
  fields.only("early_stopping", false);
  fields.only("include_stop_str_in_output", false);
  fields.only("priority", 0);
  fields.boolean("spaces_between_special_tokens", true);  // no tokenizer here puts any
  if (call.chat) read_fixed_chat(fields);
}

void read_least_tokens(BodyFields& fields, const ModelContext& model, int64_t max_tokens,
                       GenerationRequest& request) {
  const int64_t least = fields.integer("min_tokens", 0, 0, int64_t{1} << 40);
  if (least == 0) return;
  if (max_tokens > 0 && least > max_tokens)
    fail_field("min_tokens", "is above the {} tokens that the answer may have", max_tokens);
  std::vector<int32_t> ends = model.ends;
  ends.insert(ends.end(), request.stop_tokens.begin(), request.stop_tokens.end());
  request.constraint = at_least_tokens(least, std::move(ends), model.vocabulary, request.constraint);
}

}  // namespace fettle::serve
