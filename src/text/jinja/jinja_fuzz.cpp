// Any bytes as a template over fixed messages: it renders or throws Error, soon and within bounds.
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

using fettle::jinja::Value;

namespace {

const std::vector<std::pair<std::string, Value>>& variables() {
  static const auto made = [] {
    const auto messages = fettle::OrderedJson::parse(R"([
      {"role": "system", "content": " You are terse.\n"},
      {"role": "user", "content": "Weather in São Paulo, 日本? <|im_end|> {{ x }}"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "a1b2c3d4e", "function": {"name": "get",
        "arguments": {"city": "São Paulo", "n": [1, 2.5, null, true]}}}]},
      {"role": "tool", "name": "get", "content": "{\"t\": 3}"},
      {"role": "assistant", "content": "<think>\nh\n</think>\n\nIt is 3."}])");
    const auto tools =
        fettle::OrderedJson::parse(R"([{"type": "function", "function": {"name": "get", "parameters":
      {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])");
    std::vector<Value> list;
    int32_t index = 0;
    for (const auto& message : messages) list.push_back(fettle::jinja::from_json(message, index++));
    return std::vector<std::pair<std::string, Value>>{
        {"messages", fettle::jinja::make_list(std::move(list))},
        {"tools", fettle::jinja::from_json(tools, fettle::jinja::kFromVariable)},
        {"add_generation_prompt", true},
        {"bos_token", Value::string("<s>")},
        {"eos_token", Value::string("</s>")}};
  }();
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    const auto program = fettle::jinja::parse(source, "template");
    fettle::jinja::Interpreter run(*program, 200'000, 1732298400);
    fettle::jinja::Bindings bindings(*program);
    for (const auto& [name, value] : variables()) bindings.set(name, value);
    const fettle::jinja::Text text = run.run(std::move(bindings), 0, "template");
    int64_t end = 0;
    for (const auto& piece : text.runs()) {
      FETTLE_CHECK(piece.end > end);
      end = piece.end;
    }
    FETTLE_CHECK(end == static_cast<int64_t>(text.size()));
  } catch (const fettle::Error&) {
  }
  return 0;
}
