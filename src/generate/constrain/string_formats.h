#pragma once
// JSON Schema's `format` of strings as patterns.
#include <string_view>

#include "generate/constrain/character_automaton.h"

namespace fettle {

/// Strings of the format: date, time, date-time (RFC 3339), duration (ISO 8601), email, hostname (and their
/// idn- forms, in ASCII), ipv4, ipv6, uuid (and uuid1 to uuid8), uri and its relatives, json-pointer. Each
/// string that fits is one of the format; of `uri` the usual forms alone are written. Formats that say
/// nothing about the characters (password, …) let any string through. Throws Error for a name that is
/// unknown.
const CharacterAutomaton& string_format(std::string_view name);
bool is_string_format(std::string_view name);

}  // namespace fettle
