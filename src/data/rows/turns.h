#pragma once
// The turns of a conversation in all the spellings that data sets have: {"role", "content"}, {"from", "value"}, role
// and text under other names, {"input", "output"} for two turns at once, a plain list of texts, a text with marks
// ("Human: …").
#include <string>
#include <string_view>

#include "data/rows/example.h"

namespace fettle::data {

struct TurnRules {
  RowUse* use = nullptr;      ///< takes the keys that no format knows
  bool empty_answers = false;  ///< an answer without text is no error: something is to be put there
};

/// `value` is a list of turns that stands under `key`. Throws Error with the place of the turn.
Messages turns_from(const OrderedJson& value, std::string_view key, std::string_view where, const TurnRules& rules = {});

/// Text (also one with marks, which becomes turns and stays as text too), a turn, or a list of turns.
Content content_from(const OrderedJson& value, std::string_view key, std::string_view where, const TurnRules& rules = {});

/// "human" → "user"; nothing for a speaker that nobody knows.
std::string_view role_of_speaker(std::string_view speaker);

/// Keys with null are taken out at all depths: what went through Arrow has every key of every row. In a JSON schema
/// (`schema`) "default", "const" and "enum" may mean null, and stay.
void remove_nulls(OrderedJson& value, bool schema);

/// True for a text that begins with the mark of a speaker and has an answer under the assistant's.
bool is_transcript(std::string_view text);
/// The turns of such a text. An assistant's mark at the end, under which nothing stands, opens the answer and is left
/// out.
Messages turns_of_transcript(std::string_view text);

}  // namespace fettle::data
