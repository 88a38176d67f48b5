#pragma once
// The keys at the top of a row that some format reads, numbered, so that a row is looked at once.
#include <bitset>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::data {

inline constexpr size_t most_row_keys = 160;

/// The number of a key, whatever the case of its letters; -1 for a key that no format reads.
int row_key_index(std::string_view key);
/// All of them, as the formats spell them.
std::span<const std::string_view> row_keys();

/// What the known keys of a row hold.
struct RowKeys {
  std::bitset<most_row_keys> null, text, list, object, other;  ///< by number; other: numbers, true and false

  enum class Value { null, text, list, object, other };
  void set(int index, Value value);
  bool present(int index) const;  ///< not null
  bool operator==(const RowKeys&) const = default;
};

// Names of one thing, in the order in which they are looked for.
using KeyNames = std::span<const char* const>;
KeyNames prompt_keys();      ///< what is asked
KeyNames completion_keys();  ///< what is answered
KeyNames chosen_keys();
KeyNames rejected_keys();
KeyNames turn_keys();     ///< lists of turns
KeyNames system_keys();   ///< the system prompt beside a question
KeyNames label_keys();    ///< whether an answer is wanted
KeyNames answer_list_keys();  ///< several answers to one question

/// Two answers side by side, of which a verdict in another key tells the better.
struct AnswerKeys {
  const char *first, *second;
};
std::span<const AnswerKeys> compared_keys();
/// Keys that tell which of two answers is better.
KeyNames verdict_keys();

}  // namespace fettle::data
