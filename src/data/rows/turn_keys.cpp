#include "data/rows/turn_keys.h"

#include <cmath>

#include "data/rows/fields.h"
#include "data/rows/labels.h"
#include "data/rows/name_table.h"
#include "data/rows/turns.h"

namespace fettle::data {
namespace {

template <typename T>
T looked_up(const NameTable<T>& names, std::string_view name, T otherwise) {
  const auto* found = names.find(name);
  return found == nullptr ? otherwise : found->second;
}

}  // namespace

TurnKey turn_key(std::string_view key) {
  using K = TurnKey;
  static const NameTable<TurnKey> keys{{"role", K::role},
                                       {"from", K::role},
                                       {"speaker", K::role},
                                       {"author", K::role},
                                       {"sender", K::role},
                                       {"content", K::content},
                                       {"value", K::content},
                                       {"text", K::content},
                                       {"contents", K::content},
                                       {"body", K::content},
                                       {"message", K::content},
                                       {"utterance", K::content},
                                       {"parts", K::content},
                                       {"weight", K::weight},
                                       {"train", K::weight},
                                       {"training", K::weight},
                                       {"loss", K::weight},
                                       {"learn", K::weight},
                                       {"trainable", K::weight},
                                       {"supervised", K::weight},
                                       {"loss_weight", K::weight},
                                       {"loss_scale", K::weight},
                                       {"masked", K::masked},
                                       {"ignore_loss", K::masked},
                                       {"tool_calls", K::calls},
                                       {"function_call", K::call},
                                       {"name", K::known},
                                       {"tool_call_id", K::known},
                                       {"refusal", K::known},
                                       {"reasoning", K::known},
                                       {"reasoning_content", K::known},
                                       {"thinking", K::known},
                                       {"audio", K::known},
                                       {"annotations", K::known},
                                       {"tools", K::known},
                                       {"functions", K::known},
                                       {"channel", K::known},
                                       {"recipient", K::known},
                                       {"prefix", K::known},
                                       {"id", K::known}};
  const auto* found = keys.find(key);
  return found != nullptr && found->first == key ? found->second : K::unknown;
}

int exchange_place(std::string_view key) {
  static const NameTable<int> places{{"system", 0},   {"input", 1},     {"human", 1},       {"user", 1},
                                     {"question", 1}, {"query", 1},     {"instruction", 1}, {"prompt", 1},
                                     {"output", 2},   {"assistant", 2}, {"answer", 2},      {"response", 2},
                                     {"bot", 2},      {"gpt", 2},       {"completion", 2},  {"model", 2}};
  return looked_up(places, key, -1);
}

std::string_view role_of_speaker(std::string_view speaker) {
  static const NameTable<std::string_view> roles{{"user", "user"},
                                                 {"human", "user"},
                                                 {"prompter", "user"},
                                                 {"question", "user"},
                                                 {"assistant", "assistant"},
                                                 {"gpt", "assistant"},
                                                 {"chatgpt", "assistant"},
                                                 {"chatbot", "assistant"},
                                                 {"bot", "assistant"},
                                                 {"ai", "assistant"},
                                                 {"bing", "assistant"},
                                                 {"bard", "assistant"},
                                                 {"claude", "assistant"},
                                                 {"model", "assistant"},
                                                 {"llm", "assistant"},
                                                 {"answer", "assistant"},
                                                 {"function_call", "assistant"},
                                                 {"system", "system"},
                                                 {"developer", "developer"},
                                                 {"tool", "tool"},
                                                 {"function", "tool"},
                                                 {"observation", "tool"},
                                                 {"ipython", "tool"},
                                                 {"environment", "environment"},
                                                 {"tool_response", "tool"},
                                                 {"tool_result", "tool"},
                                                 {"function_response", "tool"}};
  return looked_up(roles, speaker, std::string_view{});
}

double weight_of_flag(const OrderedJson& value, std::string_view key, std::string_view where) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0)
    return value.get<double>();
  if (const auto word = value.is_string() ? label_of(value) : std::nullopt) return *word ? 1.0 : 0.0;
  fail(where, "'{}' should be a number of at least 0, true or false, found {}", key, describe(value));
}

}  // namespace fettle::data
