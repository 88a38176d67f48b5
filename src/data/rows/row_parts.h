#pragma once
// The parts that rows of several formats share, and the formats with more than one answer. Used by example.cpp alone.
#include "data/rows/fields.h"
#include "data/rows/turns.h"

namespace fettle::data {

/// A chat of one message where the content is text (none where it is empty).
void make_chat(Content& content, const char* role);
/// Both answers and the prompt become chats when one of them is one.
void make_alike(Example& example);
/// What is asked, under any of its names, with the context or input beside it.
Content prompt_of(const Fields& fields, const TurnRules& rules);
/// An answer must hold text or calls; RowError naming `key` where it does not.
void check_answer(const Content& answer, std::string_view key, std::string_view where);
/// Moves what both answers begin with into the prompt (TRL's rule: turn by turn, or character by character
/// with one shared space left to the answers; at least the last turn or character stays in the shorter
/// answer).
void extract_prompt(Example& example);
/// The list of turns of a row, and its key; null where there is none.
const OrderedJson* find_turns(const Fields& fields, std::string* key);

/// The system prompt beside a question or a conversation goes before it.
void add_system(const Fields& fields, Example& example);
/// Earlier [question, answer] pairs under `history` go before the prompt.
void add_history(const Fields& fields, const TurnRules& rules, Example& example);
/// An instruction as a turn, and as the text that Alpaca was trained with, for use without a template.
void put_alpaca_prompt(const Fields& fields, const TurnRules& rules, Example& example);
/// Weight, class, tools and template variables of the row.
void read_common(const Fields& fields, Example& example);

void read_pair(const Fields& fields, const TurnRules& rules, Example& example);
void read_votes(const Fields& fields, const TurnRules& rules, Example& example);
void read_ranked(const Fields& fields, const TurnRules& rules, Example& example);
void read_summaries(const Fields& fields, Example& example);

}  // namespace fettle::data
