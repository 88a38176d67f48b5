#pragma once
// Which columns of a data set were found, used and left aside, and what they were taken for.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/rows/example.h"
#include "data/rows/row_view.h"

namespace fettle::data {

/// Rows by their shape and by how they are read: what one thread counts of a batch.
class ReadRows {
 public:
  void add(const RowView& row);

 private:
  friend class ColumnReport;
  struct Alike {
    std::string shape;  ///< RowView::shape
    RowUse use;
    int64_t rows;
  };
  std::vector<Alike> alike_;
  std::map<std::string, int64_t> refused_;
};

/// Counts rows; one thread at a time.
class ColumnReport {
 public:
  void add(const OrderedJson& row, const RowUse& use);
  /// Rows that training reads are counted with their columns, others under their refusal.
  void add(const ReadRows& rows);
  void merge(const ColumnReport& other);
  /// {"columns_found", "columns_used", "columns_ignored", "mappings", "message_keys_unknown", "remarks"}: name → rows.
  OrderedJson to_json() const;
  /// A few lines for a person: what was mapped, and what was left aside.
  std::string to_text() const;
  /// What a user should know before a run: a column beside a prompt that was guessed, keys that nothing reads.
  std::vector<std::string> warnings() const;
  /// "a 3, b 1": the columns that were found and not read; empty when all were.
  std::string ignored_columns() const;
  /// Reason → rows that training would refuse.
  const std::map<std::string, int64_t>& refused() const { return refused_; }
  /// All counts, and the report that has them: for work that is cut short and goes on.
  OrderedJson counts() const;
  static ColumnReport from_counts(const OrderedJson& counts);
  bool empty() const { return found_.empty() && refused_.empty(); }

 private:
  using Counts = std::map<std::string, int64_t>;
  Counts found_, used_, mappings_, message_keys_, remarks_;
  void count_use(const RowUse& use, int64_t rows);

  Counts refused_;
  Counts beside_guess_;  ///< columns that were not read, in rows whose prompt was not named
};

/// What the verbs of `fettle data` report of it, into `report`: to_json(), "training_refuses" (reason → rows) and "warnings";
/// nothing where no row was looked at.
void add_columns(const ColumnReport& columns, OrderedJson& report);
/// The same in lines for a person.
std::string columns_text(const ColumnReport& columns);
/// What is worth a warning after a verb: warnings(), and the columns that nothing reads.
std::vector<std::string> column_warnings(const ColumnReport& columns);

}  // namespace fettle::data
