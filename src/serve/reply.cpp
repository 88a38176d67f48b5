#include "serve/reply.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "text/unicode.h"

namespace fettle::serve {
namespace {

std::string fresh_id(const char* prefix) {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  return fmt::format("{}{:016x}{:016x}", prefix, random(), random());
}

/// Characters, as OpenAI's text_offset counts them.
int64_t length_of(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

Json bytes_of(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

Json number_of(float logp) {
  // JSON has no infinity; OpenAI writes -9999 for what has no probability.
  return std::isfinite(logp) ? Json(logp) : Json(-9999.0);
}

Json chat_logprobs(const std::vector<TokenInfo>& tokens, const Tokenizer& tokenizer) {
  Json content = Json::array();
  for (const TokenInfo& info : tokens) {
    const auto entry = [&](int32_t token, float logp) {
      const std::string bytes = tokenizer.bytes(token);
      return Json{{"token", unicode::lossy(bytes)}, {"logprob", number_of(logp)}, {"bytes", bytes_of(bytes)}};
    };
    Json item = entry(info.token, info.logp);
    item["top_logprobs"] = Json::array();
    for (const TokenLogProb& other : info.top) item["top_logprobs"].push_back(entry(other.token, other.logp));
    content.push_back(std::move(item));
  }
  return {{"content", std::move(content)}};
}

/// The lists of /v1/completions. `offset` is moved behind the tokens.
Json text_logprobs(const std::vector<TokenInfo>& tokens, const Tokenizer& tokenizer, bool first_has_none,
                   bool has_top, int64_t& offset) {
  Json names = Json::array(), logps = Json::array(), tops = Json::array(), offsets = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const TokenInfo& info = tokens[i];
    const std::string name = unicode::lossy(tokenizer.bytes(info.token));
    const bool none = first_has_none && i == 0;
    names.push_back(name);
    logps.push_back(none ? Json() : number_of(info.logp));
    Json top = Json::object();
    for (const TokenLogProb& other : info.top)
      top[unicode::lossy(tokenizer.bytes(other.token))] = number_of(other.logp);
    // The chosen token is always among them, as OpenAI has it.
    if (!none) top[name] = number_of(info.logp);
    tops.push_back(none ? Json() : std::move(top));
    offsets.push_back(offset);
    offset += length_of(name);
  }
  return {{"tokens", names},
          {"token_logprobs", logps},
          {"top_logprobs", has_top ? tops : Json()},
          {"text_offset", offsets}};
}

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

Json chat_choice(const CompletionCall& call, const GenerationSample& sample, size_t index,
                 const Tokenizer& tokenizer) {
  Json message{{"role", "assistant"}, {"content", sample.text}};
  bool called = false;
  if (call.tool_format) {
    const ToolAnswer answer = read_tool_calls(*call.tool_format, sample.text, call.tool_names);
    called = !answer.calls.empty();
    if (called) {
      message["content"] = answer.content.empty() ? Json() : Json(answer.content);
      message["tool_calls"] = Json::array();
      for (const ToolCall& one : answer.calls) message["tool_calls"].push_back(call_json(one, std::nullopt));
    }
  }
  return {{"index", index},
          {"message", std::move(message)},
          {"logprobs", call.logprobs ? chat_logprobs(sample.infos, tokenizer) : Json()},
          {"finish_reason", finish_name(sample.finish, called)}};
}

Json text_choice(const CompletionCall& call, const GenerationResult& result, const GenerationSample& sample,
                 const std::vector<int32_t>& prompt, size_t index, const Tokenizer& tokenizer) {
  std::string text = call.echo ? unicode::lossy(tokenizer.decode(prompt)) : "";
  if (!call.prompt_only) text += sample.text;
  Json logprobs;
  if (call.logprobs) {
    std::vector<TokenInfo> tokens;
    if (call.echo) tokens = result.prompt;
    if (!call.prompt_only) tokens.insert(tokens.end(), sample.infos.begin(), sample.infos.end());
    int64_t offset = 0;
    logprobs = text_logprobs(tokens, tokenizer, call.echo, call.requests.front().top_logprobs > 0, offset);
  }
  return {{"index", index},
          {"text", std::move(text)},
          {"logprobs", std::move(logprobs)},
          {"finish_reason", call.prompt_only ? "length" : finish_name(sample.finish, false)}};
}

}  // namespace

ReplyHead make_reply_head(bool chat, const std::string& model) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {fresh_id(chat ? "chatcmpl-" : "cmpl-"),
          std::chrono::duration_cast<std::chrono::seconds>(now).count(), model};
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

Json whole_reply(const CompletionCall& call, const ReplyHead& head,
                 const std::vector<GenerationResult>& results, const Tokenizer& tokenizer) {
  Json choices = Json::array();
  for (size_t p = 0; p < results.size(); ++p) {
    for (const GenerationSample& sample : results[p].samples) {
      const size_t index = choices.size();
      choices.push_back(
          call.chat ? chat_choice(call, sample, index, tokenizer)
                    : text_choice(call, results[p], sample, call.requests[p].prompt, index, tokenizer));
    }
  }
  return {{"id", head.id},
          {"object", call.chat ? "chat.completion" : "text_completion"},
          {"created", head.created},
          {"model", head.model},
          {"choices", std::move(choices)},
          {"usage", usage_of(results)},
          {"timings", timings_of(results)}};
}

ReplyStream::ReplyStream(const CompletionCall& call, ReplyHead head, const Tokenizer& tokenizer,
                         int32_t period)
    : call_(call),
      head_(std::move(head)),
      tokenizer_(tokenizer),
      period_(std::max(1, period)),
      choices_(call.requests.size() * static_cast<size_t>(call.n)) {}

std::string ReplyStream::chunk(Json choices, const char* object) const {
  Json json{{"id", head_.id},
            {"object", object},
            {"created", head_.created},
            {"model", head_.model},
            {"choices", std::move(choices)}};
  if (call_.include_usage) json["usage"] = nullptr;
  return "data: " + dump_json(json) + "\n\n";
}

std::string ReplyStream::event(size_t index, const std::string& text, const std::vector<TokenInfo>& tokens,
                               const Json& finish) {
  Json choice{{"index", index}, {"finish_reason", finish}, {"logprobs", nullptr}};
  if (call_.chat) {
    choice["delta"] = Json::object();
    if (finish.is_null() || !text.empty()) choice["delta"]["content"] = text;
    if (call_.logprobs && !tokens.empty()) choice["logprobs"] = chat_logprobs(tokens, tokenizer_);
    return chunk(Json::array({std::move(choice)}), "chat.completion.chunk");
  }
  choice["text"] = text;
  if (call_.logprobs && !tokens.empty()) {
    choice["logprobs"] = text_logprobs(tokens, tokenizer_, false, call_.requests.front().top_logprobs > 0,
                                       choices_[index].offset);
  }
  return chunk(Json::array({std::move(choice)}), "text_completion");
}

std::string ReplyStream::begin(const std::vector<std::string>& prompts) {
  std::string events;
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (call_.chat) {
      Json choice{{"index", i},
                  {"delta", {{"role", "assistant"}, {"content", ""}}},
                  {"finish_reason", nullptr},
                  {"logprobs", nullptr}};
      events += chunk(Json::array({std::move(choice)}), "chat.completion.chunk");
    } else if (call_.echo) {
      const std::string& prompt = prompts[i / static_cast<size_t>(call_.n)];
      choices_[i].offset = length_of(prompt);
      events += event(i, prompt, {}, nullptr);
    }
  }
  return events;
}

/// Sends what is gathered; `whole`: nothing more comes, a marker that has only begun is text.
std::string ReplyStream::flush(size_t index, bool whole) {
  Choice& choice = choices_[index];
  std::string now = choice.text;
  if (call_.tool_format && !whole) {
    const std::string_view marker = tool_marker(*call_.tool_format);
    if (choice.calls || marker.empty()) return {};
    size_t held = std::min(marker.size(), now.size());
    const size_t found = now.find(marker);
    if (found != std::string::npos) {
      choice.calls = true;
      now.resize(found);
    } else {
      while (held > 0 && !marker.starts_with(std::string_view(now).substr(now.size() - held))) --held;
      now.resize(now.size() - held);
    }
  }
  if (now.empty() && choice.tokens.empty()) return {};
  choice.text.erase(0, now.size());
  choice.pieces = 0;
  return event(index, now, std::exchange(choice.tokens, {}), nullptr);
}

std::string ReplyStream::finish(size_t index, FinishReason reason) {
  Choice& choice = choices_[index];
  if (call_.tool_format) {
    const ToolAnswer answer = read_tool_calls(*call_.tool_format, choice.text, call_.tool_names);
    if (!answer.calls.empty()) {
      std::string events;
      choice.text = answer.content;
      if (!choice.text.empty()) events += flush(index, true);
      Json calls = Json::array();
      for (size_t i = 0; i < answer.calls.size(); ++i) calls.push_back(call_json(answer.calls[i], i));
      Json delta{{"index", index},
                 {"delta", {{"tool_calls", std::move(calls)}}},
                 {"finish_reason", nullptr},
                 {"logprobs", nullptr}};
      events += chunk(Json::array({std::move(delta)}), "chat.completion.chunk");
      return events + event(index, "", {}, finish_name(reason, true));
    }
  }
  return flush(index, true) + event(index, "", {}, finish_name(reason, false));
}

std::string ReplyStream::add(const AnswerPiece& piece) {
  if (call_.prompt_only && !piece.finished) return {};
  Choice& choice = choices_[piece.choice];
  choice.text += piece.text;
  if (piece.token) choice.tokens.push_back(*piece.token);
  if (piece.finished) return finish(piece.choice, *piece.finished);
  return ++choice.pieces >= period_ ? flush(piece.choice, false) : std::string();
}

std::string ReplyStream::end(const std::vector<GenerationResult>& results) {
  std::string events;
  if (call_.include_usage) {
    const Json json{{"id", head_.id},
                    {"object", call_.chat ? "chat.completion.chunk" : "text_completion"},
                    {"created", head_.created},
                    {"model", head_.model},
                    {"choices", Json::array()},
                    {"usage", usage_of(results)},
                    {"timings", timings_of(results)}};
    events = "data: " + dump_json(json) + "\n\n";
  }
  return events + "data: [DONE]\n\n";
}

std::string ReplyStream::error(const ApiError& error) {
  return "data: " + dump_json(error.body()) + "\n\n";
}

}  // namespace fettle::serve
