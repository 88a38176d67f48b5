#include "serve/api/reply.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "text/unicode/unicode.h"

namespace fettle::serve {
namespace {

std::string finish_name(FinishReason reason, bool called) {
  if (called && reason == FinishReason::stop) return "tool_calls";
  return reason == FinishReason::deadline ? "timeout" : std::string(finish_reason_name(reason));
}

Json call_json(const ToolCall& call, std::optional<size_t> index) {
  Json json{{"id", fresh_id("call_")},
            {"type", "function"},
            {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
  if (index) json["index"] = *index;
  return json;
}

Json ids_of(const std::vector<TokenInfo>& tokens) {
  Json ids = Json::array();
  for (const TokenInfo& info : tokens) ids.push_back(info.token);
  return ids;
}

std::string event_of(const Json& json) {
  return "data: " + dump_json(json) + "\n\n";
}

}  // namespace

std::string fresh_id(const char* prefix) {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  return fmt::format("{}{:016x}{:016x}", prefix, random(), random());
}

ReplyHead make_reply_head(const char* prefix, const std::string& model) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {fresh_id(prefix), std::chrono::duration_cast<std::chrono::seconds>(now).count(), model};
}

Json usage_of(const std::vector<GenerationResult>& results) {
  int64_t prompt = 0, completion = 0, cached = 0;
  for (const GenerationResult& result : results) {
    prompt += result.prompt_tokens;
    completion += result.completion_tokens;
    cached += result.cached_tokens;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

Json timings_of(const std::vector<GenerationResult>& results) {
  double first = 0.0, total = 0.0;
  for (const GenerationResult& result : results) {
    first = first == 0.0 ? result.first_token_seconds : std::min(first, result.first_token_seconds);
    total = std::max(total, result.total_seconds);
  }
  return {{"first_token_seconds", first}, {"total_seconds", total}};
}

CompletionReply::CompletionReply(std::shared_ptr<const CompletionCall> call, ReplyHead head,
                                 const Tokenizer& tokenizer, int32_t period)
    : call_(std::move(call)),
      head_(std::move(head)),
      names_{tokenizer, call_->tokens_as_ids},
      period_(std::max(1, period)),
      choices_(call_->requests.size() * static_cast<size_t>(call_->n),
               Choice{AnswerReader(call_->form), {}, {}, 0, 0}) {}

Json CompletionReply::chat_choice(const GenerationSample& sample, size_t index) const {
  const AnswerParts parts = read_answer(call_->form, sample.text);
  Json message{{"role", "assistant"}, {"content", parts.content}};
  if (!parts.thoughts.empty()) message["reasoning_content"] = parts.thoughts;
  if (!parts.calls.empty()) {
    if (parts.content.empty()) message["content"] = nullptr;
    message["tool_calls"] = Json::array();
    for (const ToolCall& one : parts.calls) message["tool_calls"].push_back(call_json(one, std::nullopt));
  }
  Json logprobs;
  if (call_->logprobs) logprobs = {{"content", token_logprobs(sample.infos, names_, call_->top_logprobs)}};
  Json choice{{"index", index},
              {"message", std::move(message)},
              {"logprobs", std::move(logprobs)},
              {"finish_reason", finish_name(sample.finish, !parts.calls.empty())}};
  if (call_->token_ids) choice["token_ids"] = sample.tokens;
  return choice;
}

Json CompletionReply::text_choice(const GenerationResult& result, const GenerationSample& sample,
                                  size_t prompt, size_t index) const {
  const std::vector<int32_t>& ids = call_->requests[prompt].prompt;
  std::string text = call_->echo ? unicode::lossy(names_.tokenizer.decode(ids)) : "";
  if (!call_->prompt_only) text += sample.text;
  Json logprobs;
  if (call_->logprobs) {
    std::vector<TokenInfo> tokens;
    if (call_->echo) tokens = result.prompt;
    if (!call_->prompt_only) tokens.insert(tokens.end(), sample.infos.begin(), sample.infos.end());
    int64_t offset = 0;
    logprobs = text_logprobs(tokens, names_, call_->top_logprobs, call_->echo, offset);
  }
  Json choice{{"index", index},
              {"text", std::move(text)},
              {"logprobs", std::move(logprobs)},
              {"finish_reason", call_->prompt_only ? "length" : finish_name(sample.finish, false)}};
  if (call_->token_ids) {
    choice["prompt_token_ids"] = ids;
    choice["token_ids"] = call_->prompt_only ? std::vector<int32_t>() : sample.tokens;
  }
  if (call_->prompt_logprobs)
    choice["prompt_logprobs"] = prompt_logprobs(result.prompt, names_.tokenizer, *call_->prompt_logprobs);
  return choice;
}

Json CompletionReply::frame(const char* object, Json choices) const {
  return {{"id", head_.id},
          {"object", object},
          {"created", head_.created},
          {"model", head_.model},
          {"choices", std::move(choices)}};
}

Json CompletionReply::whole(const std::vector<GenerationResult>& results) {
  Json choices = Json::array();
  for (size_t p = 0; p < results.size(); ++p) {
    for (const GenerationSample& sample : results[p].samples) {
      const size_t index = choices.size();
      choices.push_back(call_->chat ? chat_choice(sample, index) : text_choice(results[p], sample, p, index));
    }
  }
  Json answer = frame(call_->chat ? "chat.completion" : "text_completion", std::move(choices));
  answer["usage"] = usage_of(results);
  answer["timings"] = timings_of(results);
  if (call_->chat && call_->token_ids) answer["prompt_token_ids"] = call_->requests.front().prompt;
  if (call_->chat && call_->prompt_logprobs) {
    answer["prompt_logprobs"] =
        prompt_logprobs(results.front().prompt, names_.tokenizer, *call_->prompt_logprobs);
  }
  return answer;
}

std::string CompletionReply::chat_event(size_t index, Json delta, const Json& finish) {
  std::vector<TokenInfo> tokens = std::exchange(choices_[index].tokens, {});
  Json choice{
      {"index", index}, {"delta", std::move(delta)}, {"finish_reason", finish}, {"logprobs", nullptr}};
  if (call_->logprobs && !tokens.empty())
    choice["logprobs"] = {{"content", token_logprobs(tokens, names_, call_->top_logprobs)}};
  if (call_->token_ids) choice["token_ids"] = ids_of(tokens);
  Json event = frame("chat.completion.chunk", Json::array({std::move(choice)}));
  if (call_->include_usage) event["usage"] = nullptr;
  return event_of(event);
}

std::string CompletionReply::text_event(size_t index, const std::string& text, const Json& finish) {
  Choice& state = choices_[index];
  std::vector<TokenInfo> tokens = std::exchange(state.tokens, {});
  Json choice{{"index", index}, {"text", text}, {"finish_reason", finish}, {"logprobs", nullptr}};
  if (call_->logprobs && !tokens.empty())
    choice["logprobs"] = text_logprobs(tokens, names_, call_->top_logprobs, false, state.offset);
  if (call_->token_ids) choice["token_ids"] = ids_of(tokens);
  Json event = frame("text_completion", Json::array({std::move(choice)}));
  if (call_->include_usage) event["usage"] = nullptr;
  return event_of(event);
}

std::string CompletionReply::begin() {
  std::string events;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const std::vector<int32_t>& ids = call_->requests[i / static_cast<size_t>(call_->n)].prompt;
    if (call_->chat) {
      Json choice{{"index", i},
                  {"delta", {{"role", "assistant"}, {"content", ""}}},
                  {"finish_reason", nullptr},
                  {"logprobs", nullptr}};
      Json event = frame("chat.completion.chunk", Json::array({std::move(choice)}));
      if (call_->token_ids) event["prompt_token_ids"] = ids;
      if (call_->include_usage) event["usage"] = nullptr;
      events += event_of(event);
    } else if (call_->echo || call_->token_ids) {
      const std::string prompt = call_->echo ? unicode::lossy(names_.tokenizer.decode(ids)) : "";
      choices_[i].offset = characters_of(prompt);
      Json choice{{"index", i}, {"text", prompt}, {"finish_reason", nullptr}, {"logprobs", nullptr}};
      if (call_->token_ids) {
        choice["prompt_token_ids"] = ids;
        choice["token_ids"] = Json::array();
      }
      Json event = frame("text_completion", Json::array({std::move(choice)}));
      if (call_->include_usage) event["usage"] = nullptr;
      events += event_of(event);
    }
  }
  return events;
}

std::string CompletionReply::chat_events(size_t index, const AnswerParts& parts) {
  std::string events;
  if (!parts.thoughts.empty()) events += chat_event(index, {{"reasoning_content", parts.thoughts}}, nullptr);
  const bool tokens_wait = !choices_[index].tokens.empty() && (call_->logprobs || call_->token_ids);
  if (!parts.content.empty() || (parts.thoughts.empty() && parts.calls.empty() && tokens_wait))
    events += chat_event(index, {{"content", parts.content}}, nullptr);
  if (!parts.calls.empty()) {
    Json calls = Json::array();
    for (size_t i = 0; i < parts.calls.size(); ++i) calls.push_back(call_json(parts.calls[i], i));
    events += chat_event(index, {{"tool_calls", std::move(calls)}}, nullptr);
  }
  return events;
}

std::string CompletionReply::finish(size_t index, FinishReason reason) {
  Choice& choice = choices_[index];
  const std::string text = std::exchange(choice.gathered, {});
  if (!call_->chat) {
    const std::string last = text.empty() && choice.tokens.empty() ? "" : text_event(index, text, nullptr);
    return last + text_event(index, "", finish_name(reason, false));
  }
  std::string events = chat_events(index, choice.reader.push(text));
  const AnswerParts rest = choice.reader.finish();
  events += chat_events(index, rest);
  return events + chat_event(index, Json::object(), finish_name(reason, !rest.calls.empty()));
}

std::string CompletionReply::add(const AnswerPiece& piece) {
  if (call_->prompt_only && !piece.finished) return {};
  Choice& choice = choices_[piece.choice];
  choice.gathered += piece.text;
  if (piece.token) choice.tokens.push_back(*piece.token);
  if (piece.finished) return finish(piece.choice, *piece.finished);
  if (++choice.pieces < period_) return {};
  choice.pieces = 0;
  const std::string text = std::exchange(choice.gathered, {});
  if (!call_->chat) return text_event(piece.choice, text, nullptr);
  return chat_events(piece.choice, choice.reader.push(text));
}

std::string CompletionReply::end(const std::vector<GenerationResult>& results) {
  std::string events;
  if (call_->include_usage) {
    Json json = frame(call_->chat ? "chat.completion.chunk" : "text_completion", Json::array());
    json["usage"] = usage_of(results);
    json["timings"] = timings_of(results);
    events = event_of(json);
  }
  return events + "data: [DONE]\n\n";
}

std::string CompletionReply::error(const ApiError& error) {
  return event_of(error.body());
}

}  // namespace fettle::serve
