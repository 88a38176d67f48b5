#pragma once
// What becomes of one row of a data file. Thread-safe.
#include "base/hash.h"
#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/training/token_maker.h"

namespace fettle::data {

struct RowOutcome {
  struct Item {
    TokenRow row;
    std::string class_label;
    bool truncated;
  };
  std::vector<Item> items;
  std::string id, reason, detail;  ///< reason is empty when every item is in `items`
  RowUse use;
  int64_t made = 0;       ///< examples that the row gave
  bool is_row = true;     ///< a JSON object
  bool repaired = false;  ///< to be read
};

/// Never throws for what is wrong with the row; its columns are counted in `columns`.
RowOutcome tokenize_row(const Row& row, const DataSource& source, const TokenRecipe& recipe, ColumnReport& columns);

/// Adds what decides a row to the hash of its set.
void hash_row(Hasher& hasher, const TokenRow& row, RowShape shape);

}  // namespace fettle::data
