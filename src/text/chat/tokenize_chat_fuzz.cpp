// The input is a chat template, a zero byte, and the contents of messages with zero bytes between them: whatever renders has a turn
// and a mask for every token, and nothing that a message says becomes a special token.
#include "text/chat/chat_template.h"
#include "text/chat/turns.h"
#include "text/unicode/byte_level.h"

namespace {

/// Every byte is a token; <|im_start|> and <|im_end|> are special.
const fettle::Tokenizer& bytes_tokenizer() {
  static const auto made = [] {
    fettle::Json vocabulary = fettle::Json::object();
    for (int byte = 0; byte < 256; ++byte) vocabulary[fettle::byte_level::spelling(static_cast<uint8_t>(byte))] = byte;
    fettle::Json json = fettle::Json::parse(R"({"added_tokens": [{"id": 256, "content": "<|im_start|>", "special": true},
      {"id": 257, "content": "<|im_end|>", "special": true}], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
      "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "merges": []}})");
    json["model"]["vocab"] = vocabulary;
    return fettle::Tokenizer::from_json(json.dump(), "bytes");
  }();
  return *made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto part = [&] {
    const size_t zero = std::min(rest.find('\0'), rest.size());
    const std::string_view out = rest.substr(0, zero);
    rest.remove_prefix(std::min(zero + 1, rest.size()));
    return std::string(out);
  };
  const std::string source = part();
  fettle::Messages messages;
  while (!rest.empty() && messages.size() < 6) {
    messages.push_back({messages.size() % 2 == 0 ? "user" : "assistant", part(), messages.size() % 3 == 0 ? 1.0 : 0.5});
    // Further fields as a row has them: thoughts, calls, content in parts.
    if (messages.back().content.starts_with('{')) {
      const auto extra = fettle::OrderedJson::parse(messages.back().content, nullptr, false);
      if (extra.is_object()) messages.back().extra = extra;
    }
  }
  try {
    const fettle::ChatTemplate chat(source, {{"bos_token", "<|im_start|>"}, {"eos_token", "<|im_end|>"}});
    const auto out = fettle::tokenize_chat(bytes_tokenizer(), chat, messages);
    FETTLE_CHECK(out.turn.size() == out.ids.size() && out.assistant.size() == out.ids.size() && out.weight.size() == out.ids.size());
    for (size_t i = 0; i < out.ids.size(); ++i) {
      FETTLE_CHECK(out.turn[i] >= -1 && out.turn[i] < static_cast<int32_t>(messages.size()));
      FETTLE_CHECK(out.weight[i] == 0 || out.turn[i] >= 0);
    }
    FETTLE_CHECK(bytes_tokenizer().decode(out.ids, false).size() >= out.text.size());
    if (messages.size() < 2) return 0;
    const auto history = std::span(messages).first(1);
    const auto prompt = fettle::encode_chat(bytes_tokenizer(), chat, history, fettle::prompt_options(chat, messages[1], {}));
    const auto answer = fettle::tokenize_answer(bytes_tokenizer(), chat, std::span(messages).first(2), 1, prompt, {});
    FETTLE_CHECK(answer.assistant.empty() || answer.assistant.size() == answer.ids.size());
  } catch (const fettle::Error&) {
  }
  return 0;
}
