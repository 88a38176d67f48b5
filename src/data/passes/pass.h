#pragma once
// What every verb of `fettle data` shares: rows in, rows out, and a record of everything that was dropped.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/rows/row_view.h"
#include "data/rows/text_key.h"
#include "parallel/process_group.h"

namespace fettle::data {

struct PassFiles {
  std::vector<std::string> inputs;
  fs::path output;    ///< "-" is standard output
  fs::path rejected;  ///< empty: rejected rows are counted only
  std::shared_ptr<InputStates> states = {};  ///< of an earlier reading, where there was one
  /// Who shares the work: every rank reads the inputs and judges its part of them, rank 0 writes and has the report.
  parallel::ProcessGroup* group = &parallel::alone();
};

/// in = out + the sum of reasons, broken rows included.
struct PassReport {
  std::string verb;
  int64_t in = 0, out = 0, repaired = 0;
  std::map<std::string, int64_t> reasons;
  PassFiles files;
  ReadReport read;
  /// What training would take and leave of the rows that were read, whether the verb keeps them or not; nothing for verbs that
  /// read pages.
  ColumnReport columns;
  OrderedJson more = OrderedJson::object();  ///< the verb's own figures
};
OrderedJson to_json(const PassReport& report);
/// A few lines for a person: counts, reasons by size.
std::string to_text(const PassReport& report);

/// What a verb makes of one row. `rows` are the JSON texts to write instead of it; empty with an empty
/// reason: the row as it is, with its id.
struct Verdict {
  std::string reason, detail, id;
  std::vector<std::string> rows;
  bool drop = false;
  bool elsewhere = false;  ///< kept, but the verb has written it itself
  double place = 0;        ///< for the second look of a verb that draws
  TextKey key;             ///< for the second look of a verb that compares
};

/// Judges rows in parallel (`judge` must be thread-safe; its RowView holds the row, parsed), then, in the
/// rows' order, takes a second look that may keep state (`settle` may be empty). The output is the same for
/// any number of threads. A row without an id gets the one that example_from_row makes, or a hash of its text
/// when it is of no known format.
using Judge = std::function<void(Row& row, RowView& view, Verdict& verdict)>;
using Settle = std::function<void(const Row& row, Verdict& verdict)>;
/// Who names a row without an id, and says what is read of it: that takes parsing the row once more, which a judge may have
/// done. A judge that does counts its rows' columns in the report itself.
enum class ReadBy { pass, judge };
/// What `judge` counts beside its verdicts: brought from every rank to rank 0. Both may be empty.
struct JudgeCounts {
  std::function<std::string()> pack;
  std::function<void(std::string_view packed)> add;
};
/// By ranks, the verdicts are taken to rank 0, where the second look is; the output is that of one process, byte for byte.
PassReport run_pass(const std::string& verb, const PassFiles& files, const Judge& judge, const Settle& settle = {},
                    ReadBy reading = ReadBy::pass, const JudgeCounts& counts = {});

/// The id of a row by the rule above.
std::string row_id(const Row& row, const RowView& view);

}  // namespace fettle::data
