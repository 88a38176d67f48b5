#pragma once
// A model's context for tests of requests: tokens are bytes, the template shows every field that it is given.
#include <algorithm>

#include "generate/test_support.h"
#include "serve/api/completion_request.h"

namespace fettle::serve {

struct RequestModel {
  RequestModel() : grammars(*tokenizer, test::byte_vocabulary, {2}) {
    model.tokenizer = tokenizer;
    model.chat = std::make_shared<ChatTemplate>(
        "{% if enable_thinking is defined %}<t{{ enable_thinking }}>{% endif %}"
        "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}"
        "{% for m in messages %}{{ m.role[0] }}:"
        "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
        "{% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% "
        "endfor %}"
        ";{% endfor %}{% if add_generation_prompt %}a:{% endif %}",
        Json::object());
    model.tools = ToolFormat::tagged;
    model.thoughts = ThoughtMarks{"<think>", "</think>"};
    model.vocabulary = test::byte_vocabulary;
    model.context = 2000;
    model.grammars = &grammars;
    model.resolve = [](const std::string& name) -> std::vector<AdapterUse> {
      if (name.empty() || name == "m") return {};
      throw ApiError(404, "model_not_found", "model", "no");
    };
  }
  std::string prompt_of(const CompletionCall& call) const {
    return tokenizer->decode(call.requests.at(0).prompt, false);
  }

  std::shared_ptr<const Tokenizer> tokenizer = test::byte_tokenizer();
  TokenGrammars grammars;
  ModelContext model;
};

/// "STATUS PARAM" of what `read` throws, empty when it throws nothing.
template <typename Read>
std::string refusal(Read read) {
  try {
    read();
  } catch (const ApiError& error) {
    return fmt::format("{} {}", error.status(), error.param());
  }
  return {};
}

/// Whether a model may write this text in answer to `call`, and end there.
inline bool may_write(const CompletionCall& call, std::string_view text) {
  const auto shared = call.requests.at(0).constraint;
  if (shared == nullptr) return true;
  const auto constraint = shared->clone();
  TokenSet allowed(test::byte_vocabulary);
  for (const char c : text) {
    allowed.clear();
    constraint->allow(allowed);
    const int32_t token = 3 + static_cast<unsigned char>(c);
    if (!allowed.has(token)) return false;
    constraint->accept(token);
  }
  allowed.clear();
  constraint->allow(allowed);
  return allowed.has(2) || std::ranges::all_of(allowed.words(), [](uint64_t word) { return word == 0; });
}

/// A result of one sample whose tokens are the bytes of `text`.
inline std::vector<GenerationResult> result_of(const std::string& text,
                                               FinishReason finish = FinishReason::stop) {
  GenerationResult result;
  GenerationSample sample;
  sample.text = text;
  for (const char c : text) sample.tokens.push_back(3 + static_cast<unsigned char>(c));
  sample.finish = finish;
  result.prompt_tokens = 7;
  result.completion_tokens = static_cast<int64_t>(text.size());
  result.samples.push_back(std::move(sample));
  return {std::move(result)};
}

/// The JSON of each event, with its "event:" line checked against "type".
inline std::vector<Json> events_of(const std::string& stream) {
  std::vector<Json> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const std::string event = stream.substr(at, end - at);
    at = end + 2;
    const size_t data = event.find("\ndata: ");
    events.push_back(Json::parse(event.substr(data + 7)));
    EXPECT_EQ(event.substr(0, data), "event: " + events.back()["type"].get<std::string>());
  }
  return events;
}

}  // namespace fettle::serve
