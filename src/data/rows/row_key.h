#pragma once
// What a row says, for finding others that say the same. Two rows are equal when training would learn the same from them: the
// same texts (OpenChat's key: of all turns one after another, and their number), tool calls, thoughts and other fields of turns,
// tools and template variables, label and class, and the same turns learnt. The size of a weight does not count, nor does the id
// of a call, which is drawn anew each time.
#include <cstdint>
#include <string>

#include "data/rows/row_view.h"
#include "data/rows/text_key.h"

namespace fettle::data {

struct RowKey {
  TextKey key;           ///< of everything above; `texts` is 0 for a row of no known format, which is like no other
  uint64_t beside = 0;   ///< of what stands beside the turns (tools, variables, label, class, which turns are learnt); 0: nothing
  std::string in_turns;  ///< calls, thoughts and other fields of turns, as text; rows may be near in these, as in their texts
};

/// Whether the part is what somebody said, rather than a thought, a call or the row's tools.
bool is_text(const TextPart& part);

/// `row` is what `view` was opened with. Rows of texts alone are not taken apart a second time. Thread-safe.
RowKey row_key(const Row& row, const RowView& view);

}  // namespace fettle::data
