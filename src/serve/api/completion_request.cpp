#include "serve/api/completion_request.h"

#include <algorithm>

#include "serve/api/chat_messages.h"
#include "serve/api/constraint.h"
#include "serve/api/request_fields.h"
#include "serve/api/tool_request.h"

namespace fettle::serve {
namespace {

constexpr int64_t most_prompt_logprobs = 1000;  // distillation asks for a hundred
constexpr int64_t beyond = int64_t{1} << 40;

/// What trainers ask for, under vLLM's names. `top`: alternatives that logprobs shows, -1: none are asked for.
void read_logprobs(BodyFields& fields, int64_t top, CompletionCall& call, GenerationRequest& request) {
  call.logprobs = top >= 0;
  call.top_logprobs = static_cast<int32_t>(std::max<int64_t>(0, top));
  call.token_ids = fields.boolean("return_token_ids", false);
  call.tokens_as_ids = fields.boolean("return_tokens_as_token_ids", false);
  if (fields.find("prompt_logprobs") != nullptr) {
    call.prompt_logprobs = static_cast<int32_t>(fields.integer("prompt_logprobs", 0, 0, most_prompt_logprobs));
    if (call.stream) fail_field("prompt_logprobs", "is not given in a stream; leave stream out");
  }
  // In a stream a token comes with its log-probability or not at all.
  request.logprobs = call.logprobs || (call.token_ids && call.stream);
  request.prompt_logprobs = call.prompt_logprobs.has_value() || (call.logprobs && call.echo);
  request.top_logprobs = std::max(call.top_logprobs, call.prompt_logprobs.value_or(0));
}

/// How the answer to a prompt is to be read.
AnswerForm answer_form(const ToolFields& tools, const ThoughtRoom& room, const ModelContext& model) {
  AnswerForm form;
  if (!tools.list.empty() && !tools.none) {
    form.tools = model.tools;
    form.tool_names = tools.names;
  }
  form.thoughts = model.thoughts;
  form.begins_in_thought = room.place == ThoughtRoom::Place::opened;
  return form;
}

/// Checks the prompt against the context, with the numbers.
void fit(GenerationRequest& request, int64_t max_tokens, const ModelContext& model) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t wanted = std::max<int64_t>(1, max_tokens);
  if (prompt == 0) fail_field("prompt", "has no token, and the model no token to begin a text with");
  if (prompt + wanted > model.context) {
    throw ApiError(
        400, "context_length_exceeded", "messages",
        fmt::format("This model's maximum context length is {} tokens. However, you requested {} tokens "
                    "({} in the prompt, {} in the completion). Please reduce the length of the prompt or "
                    "of the completion.",
                    model.context, prompt + wanted, prompt, wanted));
  }
  request.max_tokens = max_tokens;
}

int64_t read_max_tokens(BodyFields& fields, int64_t fallback, int64_t least) {
  const int64_t old_name = fields.integer("max_tokens", -1, least, beyond);
  const int64_t new_name = fields.integer("max_completion_tokens", -1, least, beyond);
  if (old_name >= 0 && new_name >= 0 && old_name != new_name)
    fail_field("max_tokens", "and max_completion_tokens say different things; give one");
  return new_name >= 0 ? new_name : old_name >= 0 ? old_name : fallback;
}

std::vector<int32_t> read_ids(const OrderedJson& list, const ModelContext& model) {
  std::vector<int32_t> ids;
  for (const OrderedJson& id : list) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= model.vocabulary)
      fail_field("prompt", "must hold token ids between 0 and {}, got {}", model.vocabulary - 1,
                 dump_json(id).substr(0, 40));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

/// Text, a list of texts, ids, or a list of lists of ids.
std::vector<std::vector<int32_t>> read_prompts(BodyFields& fields, const ModelContext& model, bool add_special) {
  const OrderedJson* prompt = fields.find("prompt");
  if (prompt == nullptr) fail_field("prompt", "is missing");
  const auto encode = [&](const OrderedJson& text) {
    auto ids = model.tokenizer->encode(text.get_ref<const std::string&>(),
                                       {.add_special = add_special, .parse_special = false});
    if (ids.empty() && model.tokenizer->bos() >= 0) ids.push_back(model.tokenizer->bos());
    return ids;
  };
  if (prompt->is_string()) return {encode(*prompt)};
  if (!prompt->is_array() || prompt->empty())
    fail_field("prompt", "must be text, a list of texts, token ids or a list of token ids");
  if ((*prompt)[0].is_number()) return {read_ids(*prompt, model)};
  std::vector<std::vector<int32_t>> prompts;
  for (const OrderedJson& one : *prompt) {
    if (!one.is_string() && !one.is_array())
      fail_field("prompt", "its entries must be texts or lists of token ids");
    prompts.push_back(one.is_string() ? encode(one) : read_ids(one, model));
  }
  return prompts;
}

/// A base model's conversation: its texts, one a line.
std::vector<int32_t> encode_plain(const Messages& messages, const Tokenizer& tokenizer) {
  std::string text;
  for (const Message& message : messages) text += message.content + "\n";
  return tokenizer.encode(text, {.add_special = true, .parse_special = false});
}

}  // namespace

ChatPrompt read_chat_prompt(BodyFields& fields, const ModelContext& model) {
  ChatPrompt prompt;
  prompt.messages = read_messages(fields);
  parse_call_arguments(prompt.messages);
  prompt.condition = fields.text("condition", "");
  if (!prompt.condition.empty() && !model.openchat)
    fail_unsupported("condition", "is for OpenChat models; start the server with --model-type");
  prompt.add_generation_prompt = fields.boolean("add_generation_prompt", true);
  prompt.continue_final_message = fields.boolean("continue_final_message", false);
  if (const OrderedJson* variables = fields.find("chat_template_kwargs")) {
    if (!variables->is_object()) fail_field("chat_template_kwargs", "must be an object");
    if (model.openchat)
      fail_unsupported("chat_template_kwargs", "OpenChat prompts are not made by a template");
    prompt.variables = *variables;
  }
  return prompt;
}

std::vector<int32_t> encode_chat(const ChatPrompt& prompt, const ModelContext& model) {
  try {
    if (model.openchat) {
      return openchat_tokens(*model.openchat, *model.tokenizer, prompt.messages,
                             {prompt.condition, model.system_prompts});
    }
    if (model.chat == nullptr) return encode_plain(prompt.messages, *model.tokenizer);
    Messages messages = prompt.messages;
    std::string open;
    if (prompt.continue_final_message) {
      if (messages.back().role != "assistant")
        fail_field("continue_final_message", "the last message must be the assistant's");
      open = messages.back().content;
      messages.pop_back();
    }
    RenderOptions options;
    options.add_generation_prompt = prompt.add_generation_prompt || prompt.continue_final_message;
    options.variables = prompt.variables;
    const Rendered rendered = model.chat->render(messages, options);
    std::vector<Tokenizer::Piece> pieces;
    for (const auto& run : rendered.runs) {
      pieces.push_back({std::string_view(rendered.text)
                            .substr(static_cast<size_t>(run.begin), static_cast<size_t>(run.end - run.begin)),
                        run.message == -1});
    }
    if (!open.empty()) pieces.push_back({open, false});
    return model.tokenizer->encode_pieces(pieces, {.begins = false}).ids;
  } catch (const ApiError&) {
    throw;
  } catch (const Error& error) {
    throw ApiError(400, "invalid_value", "messages", error.what());
  }
}

namespace {

/// What the answer keeps to when functions may be called.
std::shared_ptr<const TokenConstraint> constrain_to_calls(const ToolFields& tools, const AnswerFormat& format,
                                                          const ModelContext& model, const ThoughtRoom& room) {
  if (format.field.empty()) return call_constraint(tools, model, nullptr, room);
  if (tools.required) fail_field("tool_choice", "cannot enforce a call and {} at once", format.field);
  if (!format.schema) fail_field(format.field, "cannot be given beside tools");
  return call_constraint(tools, model, &*format.schema, room);
}

/// Whether the marks of calls may be special tokens, which leave no text unless asked to.
bool shows_marks(const ModelContext& model) {
  if (*model.tools == ToolFormat::bare) return true;  // <|python_tag|>
  return std::ranges::any_of(tool_marks(), [&](const std::string& mark) {
    const auto id = model.tokenizer->id(mark);
    return id && model.tokenizer->is_special(*id);
  });
}

/// "reasoning_effort" is the template's, where it reads it.
void read_reasoning(BodyFields& fields, const ModelContext& model, ChatPrompt& prompt) {
  const std::string effort = fields.choice("reasoning_effort", "", {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
  if (effort.empty()) return;
  const std::string source = model.chat == nullptr ? "" : model.chat->source();
  const bool reads = source.find("reasoning_effort") != std::string::npos;
  if (!reads && effort != "none") {
    fail_unsupported("reasoning_effort", "this model's chat template does not read it{}",
                     source.find("enable_thinking") == std::string::npos ? "" : "; chat_template_kwargs: {\"enable_thinking\": …} it does");
  }
  if (reads && !prompt.variables.contains("reasoning_effort")) prompt.variables["reasoning_effort"] = effort;
  if (effort == "none" && !prompt.variables.contains("enable_thinking")) prompt.variables["enable_thinking"] = false;
}

CompletionCall read_chat(const OrderedJson& body, const ModelContext& model) {
  BodyFields fields(body);
  CompletionCall call;
  call.chat = true;
  GenerationRequest request;
  read_sampling(fields, model, request);
  call.n = request.n;
  read_stream(fields, call);
  read_fixed(fields, call);
  request.adapters = model.resolve(call.model);
  const int64_t max_tokens = read_max_tokens(fields, 0, 1);
  const bool logprobs = fields.boolean("logprobs", false);
  const int64_t top = fields.integer("top_logprobs", 0, 0, 20);
  if (top > 0 && !logprobs) fail_field("top_logprobs", "needs logprobs: true");
  read_logprobs(fields, logprobs ? top : -1, call, request);
  ChatPrompt prompt = read_chat_prompt(fields, model);
  read_reasoning(fields, model, prompt);
  const ToolFields tools = read_tools(fields, model);
  const AnswerFormat format = read_answer_format(fields);
  if (model.openchat) request.stop_tokens.push_back(openchat_end_of_turn(*model.openchat, *model.tokenizer));
  const bool may_call = !tools.list.empty() && !tools.none;
  if (may_call) {
    prompt.variables["tools"] = tools.list;
    if (shows_marks(model)) request.skip_special = false;
  }
  fields.ignore({"min_tokens"});  // read once the constraint is known
  fields.finish();
  if (model.thoughts && model.thoughts->special) request.skip_special = false;
  request.prompt = encode_chat(prompt, model);
  const ThoughtRoom room = thought_room(model, request.prompt, prompt.continue_final_message);
  request.constraint = may_call ? constrain_to_calls(tools, format, model, room) : constrain_to_format(model, format, room);
  read_least_tokens(fields, model, max_tokens, request);
  call.form = answer_form(tools, room, model);
  fit(request, max_tokens, model);
  call.requests.push_back(std::move(request));
  return call;
}

CompletionCall read_completion(const OrderedJson& body, const ModelContext& model) {
  BodyFields fields(body);
  CompletionCall call;
  GenerationRequest request;
  read_sampling(fields, model, request);
  call.n = request.n;
  read_stream(fields, call);
  read_fixed(fields, call);
  request.adapters = model.resolve(call.model);
  call.echo = fields.boolean("echo", false);
  int64_t max_tokens = fields.integer("max_tokens", 16, 0, beyond);
  if (max_tokens == 0 && !call.echo) fail_field("max_tokens", "must be 1 or more, or echo the prompt");
  call.prompt_only = max_tokens == 0;
  read_logprobs(fields, fields.integer("logprobs", -1, 0, 20), call, request);
  request.constraint = constrain_to_format(model, read_answer_format(fields));
  read_least_tokens(fields, model, max_tokens, request);
  const auto prompts = read_prompts(fields, model, fields.boolean("add_special_tokens", true));
  fields.only("suffix", "");
  fields.finish();
  if (static_cast<int64_t>(prompts.size()) * request.n > model.most_answers)
    fail_field("prompt", "{} prompts with n = {} are more than {} answers", prompts.size(), request.n,
               model.most_answers);
  for (const auto& prompt : prompts) {
    GenerationRequest one = request;
    one.prompt = prompt;
    fit(one, std::max<int64_t>(1, max_tokens), model);
    call.requests.push_back(std::move(one));
  }
  return call;
}

/// A value of the wrong type deep inside a field shows as an exception of the JSON library.
template <typename Read>
CompletionCall read_guarded(Read read, const OrderedJson& body, const ModelContext& model) {
  try {
    return read(body, model);
  } catch (const nlohmann::json::exception& error) {
    throw ApiError(400, "invalid_value", "", fmt::format("the request's body: {}", error.what()));
  }
}

}  // namespace

CompletionCall decode_chat(const OrderedJson& body, const ModelContext& model) {
  return read_guarded(read_chat, body, model);
}
CompletionCall decode_completion(const OrderedJson& body, const ModelContext& model) {
  return read_guarded(read_completion, body, model);
}

}  // namespace fettle::serve
