// POST /tokenize, /detokenize and /v1/embeddings.
#include <cmath>
#include <future>

#include "base/base64.h"
#include "serve/api/server_state.h"
#include "text/unicode/unicode.h"

namespace fettle::serve {
namespace {

constexpr size_t most_inputs = 256;

void tokenize(ServerState& state, HttpCall& http) {
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  const Tokenizer& tokenizer = *state.context.tokenizer;
  state.context.resolve(fields.text("model", ""));
  std::vector<int32_t> ids;
  bool strings = false;
  if (fields.find("messages") != nullptr) {
    ChatPrompt prompt = read_chat_prompt(fields, state.context);
    if (const OrderedJson* tools = fields.find("tools")) prompt.variables["tools"] = *tools;
    fields.only("add_special_tokens", false);  // a template writes its own
    strings = fields.boolean("return_token_strs", false);
    fields.finish();
    ids = encode_chat(prompt, state.context);
  } else {
    // llama.cpp's clients say content, vLLM's say prompt, and some say both.
    const bool both = fields.find("content") != nullptr && fields.find("prompt") != nullptr;
    const std::string text = fields.required_text(fields.find("content") != nullptr ? "content" : "prompt");
    if (both && fields.required_text("prompt") != text)
      fail_field("prompt", "is not the same text as content");
    const bool add = fields.boolean("add_special_tokens", true);
    const bool parse = fields.boolean("parse_special", false);
    strings = fields.boolean("return_token_strs", false);
    fields.finish();
    ids = tokenizer.encode(text, {.add_special = add, .parse_special = parse});
  }
  // Millions of tokens: as values of JSON they would take ten times the memory of their text.
  const auto list = [&](const auto& text_of) {
    std::string text = "[";
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) text += ',';
      text += text_of(ids[i]);
    }
    return text + "]";
  };
  const auto quoted = [](const std::string& text) { return dump_json(Json(text)); };
  std::string answer = fmt::format("{{\"count\":{},\"max_model_len\":{},\"pieces\":", ids.size(), state.context.context);
  answer += list([&](int32_t id) { return quoted(unicode::lossy(tokenizer.bytes(id))); });
  if (strings) answer += ",\"token_strs\":" + list([&](int32_t id) { return quoted(tokenizer.token(id)); });
  answer += ",\"tokens\":" + list([](int32_t id) { return std::to_string(id); }) + "}";
  http.response.status = 200;
  http.response.set_content(std::move(answer), "application/json");
}

void detokenize(ServerState& state, HttpCall& http) {
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  state.context.resolve(fields.text("model", ""));
  const OrderedJson* tokens = fields.find("tokens");
  if (tokens == nullptr || !tokens->is_array()) fail_field("tokens", "must be a list of token ids");
  std::vector<int32_t> ids;
  for (const OrderedJson& id : *tokens) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= state.context.vocabulary)
      fail_field("tokens", "must hold token ids between 0 and {}", state.context.vocabulary - 1);
    ids.push_back(id.get<int32_t>());
  }
  const bool skip = fields.boolean("skip_special_tokens", false);
  fields.finish();
  const std::string text = unicode::lossy(state.context.tokenizer->decode(ids, skip));
  answer_json(http.response, 200, {{"prompt", text}, {"content", text}});
}

/// Mean of the last layer's normalised hidden states, scaled to length 1.
std::vector<float> embed(Decoder& decoder, const std::vector<int32_t>& ids) {
  Batch batch;
  append_sequence(batch, ids, std::vector<uint8_t>(ids.size(), 0));
  batch.label_rows.clear();
  batch.labels.clear();
  for (int32_t row = 0; row < batch.size(); ++row) {
    batch.label_rows.push_back(row);
    batch.labels.push_back(0);
  }
  const int64_t rows = batch.size(), width = decoder.config().hidden_size;
  const Buffer memory(rows * width * 4, decoder.backend().memory());
  const Tensor out(memory.data(), DType::f32, rows, width);
  decoder.hidden(batch, out);
  std::vector<float> states(static_cast<size_t>(rows * width));
  decoder.backend().copy_to_host(states.data(), out);
  std::vector<double> mean(static_cast<size_t>(width));
  for (size_t i = 0; i < states.size(); ++i) mean[i % mean.size()] += static_cast<double>(states[i]);
  double square = 0.0;
  for (const double x : mean) square += x * x;
  std::vector<float> unit;
  for (const double x : mean) unit.push_back(static_cast<float>(square > 0 ? x / std::sqrt(square) : 0.0));
  return unit;
}

std::vector<std::vector<int32_t>> read_inputs(ServerState& state, BodyFields& fields) {
  const OrderedJson* input = fields.find("input");
  if (input == nullptr) fail_field("input", "is missing");
  const bool one = input->is_string() || (input->is_array() && !input->empty() && (*input)[0].is_number());
  const OrderedJson list = one ? OrderedJson::array({*input}) : *input;
  if (!list.is_array() || list.empty() || list.size() > most_inputs)
    fail_field("input", "must be text, token ids, or a list of at most {} of them", most_inputs);
  std::vector<std::vector<int32_t>> inputs;
  for (const OrderedJson& text : list) {
    std::vector<int32_t> ids;
    if (text.is_string()) {
      ids = state.context.tokenizer->encode(text.get_ref<const std::string&>(),
                                            {.add_special = true, .parse_special = false});
    } else if (text.is_array()) {
      for (const OrderedJson& id : text) {
        if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= state.context.vocabulary)
          fail_field("input", "must hold token ids between 0 and {}", state.context.vocabulary - 1);
        ids.push_back(id.get<int32_t>());
      }
    } else {
      fail_field("input", "its entries must be texts or lists of token ids");
    }
    if (ids.empty()) fail_field("input", "a text without a token has no embedding");
    if (static_cast<int64_t>(ids.size()) > state.context.context)
      throw ApiError(
          400, "context_length_exceeded", "input",
          fmt::format("This model's maximum context length is {} tokens. However, an input has {} tokens.",
                      state.context.context, ids.size()));
    inputs.push_back(std::move(ids));
  }
  return inputs;
}

void embeddings(ServerState& state, HttpCall& http) {
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  const std::string model = fields.text("model", "");
  if (!state.context.resolve(model).empty()) fail_field("model", "embeddings come from the base model alone");
  const auto inputs = read_inputs(state, fields);
  const std::string format = fields.text("encoding_format", "float");
  if (format != "float" && format != "base64") fail_field("encoding_format", "must be float or base64");
  fields.text("user", "");
  fields.only("dimensions", state.model.decoder().config().hidden_size);
  fields.finish();
  Json data = Json::array();
  int64_t tokens = 0;
  for (const auto& ids : inputs) {
    // One text at a time between the steps of the answers that run.
    if (http.connection.client_left()) return;
    auto promise = std::make_shared<std::promise<std::vector<float>>>();
    auto result = promise->get_future();
    state.engine.call([promise, ids](Decoder& decoder) {
      try {
        promise->set_value(embed(decoder, ids));
      } catch (...) {
        promise->set_exception(std::current_exception());
      }
    });
    const std::vector<float> vector = result.get();
    Json entry{{"object", "embedding"}, {"index", data.size()}};
    if (format == "float") {
      entry["embedding"] = vector;
    } else {
      entry["embedding"] =
          encode_base64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
    }
    data.push_back(std::move(entry));
    tokens += static_cast<int64_t>(ids.size());
  }
  answer_json(http.response, 200,
              {{"object", "list"},
               {"model", model.empty() ? state.models.name() : model},
               {"data", std::move(data)},
               {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
}

}  // namespace

void add_text_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/tokenize", [&](HttpCall& call) { tokenize(state, call); });
  http.route("POST", "/detokenize", [&](HttpCall& call) { detokenize(state, call); });
  http.route("POST", "/v1/embeddings", [&](HttpCall& call) { embeddings(state, call); });
}

}  // namespace fettle::serve
