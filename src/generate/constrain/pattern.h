#pragma once
// Regular expressions of ECMA-262 (the language of JSON Schema's `pattern`) as automata.
//
// Understood: characters, `.`, classes, the escapes \d \w \s and their opposites, \t \n \v \f \r \0 \cX \xHH
// \uHHHH \u{H…}, groups (named ones too), alternatives, quantifiers (a lazy one lets the same strings
// through), ^ and $ anywhere, and look-aheads outside of groups. Refused by name: back-references,
// look-behinds, word boundaries, \p{…}, flags.
#include <string_view>

#include "generate/constrain/character_automaton.h"

namespace fettle {

/// Strings in which the pattern is found, as JSON Schema reads it. Throws Error that says at which character
/// the pattern cannot be read, or that it needs too many states.
CharacterAutomaton pattern_automaton(std::string_view pattern);
/// Strings that fit the pattern from their first to their last character.
CharacterAutomaton whole_pattern_automaton(std::string_view pattern);

}  // namespace fettle
