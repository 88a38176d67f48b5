#pragma once
// A row's values under the names that its format gives them.
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "data/example.h"

namespace fettle::data {

class Fields {
 public:
  /// All arguments must outlive this.
  Fields(const OrderedJson& row, const Columns& columns, std::string_view where)
      : row_(row), columns_(columns), where_(where) {}

  /// The column that stands for `role`.
  std::string name(std::string_view role) const;
  /// Null when it is missing or null.
  const OrderedJson* find(std::string_view role) const;
  /// The first of `roles` that the row has; its name goes to `found`.
  const OrderedJson* first_of(std::initializer_list<const char*> roles, std::string* found = nullptr) const;
  bool has(std::string_view role) const { return find(role) != nullptr; }
  /// Throws Error naming the key, and the nearest one that the row has.
  const OrderedJson& need(std::string_view role) const;
  std::string text(std::string_view role) const;
  /// "" when missing.
  std::string text_or_empty(std::string_view role) const;

  std::vector<std::string> keys() const;
  const OrderedJson& row() const { return row_; }
  std::string_view where() const { return where_; }

 private:
  const OrderedJson& row_;
  const Columns& columns_;
  std::string_view where_;
};

/// "a list", "the text \"Hel…\"", for messages about a value of the wrong type.
std::string describe(const OrderedJson& value);

}  // namespace fettle::data
