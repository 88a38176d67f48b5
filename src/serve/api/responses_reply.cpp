#include "serve/api/responses_reply.h"

#include <algorithm>
#include <chrono>

namespace fettle::serve {
namespace {

/// How many tokens the first `bytes` of a text take.
size_t tokens_in(const std::vector<int32_t>& tokens, size_t bytes, const Tokenizer& tokenizer) {
  size_t count = 0;
  for (size_t seen = 0; seen < bytes && count < tokens.size(); ++count)
    seen += tokenizer.bytes(tokens[count]).size();
  return count;
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

ResponsesReply::ResponsesReply(std::shared_ptr<const ResponsesCall> call, ReplyHead head,
                               const Tokenizer& tokenizer, int32_t period,
                               std::function<void(const Json&)> keep)
    : call_(std::move(call)),
      head_(std::move(head)),
      names_{tokenizer},
      period_(std::max(1, period)),
      keep_(std::move(keep)),
      reader_(call_->call.form) {}

std::string ResponsesReply::event(const char* type, Json fields) {
  fields["type"] = type;
  fields["sequence_number"] = sequence_++;
  return fmt::format("event: {}\ndata: {}\n\n", type, dump_json(fields));
}

Json ResponsesReply::response(const char* status) const {
  Json json = call_->settings;
  json.update({{"id", head_.id},
               {"object", "response"},
               {"created_at", head_.created},
               {"completed_at", nullptr},
               {"status", status},
               {"error", nullptr},
               {"incomplete_details", nullptr},
               {"model", head_.model},
               {"output", output_},
               {"usage", nullptr}});
  return json;
}

Json ResponsesReply::take_logprobs() {
  const std::vector<TokenInfo> tokens = std::exchange(tokens_, {});
  if (!call_->call.logprobs) return Json::array();
  Json list = token_logprobs(tokens, names_, call_->call.top_logprobs);
  for (const Json& entry : list) logprobs_.push_back(entry);
  return list;
}

std::string ResponsesReply::open(Open kind) {
  if (open_ == kind) return {};
  std::string events = close("completed");
  open_ = kind;
  Json part{{"type", "reasoning_text"}, {"text", ""}};
  if (kind == Open::thoughts) {
    output_.push_back({{"type", "reasoning"},
                       {"id", fresh_id("rs_")},
                       {"summary", Json::array()},
                       {"content", Json::array()},
                       {"encrypted_content", nullptr},
                       {"status", "in_progress"}});
  } else {
    output_.push_back({{"type", "message"},
                       {"id", fresh_id("msg_")},
                       {"role", "assistant"},
                       {"content", Json::array()},
                       {"status", "in_progress"}});
    part = {
        {"type", "output_text"}, {"text", ""}, {"annotations", Json::array()}, {"logprobs", Json::array()}};
  }
  Json& item = output_.back();
  const size_t index = output_.size() - 1;
  events += event("response.output_item.added", {{"output_index", index}, {"item", item}});
  item["content"].push_back(part);
  return events + event("response.content_part.added", {{"item_id", item["id"]},
                                                        {"output_index", index},
                                                        {"content_index", 0},
                                                        {"part", std::move(part)}});
}

std::string ResponsesReply::grow(Open kind, const std::string& text) {
  std::string events = open(kind);
  Json& item = output_.back();
  std::string& whole = item["content"][0]["text"].get_ref<std::string&>();
  whole += text;
  Json fields{
      {"item_id", item["id"]}, {"output_index", output_.size() - 1}, {"content_index", 0}, {"delta", text}};
  if (kind == Open::message) fields["logprobs"] = take_logprobs();
  const bool message = kind == Open::message;
  return events +
         event(message ? "response.output_text.delta" : "response.reasoning_text.delta", std::move(fields));
}

std::string ResponsesReply::close(const char* status) {
  if (open_ == Open::none) return {};
  const bool message = open_ == Open::message;
  open_ = Open::none;
  Json& item = output_.back();
  item["status"] = status;
  Json& part = item["content"][0];
  Json fields{{"item_id", item["id"]},
              {"output_index", output_.size() - 1},
              {"content_index", 0},
              {"text", part["text"]}};
  if (message) {
    take_logprobs();  // of the token that ended the answer
    part["logprobs"] = std::exchange(logprobs_, Json::array());
    fields["logprobs"] = part["logprobs"];
  }
  std::string events =
      event(message ? "response.output_text.done" : "response.reasoning_text.done", std::move(fields));
  events += event(
      "response.content_part.done",
      {{"item_id", item["id"]}, {"output_index", output_.size() - 1}, {"content_index", 0}, {"part", part}});
  return events + event("response.output_item.done", {{"output_index", output_.size() - 1}, {"item", item}});
}

std::string ResponsesReply::add_call(const ToolCall& call, const char* status) {
  std::string events = close("completed");
  const size_t index = output_.size();
  Json item{{"type", "function_call"}, {"id", fresh_id("fc_")}, {"call_id", fresh_id("call_")},
            {"name", call.name},       {"arguments", ""},       {"status", "in_progress"}};
  events += event("response.output_item.added", {{"output_index", index}, {"item", item}});
  const Json place{{"item_id", item["id"]}, {"output_index", index}};
  Json delta = place, done = place;
  delta["delta"] = call.arguments;
  done["arguments"] = call.arguments;
  done["name"] = call.name;
  events += event("response.function_call_arguments.delta", std::move(delta));
  events += event("response.function_call_arguments.done", std::move(done));
  item["arguments"] = call.arguments;
  item["status"] = status;
  events += event("response.output_item.done", {{"output_index", index}, {"item", item}});
  output_.push_back(std::move(item));
  return events;
}

std::string ResponsesReply::emit(const AnswerParts& parts) {
  std::string events;
  thought_bytes_ = std::max(thought_bytes_, parts.thought_bytes);
  if (!parts.thoughts.empty()) events += grow(Open::thoughts, parts.thoughts);
  if (!parts.content.empty()) events += grow(Open::message, parts.content);
  return events;
}

std::string ResponsesReply::begin() {
  std::string events = event("response.created", {{"response", response("in_progress")}});
  return events += event("response.in_progress", {{"response", response("in_progress")}});
}

std::string ResponsesReply::add(const AnswerPiece& piece) {
  gathered_ += piece.text;
  if (piece.token) tokens_.push_back(*piece.token);
  if (piece.finished || ++pieces_ < period_) return {};
  pieces_ = 0;
  const AnswerParts parts = reader_.push(std::exchange(gathered_, {}));
  const bool thinking = !parts.thoughts.empty() || parts.thought_bytes > 0;
  if (thinking && parts.content.empty()) tokens_.clear();  // thoughts are shown without log-probabilities
  return emit(parts);
}

Json ResponsesReply::usage(const GenerationResult& result) const {
  const size_t thoughts = tokens_in(result.samples.front().tokens, thought_bytes_, names_.tokenizer);
  return {{"input_tokens", result.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", result.cached_tokens}, {"cache_write_tokens", 0}}},
          {"output_tokens", result.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", thoughts}}},
          {"total_tokens", result.prompt_tokens + result.completion_tokens}};
}

std::string ResponsesReply::conclude(const std::vector<GenerationResult>& results) {
  const GenerationSample& sample = results.front().samples.front();
  const char* status = sample.finish == FinishReason::length     ? "incomplete"
                       : sample.finish == FinishReason::deadline ? "failed"
                                                                 : "completed";
  const char* item_status = sample.finish == FinishReason::stop ? "completed" : "incomplete";
  std::string events = emit(reader_.push(std::exchange(gathered_, {})));
  const AnswerParts rest = reader_.finish();
  events += emit(rest);
  if (output_.empty() && rest.calls.empty()) events += open(Open::message);
  if (rest.calls.empty()) events += close(item_status);
  for (size_t i = 0; i < rest.calls.size(); ++i)
    events += add_call(rest.calls[i], i + 1 < rest.calls.size() ? "completed" : item_status);
  response_ = response(status);
  response_["usage"] = usage(results.front());
  if (sample.finish == FinishReason::stop) response_["completed_at"] = now();
  if (sample.finish == FinishReason::length)
    response_["incomplete_details"] = {{"reason", "max_output_tokens"}};
  if (sample.finish == FinishReason::deadline) {
    response_["error"] = {{"code", "server_error"},
                          {"message", "the time for an answer (timeout) passed; the output so far is kept"}};
  }
  keep_(response_);
  return events;
}

Json ResponsesReply::whole(const std::vector<GenerationResult>& results) {
  const GenerationSample& sample = results.front().samples.front();
  gathered_ = sample.text;
  const AnswerParts parts = read_answer(call_->call.form, sample.text);
  const size_t thoughts = tokens_in(sample.tokens, parts.thought_bytes, names_.tokenizer);
  if (thoughts < sample.infos.size())
    tokens_.assign(sample.infos.begin() + static_cast<std::ptrdiff_t>(thoughts), sample.infos.end());
  conclude(results);
  return response_;
}

std::string ResponsesReply::end(const std::vector<GenerationResult>& results) {
  const std::string events = conclude(results);
  return events + event(fmt::format("response.{}", response_["status"].get<std::string>()).c_str(),
                        {{"response", response_}});
}

std::string ResponsesReply::error(const ApiError& error) {
  const std::string events = close("incomplete");
  Json failed = response("failed");
  failed["error"] = {{"code", "server_error"}, {"message", error.what()}};
  return events + event("response.failed", {{"response", std::move(failed)}});
}

}  // namespace fettle::serve
