#pragma once
// A row looked at without being copied: its texts, whatever its format, for passes over much data.
#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/reader.h"

namespace fettle::data {

/// One text of a row. `role` is "user", "assistant", "system", "tool", or "text"; `field` is the key at the
/// top of the row that it stands under; `index` counts the texts of the row. Views live as long as the
/// RowView.
struct TextPart {
  std::string_view field, role, text;
  int64_t index = 0;
  bool is_turn = true;  ///< false for rejected answers and the like, which repeat the place of another turn
};

/// A copy of what simdjson parsed; of equal keys the last wins, at the place of the first.
OrderedJson to_ordered_json(simdjson::dom::element element);

/// Parses the row once. Not thread-safe; use one per thread and row after row (the parser's memory is kept).
class RowView {
 public:
  /// Throws Error with file and line when the text is no JSON object. A row that has to be repaired to be
  /// read (see parse_row) is changed in place.
  void open(Row& row);
  bool repaired() const { return repaired_; }

  /// All texts in order: turns of messages/conversations/items, prompt, instruction, input, completion,
  /// output, chosen, rejected, text, the responses of completions. Empty when the row is of no known format.
  const std::vector<TextPart>& texts() const;
  /// The row's own id, "" if it has none.
  std::string id() const;
  /// A top-level field as text (numbers and others as JSON); "" when missing or null.
  std::string field(std::string_view name) const;
  simdjson::dom::object object() const { return object_; }
  /// The row as parse_row gives it, without parsing it again.
  OrderedJson value() const { return to_ordered_json(element_); }

 private:
  void collect() const;
  void add(std::string_view field, std::string_view role, simdjson::dom::element value, bool is_turn = true) const;
  void add_turns(std::string_view field, simdjson::dom::array turns, bool is_turn) const;

  simdjson::dom::parser parser_;
  simdjson::dom::element element_;
  simdjson::dom::object object_;
  mutable std::vector<TextPart> texts_;  ///< of this row once they were asked for
  mutable bool collected_ = false;
  bool repaired_ = false;
};

/// The row on one line with an "id" in front where it has none; `id` must be the row's.
std::string with_id(const Row& row, bool has_id, const std::string& id);

}  // namespace fettle::data
