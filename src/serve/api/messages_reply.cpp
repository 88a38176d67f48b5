#include "serve/api/messages_reply.h"

#include <algorithm>

namespace fettle::serve {
namespace {

std::string event(const char* type, Json fields) {
  fields["type"] = type;
  return fmt::format("event: {}\ndata: {}\n\n", type, dump_json(fields));
}

/// Arguments as the object that they must be here; what a model wrote otherwise stands in one of its keys.
std::string input_text(const ToolCall& call) {
  try {
    if (parse_json(call.arguments, "arguments").is_object()) return call.arguments;
  } catch (const Error&) {
  }
  return dump_json(Json{{"arguments", call.arguments}});
}

Json tool_use(const ToolCall& call, Json input) {
  return {{"type", "tool_use"}, {"id", fresh_id("toolu_")}, {"name", call.name}, {"input", std::move(input)}};
}

Json usage_fields(int64_t input, int64_t output) {
  // Nothing is cached at a client's wish, so cache_control's counters stay at nothing.
  return {{"input_tokens", input},
          {"output_tokens", output},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", 0}};
}

Json usage_of(const GenerationResult& result) {
  return usage_fields(result.prompt_tokens, result.completion_tokens);
}

}  // namespace

MessagesReply::MessagesReply(std::shared_ptr<const CompletionCall> call, ReplyHead head, int64_t room,
                             int32_t period)
    : call_(std::move(call)),
      head_(std::move(head)),
      room_(room),
      period_(std::max(1, period)),
      reader_(call_->form) {}

Json MessagesReply::stop_of(const GenerationResult& result, bool called) const {
  const GenerationSample& sample = result.samples.front();
  const bool full = sample.finish == FinishReason::length && result.completion_tokens >= room_;
  const char* reason = full                                  ? "model_context_window_exceeded"
                       : sample.finish != FinishReason::stop ? "max_tokens"
                       : called                              ? "tool_use"
                       : !sample.matched_stop.empty()        ? "stop_sequence"
                                                             : "end_turn";
  const bool matched = std::string_view(reason) == "stop_sequence";
  return {{"stop_reason", reason}, {"stop_sequence", matched ? Json(sample.matched_stop) : Json()}};
}

Json MessagesReply::message(Json content, const Json& usage) const {
  return {{"id", head_.id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", head_.model},
          {"content", std::move(content)},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", usage}};
}

Json MessagesReply::whole(const std::vector<GenerationResult>& results) {
  const AnswerParts parts = read_answer(call_->form, results.front().samples.front().text);
  Json content = Json::array();
  if (!parts.thoughts.empty())
    content.push_back({{"type", "thinking"}, {"thinking", parts.thoughts}, {"signature", ""}});
  if (!parts.content.empty()) content.push_back({{"type", "text"}, {"text", parts.content}});
  for (const ToolCall& call : parts.calls)
    content.push_back(tool_use(call, parse_json(input_text(call), "arguments")));
  Json answer = message(std::move(content), usage_of(results.front()));
  answer.update(stop_of(results.front(), !parts.calls.empty()));
  return answer;
}

std::string MessagesReply::begin() {
  const auto prompt = static_cast<int64_t>(call_->requests.front().prompt.size());
  std::string events = event("message_start", {{"message", message(Json::array(), usage_fields(prompt, 0))}});
  return events += event("ping", Json::object());
}

std::string MessagesReply::open(Open kind) {
  if (open_ == kind) return {};
  std::string events = close();
  open_ = kind;
  const Json block = kind == Open::text ? Json{{"type", "text"}, {"text", ""}}
                                        : Json{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
  return events + event("content_block_start", {{"index", index_}, {"content_block", block}});
}

std::string MessagesReply::close() {
  if (open_ == Open::none) return {};
  open_ = Open::none;
  return event("content_block_stop", {{"index", index_++}});
}

std::string MessagesReply::grow(Open kind, const std::string& text) {
  const std::string events = open(kind);
  const Json delta = kind == Open::text ? Json{{"type", "text_delta"}, {"text", text}}
                                        : Json{{"type", "thinking_delta"}, {"thinking", text}};
  return events + event("content_block_delta", {{"index", index_}, {"delta", delta}});
}

std::string MessagesReply::add_call(const ToolCall& call) {
  std::string events = close();
  events +=
      event("content_block_start", {{"index", index_}, {"content_block", tool_use(call, Json::object())}});
  const Json delta{{"type", "input_json_delta"}, {"partial_json", input_text(call)}};
  events += event("content_block_delta", {{"index", index_}, {"delta", delta}});
  return events + event("content_block_stop", {{"index", index_++}});
}

std::string MessagesReply::emit(const AnswerParts& parts) {
  std::string events;
  if (!parts.thoughts.empty()) events += grow(Open::thinking, parts.thoughts);
  if (!parts.content.empty()) events += grow(Open::text, parts.content);
  return events;
}

std::string MessagesReply::add(const AnswerPiece& piece) {
  gathered_ += piece.text;
  if (piece.finished || ++pieces_ < period_) return {};
  pieces_ = 0;
  return emit(reader_.push(std::exchange(gathered_, {})));
}

std::string MessagesReply::end(const std::vector<GenerationResult>& results) {
  std::string events = emit(reader_.push(std::exchange(gathered_, {})));
  const AnswerParts rest = reader_.finish();
  events += emit(rest);
  for (const ToolCall& call : rest.calls) events += add_call(call);
  events += close();
  events += event("message_delta", {{"delta", stop_of(results.front(), !rest.calls.empty())},
                                    {"usage", usage_of(results.front())}});
  return events + event("message_stop", Json::object());
}

std::string MessagesReply::error(const ApiError& error) {
  return event("error", error.in_shape(ErrorShape::anthropic).body());
}

}  // namespace fettle::serve
