#include "data/passes/pass.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/passes/pass_block.h"
#include "data/passes/rows_read.h"
#include "data/rows/example.h"

namespace fettle::data {
namespace {

/// False when the row could not be read: it is no JSON, or the verb cannot tell what it means.
bool judge_row(Row& row, RowView& view, const Judge& judge, ReadBy reading, Verdict& verdict) {
  try {
    view.open(row);
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    verdict.drop = true;
    verdict.reason = "not valid JSON";
    verdict.detail = error.what();
    return false;
  }
  try {
    verdict.id = view.id();
    const bool has_id = !verdict.id.empty();
    if (!has_id && reading == ReadBy::pass) verdict.id = row_id(row, view);
    judge(row, view, verdict);
    if (verdict.id.empty()) verdict.id = row_id(row, view);
    // A row that needs no change is written from where it stands.
    const bool as_it_is = has_id && row.text.find('\n') == std::string::npos;
    if (!verdict.drop && verdict.rows.empty() && !as_it_is)
      verdict.rows.push_back(with_id(row, has_id, verdict.id));
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    verdict.drop = true;
    verdict.reason = reason_of(error);
    verdict.detail = error.what();
    if (verdict.id.empty()) verdict.id = row_id(row, view);
    return false;
  }
  return true;
}

}  // namespace

std::string row_id(const Row& row, const RowView& view) {
  std::string own = view.id();
  if (!own.empty()) return own;
  try {
    return example_from_row(view.value(), Format::automatic, {}, row.where()).id;
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    return hash_hex(row.text).substr(0, 16);
  }
}

OrderedJson to_json(const PassReport& report) {
  OrderedJson json{{"verb", report.verb},
                   {"in", report.in},
                   {"out", report.out},
                   {"reasons", report.reasons},
                   {"repaired", report.repaired},
                   {"bytes", report.read.bytes},
                   {"formats", report.read.formats},
                   {"inputs", report.read.files},
                   {"output", report.files.output.string()}};
  if (!report.files.rejected.empty()) json["rejected"] = report.files.rejected.string();
  json.update(report.more);
  OrderedJson columns = OrderedJson::object();
  add_columns(report.columns, columns);
  if (columns.contains("warnings") && json.contains("warnings")) {  // the verb's own, then those of the columns
    for (const auto& warning : columns["warnings"]) json["warnings"].push_back(warning);
    columns.erase("warnings");
  }
  json.update(columns);
  return json;
}

std::string to_text(const PassReport& report) {
  std::vector<std::pair<int64_t, std::string>> reasons;
  int64_t dropped = 0;  // not in - out: a mixture may take a row several times
  for (const auto& [reason, count] : report.reasons) {
    reasons.emplace_back(-count, reason);
    dropped += count;
  }
  std::string text =
      fmt::format("{}: {} rows in, {} out, {} dropped\n", report.verb, report.in, report.out, dropped);
  std::sort(reasons.begin(), reasons.end());
  for (const auto& [count, reason] : reasons) text += fmt::format("{:>10}  {}\n", -count, reason);
  if (report.repaired > 0)
    text += fmt::format("{:>10}  rows repaired (invalid UTF-8 or JSON that only Python writes)\n",
                        report.repaired);
  return text + columns_text(report.columns);
}

namespace {

/// One pass from its inputs to its outputs.
class Pass {
 public:
  Pass(const std::string& verb, const PassFiles& files, const Judge& judge, const Settle& settle, ReadBy reading)
      : files_(files), judge_(judge), settle_(settle), reading_(reading), group_(*files.group), progress_(verb, 0, "rows") {
    report_.verb = verb;
    report_.files = files;
    rejected_ = files.rejected.empty() || !group_.leads() ? std::make_unique<RejectedRows>() : std::make_unique<RejectedRows>(files.rejected);
    const auto inputs = tally_.openable(files.inputs);
    ReadOptions read_options;
    read_options.states = files.states;
    if (!group_.is_alone()) read_options.whole_batch_bytes = common_batch_bytes(group_, read_options.batch_bytes);
    if (!inputs.empty()) reader_.emplace(inputs, *rejected_, read_options);
    if (group_.leads()) writer_.emplace(files.output);
  }

  PassReport run(const JudgeCounts& counts) {
    while (round()) {}
    if (files_.states) files_.states->finish();
    gather(counts);
    if (!group_.leads()) return std::move(report_);
    writer_->commit();
    rejected_->commit();
    if (reader_) report_.read = reader_->report();
    if (const auto unread = tally_.unread(); !unread.empty()) report_.more["unread"] = to_json(unread);
    report_.in += report_.read.rejected;
    report_.repaired += report_.read.repaired;
    report_.reasons = rejected_->by_reason();
    return std::move(report_);
  }

 private:
  /// A block for each rank: all are read everywhere, each is judged by one rank and settled by rank 0. False at the end.
  bool round() {
    std::vector<PassBlock> blocks;
    const auto mine = static_cast<size_t>(group_.rank());
    agree_on_rows(group_, [&](RowsRead& read) {
      read_blocks(blocks, read);
      if (mine < blocks.size()) judge_block(blocks[mine]);
    });
    if (blocks.empty()) return false;
    if (!group_.is_alone()) {
      const auto packed = group_.gather(mine < blocks.size() ? blocks[mine].packed() : std::string(), 0);
      for (size_t rank = 1; rank < std::min(packed.size(), blocks.size()); ++rank) blocks[rank].unpack(packed[rank]);
    }
    if (!group_.leads()) return true;
    for (PassBlock& block : blocks) settle_block(block);
    return true;
  }

  void read_blocks(std::vector<PassBlock>& blocks, RowsRead& read) {
    for (int rank = 0; rank < group_.size(); ++rank) {
      PassBlock block;
      throw_if_interrupted();
      if (!reader_ || !reader_->next(block.rows, block.unreadable)) break;
      if (!group_.is_alone()) read.add(block.rows);
      const bool is_needed = group_.leads() || rank == group_.rank();
      if (!is_needed) block = {};
      blocks.push_back(std::move(block));
    }
  }

  void judge_block(PassBlock& block) {
    block.verdicts.resize(block.rows.size());
    block.repaired.assign(block.rows.size(), 0);
    block.read.assign(block.rows.size(), 0);
    parallel_for(static_cast<int64_t>(block.rows.size()), 16, [&](int64_t begin, int64_t end) {
      RowView view;
      ReadRows rows;
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        throw_if_interrupted();
        block.read[i] = judge_row(block.rows[i], view, judge_, reading_, block.verdicts[i]);
        block.repaired[i] = view.repaired();
        if (block.read[i] != 0 && reading_ == ReadBy::pass) rows.add(view);
      }
      const std::lock_guard lock(columns_);
      report_.columns.add(rows);
    });
  }

  void settle_block(PassBlock& block) {
    auto broken = block.unreadable.begin();
    const auto reject_broken_before = [&](size_t row) {
      for (; broken != block.unreadable.end() && broken->before <= row; ++broken) {
        auto& rejection = broken->rejection;
        tally_.broken(rejection.file, rejection.detail.empty() ? rejection.reason : rejection.reason + ": " + rejection.detail);
        rejected_->add(std::move(rejection));
      }
    };
    for (size_t i = 0; i < block.rows.size(); ++i) {
      reject_broken_before(i);
      settle_row(block, i);
    }
    reject_broken_before(block.rows.size());
    report_.in += static_cast<int64_t>(block.rows.size());
    progress_.advance(block.rows.size());
  }

  void settle_row(PassBlock& block, size_t i) {
    Row& row = block.rows[i];
    Verdict& verdict = block.verdicts[i];
    if (settle_ && !verdict.drop) settle_(row, verdict);
    report_.repaired += block.repaired[i];
    // A second look may find out that the row is of another format.
    if (block.read[i] == 0 || (verdict.drop && verdict.reason == "does not fit its format")) {
      tally_.broken(*row.file, verdict.detail);
    } else {
      tally_.read(*row.file);
    }
    if (verdict.drop) {
      rejected_->add({*row.file, row.line, verdict.reason, verdict.detail, verdict.id, std::move(row.text)});
      return;
    }
    ++report_.out;
    if (verdict.elsewhere) return;
    if (verdict.rows.empty()) writer_->write_text(row.text);
    for (const auto& made : verdict.rows) writer_->write_text(made);
  }

  /// What the other ranks counted.
  void gather(const JudgeCounts& counts) {
    if (group_.is_alone()) return;
    const auto columns = group_.gather(packed_columns(report_.columns), 0);
    for (size_t rank = 1; rank < columns.size(); ++rank) merge_columns(report_.columns, columns[rank]);
    if (!counts.pack) return;
    const auto counted = group_.gather(counts.pack(), 0);
    for (size_t rank = 1; rank < counted.size(); ++rank) counts.add(counted[rank]);
  }

  const PassFiles& files_;
  const Judge& judge_;
  const Settle& settle_;
  const ReadBy reading_;
  parallel::ProcessGroup& group_;
  Progress progress_;
  PassReport report_;
  std::unique_ptr<RejectedRows> rejected_;
  InputTally tally_;
  std::optional<RowReader> reader_;
  std::optional<RowWriter> writer_;
  std::mutex columns_;
};

}  // namespace

PassReport run_pass(const std::string& verb, const PassFiles& files, const Judge& judge, const Settle& settle, ReadBy reading, const JudgeCounts& counts) {
  return Pass(verb, files, judge, settle, reading).run(counts);
}

}  // namespace fettle::data
