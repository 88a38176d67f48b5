#pragma once
// Which columns of a data set were found, used and left aside, and what they were taken for.
#include <cstdint>
#include <map>
#include <string>

#include "data/example.h"

namespace fettle::data {

/// Counts rows; one thread at a time.
class ColumnReport {
 public:
  void add(const OrderedJson& row, const RowUse& use);
  void merge(const ColumnReport& other);
  /// {"columns_found", "columns_used", "columns_ignored", "mappings", "message_keys_unknown", "remarks"}: name → rows.
  OrderedJson to_json() const;
  /// A few lines for a person: what was mapped, and what was left aside.
  std::string to_text() const;
  /// What a user should know before a run: a column beside a prompt that was guessed, keys that nothing reads.
  std::vector<std::string> warnings() const;

 private:
  using Counts = std::map<std::string, int64_t>;
  Counts found_, used_, mappings_, message_keys_, remarks_;
  Counts beside_guess_;  ///< columns that were not read, in rows whose prompt was not named
};

}  // namespace fettle::data
