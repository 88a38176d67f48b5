#pragma once
// Numbers between bounds, written without an exponent, as an automaton over their digits.
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "generate/constrain/character_automaton.h"

namespace fettle {

/// A number's exact digits: 0.5 is {false, "0", "5"}.
struct Decimal {
  bool negative = false;
  std::string whole = "0", fraction;  ///< no zeros in front of `whole` or behind `fraction`
  bool zero() const { return whole == "0" && fraction.empty(); }
};
/// Throws Error when it has more than 40 digits.
Decimal decimal_of(const OrderedJson& number);
/// -1, 0 or 1 as a is below, equal to or above b.
int compare(const Decimal& a, const Decimal& b);

struct NumberBound {
  Decimal value;
  bool open = false;  ///< the value itself is outside
};
struct NumberRange {
  bool integer = false;
  std::optional<NumberBound> low, high;
  std::vector<Decimal> multiples;  ///< the number is a multiple of each
  bool bounded() const { return low || high || !multiples.empty(); }
  void raise_low(NumberBound bound);
  void lower_high(NumberBound bound);
};
/// Throws Error when a multiple needs too many states.
CharacterAutomaton number_automaton(const NumberRange& range);

}  // namespace fettle
