#pragma once
// The syntax tree of a regular expression. For pattern.cpp.
#include <string_view>
#include <vector>

#include "generate/constrain/character_automaton.h"

namespace fettle {

struct PatternNode {
  enum class Kind : uint8_t {
    set,       ///< one character of `set`
    sequence,  ///< `parts`, one after the other
    choice,    ///< one of `parts`
    repeat,    ///< parts[0], `least` to `most` times
    begin,     ///< ^
    end,       ///< $
    ahead,     ///< parts[0] must (`positive`) or must not follow
  };
  Kind kind;
  CharacterSet set = {};
  std::vector<PatternNode> parts = {};
  int64_t least = 0, most = -1;  ///< -1: no bound
  bool positive = true;
};

/// Throws Error with the place of what cannot be read. The tree is at most 100 groups deep.
PatternNode parse_pattern(std::string_view pattern);

}  // namespace fettle
