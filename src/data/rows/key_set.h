#pragma once
// Sets of the keys of row_keys.h, for looking at many rows.
#include <bitset>
#include <initializer_list>
#include <vector>

#include "data/rows/row_keys.h"

namespace fettle::data {

/// Keys by their numbers.
using KeyBits = std::bitset<most_row_keys>;

/// The keys of a row that hold something.
inline KeyBits values_of(const RowKeys& row) {
  return row.text | row.list | row.object | row.other;
}

/// Names of one thing, in the order in which they are looked for.
class KeySet {
 public:
  explicit KeySet(KeyNames names);
  KeySet(std::initializer_list<const char*> names) : KeySet(KeyNames(names.begin(), names.size())) {}
  bool any_in(const KeyBits& keys) const { return (keys & set_).any(); }
  /// The number of the first name that is among `keys`; -1 for none.
  int first_in(const KeyBits& keys) const;
  const KeyBits& bits() const { return set_; }

 private:
  std::vector<int> numbers_;
  KeyBits set_;
};

}  // namespace fettle::data
