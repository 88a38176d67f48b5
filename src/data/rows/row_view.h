#pragma once
// A row looked at without being copied: its texts, whatever its format, for passes over much data.
#include <simdjson.h>

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/rows/example.h"
#include "data/rows/row.h"

namespace fettle::data {

/// One text of a row. `role` is "user", "assistant", "system", "tool", "developer", or "text"; of a turn's other texts
/// "thought" and "tool_calls", and "tools" for the row's tools. `field` is the key at the top of the row that it
/// stands under; `index` counts the texts of the row. Views live as long as the RowView.
struct TextPart {
  std::string_view field, role, text;
  int64_t index = 0;
  bool is_turn = true;  ///< false for rejected answers, thoughts, calls and the like, which repeat the place of a turn
  int64_t turn = -1;    ///< its place in the row's list of turns; -1 outside of one
};

/// What training makes of a row (example_from_row).
struct RowReading {
  std::string refusal;  ///< the reason why it is not read; empty when it is
  RowUse use;
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

  /// All texts in the order in which example_from_row gives them: prompt, answer, rejected answer, each turn with its
  /// thoughts and calls, then the tools. Empty when the row is of no known format, or is not read.
  const std::vector<TextPart>& texts() const;
  /// Whether training reads the row, and what it takes for what. Lives until the next row.
  const RowReading& reading() const;
  /// The keys of the row that are not null, in its order, each with a zero byte behind it.
  std::string_view shape() const;
  /// The row's own id, "" if it has none.
  std::string id() const;
  /// A top-level field as text (numbers and others as JSON); "" when missing or null.
  std::string field(std::string_view name) const;
  simdjson::dom::object object() const { return object_; }
  /// The row as parse_row gives it, without parsing it again.
  OrderedJson value() const { return to_ordered_json(element_); }

 private:
  void collect() const;
  void look_at_keys() const;
  bool collect_in_place() const;
  bool is_plain() const;
  void read_example() const;
  bool add_turns(int key) const;
  bool add_text(int key, std::string_view role, bool is_turn = true) const;
  void collect_example() const;
  void add_message(std::string_view field, const Message& message, bool is_turn, int64_t turn) const;
  void add(std::string_view field, std::string_view role, std::string_view text, bool is_turn, int64_t turn = -1) const;
  std::string_view name_of(KeyNames names) const;

  simdjson::dom::parser parser_;
  simdjson::dom::element element_;
  simdjson::dom::object object_;
  mutable std::vector<TextPart> texts_;  ///< of this row once they were asked for
  mutable bool collected_ = false, keyed_ = false, read_ = false;
  // What collect() looks at: the known keys, and of rows that are not told by their keys alone the whole example.
  mutable RowKeys keys_;
  struct Field {
    std::string_view key;
    simdjson::dom::element value;
  };
  mutable std::array<Field, most_row_keys> fields_;
  mutable std::string shape_;
  mutable bool plain_turns_ = true;     ///< turns have nothing beside role and text
  mutable bool in_place_ = false;       ///< the texts stand in the row as they are meant
  mutable RowReading reading_;
  mutable std::string plain_shape_;     ///< of the last row whose reading its keys alone decide, and what was read of it
  mutable RowKeys plain_keys_;
  mutable RowUse plain_use_;
  mutable std::optional<Example> example_;
  mutable std::deque<std::string> made_;
  bool repaired_ = false;
};

/// The row on one line with an "id" in front where it has none; `id` must be the row's.
std::string with_id(const Row& row, bool has_id, const std::string& id);

}  // namespace fettle::data
