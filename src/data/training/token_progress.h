#pragma once
// How far the making of a token set is: kept with each finished part, so that a killed making goes on behind it.
#include "data/files/unread_input.h"
#include "data/training/token_facts.h"

namespace fettle::data {

struct TokenProgress {
  size_t source = 0;        ///< the one being read, or copied
  int64_t round = 0;        ///< 0: its rows are read; else which copy of them is made
  int64_t rows = 0;         ///< of the source, read
  int64_t unreadable = 0;   ///< what the reader could not read between them
  int64_t copied = 0;       ///< entries of the source that this round has passed
  int64_t source_begin = 0; ///< its first entry
  int64_t source_end = 0;   ///< behind its last, once it is read
  int64_t entries = 0;
  int64_t last_conversation = -1;  ///< of the last entry
  int64_t rows_lost = 0, repaired = 0;  ///< of the source, when they were parsed
  InputTally tally;                ///< of the source
  TokenFacts facts;                ///< without what is summed up at the end
};

OrderedJson to_json(const TokenProgress& progress);
TokenProgress token_progress_from_json(const OrderedJson& json);

}  // namespace fettle::data
