#pragma once
// A row's values under the names that its format gives them.
#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/rows/example.h"
#include "data/rows/row_keys.h"

namespace fettle::data {

class Fields {
 public:
  /// Looks at every key of the row once. All arguments must outlive this; what is read is noted in `use`, where that
  /// is given.
  Fields(const OrderedJson& row, const Columns& columns, std::string_view where, RowUse* use = nullptr);

  /// The column that stands for `role`.
  std::string name(std::string_view role) const;
  /// Null when it is missing or null.
  const OrderedJson* find(std::string_view role) const;
  /// The first of `roles` that the row has; the name of its column goes to `found`.
  const OrderedJson* first_of(KeyNames roles, std::string* found = nullptr) const;
  const OrderedJson* first_of(std::initializer_list<const char*> roles, std::string* found = nullptr) const {
    return first_of(KeyNames(roles.begin(), roles.size()), found);
  }
  bool has(std::string_view role) const { return find(role) != nullptr; }
  /// Throws Error naming the key, and the nearest one that the row has.
  const OrderedJson& need(std::string_view role) const;
  /// The first of `roles`, of which one must be there.
  const OrderedJson& need_one_of(KeyNames roles, std::string* found = nullptr) const;
  std::string text(std::string_view role) const;
  /// "" when missing.
  std::string text_or_empty(std::string_view role) const;
  /// From which value of the label's column on an answer is wanted (`columns: {label: helpfulness >= 3}`).
  std::optional<double> label_threshold() const { return threshold_; }

  std::vector<std::string> keys() const;
  const RowKeys& row_keys() const { return keys_; }
  const OrderedJson& row() const { return row_; }
  std::string_view where() const { return where_; }
  RowUse* use() const { return use_; }

 private:
  struct Slot {
    const OrderedJson* value = nullptr;
    const std::string* name = nullptr;
  };
  void put(int index, const std::string& name, const OrderedJson& value);
  void rename(const std::string& role, const std::string& column);
  void note(std::string_view role, const std::string& column) const;

  const OrderedJson& row_;
  const Columns& columns_;
  std::string_view where_;
  RowUse* use_;
  std::array<Slot, most_row_keys> slots_;
  RowKeys keys_;
  std::optional<double> threshold_;
  std::string label_column_;  ///< without the threshold
};

/// "a list", "the text \"Hel…\"", for messages about a value of the wrong type.
std::string describe(const OrderedJson& value);
/// "'prompt', 'answer'".
std::string quoted(const std::vector<std::string>& words);

}  // namespace fettle::data
