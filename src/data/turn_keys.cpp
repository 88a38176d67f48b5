#include "data/turn_keys.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <unordered_map>

#include "data/fields.h"
#include "data/labels.h"
#include "data/turns.h"

namespace fettle::data {
namespace {

template <typename T>
using Names = std::unordered_map<std::string_view, T>;

template <typename T>
T looked_up(const Names<T>& names, std::string_view key, T otherwise) {
  const auto found = names.find(key);
  return found == names.end() ? otherwise : found->second;
}

/// ASCII letters only; "" for what is longer than any name here.
std::string_view lowered(std::string_view text, std::array<char, 32>& room) {
  if (text.size() > room.size()) return {};
  std::transform(text.begin(), text.end(), room.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return {room.data(), text.size()};
}

}  // namespace

TurnKey turn_key(std::string_view key) {
  using K = TurnKey;
  static const Names<TurnKey> keys{
      {"role", K::role},         {"from", K::role},          {"speaker", K::role},           {"author", K::role},
      {"sender", K::role},       {"content", K::content},    {"value", K::content},          {"text", K::content},
      {"contents", K::content},  {"body", K::content},       {"message", K::content},        {"utterance", K::content},
      {"parts", K::content},     {"weight", K::weight},      {"train", K::weight},           {"training", K::weight},
      {"loss", K::weight},       {"learn", K::weight},       {"trainable", K::weight},       {"supervised", K::weight},
      {"loss_weight", K::weight}, {"loss_scale", K::weight}, {"masked", K::masked},          {"ignore_loss", K::masked},
      {"tool_calls", K::calls},  {"function_call", K::call}, {"name", K::known},             {"tool_call_id", K::known},
      {"refusal", K::known},     {"reasoning", K::known},    {"reasoning_content", K::known}, {"thinking", K::known},
      {"audio", K::known},       {"annotations", K::known},  {"tools", K::known},            {"functions", K::known},
      {"channel", K::known},     {"recipient", K::known},    {"prefix", K::known},           {"id", K::known}};
  return looked_up(keys, key, K::unknown);
}

int exchange_place(std::string_view key) {
  static const Names<int> places{{"system", 0},    {"input", 1},  {"human", 1},    {"user", 1},      {"question", 1}, {"query", 1},
                                 {"instruction", 1}, {"prompt", 1}, {"output", 2}, {"assistant", 2}, {"answer", 2},   {"response", 2},
                                 {"bot", 2},       {"gpt", 2},    {"completion", 2}, {"model", 2}};
  std::array<char, 32> room{};
  return looked_up(places, lowered(key, room), -1);
}

std::string_view role_of_speaker(std::string_view speaker) {
  static const Names<std::string_view> roles{{"user", "user"},
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
  std::array<char, 32> room{};
  return looked_up(roles, lowered(speaker, room), std::string_view{});
}

double weight_of_flag(const OrderedJson& value, std::string_view key, std::string_view where) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0) return value.get<double>();
  if (const auto word = value.is_string() ? label_of(value) : std::nullopt) return *word ? 1.0 : 0.0;
  fail(where, "'{}' should be a number of at least 0, true or false, found {}", key, describe(value));
}

}  // namespace fettle::data
