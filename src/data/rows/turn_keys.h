#pragma once
// What the keys of a turn mean, and which speakers there are.
#include <string_view>

#include "base/json.h"

namespace fettle::data {

enum class TurnKey {
  role,     ///< role, from, …
  content,  ///< content, value, text, …
  weight,   ///< weight, train, loss, …: 0 or false leaves the turn out of the loss
  masked,   ///< the other way: true leaves it out
  calls,    ///< tool_calls
  call,     ///< function_call: one call
  known,    ///< what chat templates of today read: name, tool_call_id, reasoning_content, …
  unknown,
};
TurnKey turn_key(std::string_view key);

/// Under which a turn's thoughts stand.
inline constexpr const char* thought_keys[] = {"reasoning_content", "reasoning", "thinking"};

/// Where a text of an exchange ({"input", "output"}) goes: 0 system, 1 user, 2 assistant, -1 nowhere.
int exchange_place(std::string_view key);

/// The weight that a flag of a turn stands for: a number of at least 0, true or false. Throws Error naming `key`.
double weight_of_flag(const OrderedJson& value, std::string_view key, std::string_view where);

}  // namespace fettle::data
