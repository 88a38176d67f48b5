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
#include "data/rows/example.h"

namespace fettle::data {
namespace {

/// False when the row could not be read: it is no JSON, or the verb cannot tell what it means.
bool judge_row(Row& row, RowView& view, const Judge& judge, Reading reading, Verdict& verdict) {
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
    if (!has_id && reading == Reading::pass) verdict.id = row_id(row, view);
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

PassReport run_pass(const std::string& verb, const PassFiles& files, const Judge& judge, const Settle& settle,
                    Reading reading) {
  PassReport report;
  report.verb = verb;
  report.files = files;
  auto rejected = files.rejected.empty() ? std::make_unique<RejectedRows>()
                                         : std::make_unique<RejectedRows>(files.rejected);
  InputTally tally;
  const auto inputs = tally.openable(files.inputs);
  std::optional<RowReader> reader;
  ReadOptions read_options;
  read_options.states = files.states;
  if (!inputs.empty()) reader.emplace(inputs, *rejected, read_options);
  RowWriter writer(files.output);
  Progress progress(verb, 0, "rows");
  std::vector<Row> batch;
  std::vector<Unreadable> unreadable;
  std::mutex columns;
  while (reader && reader->next(batch, unreadable)) {
    throw_if_interrupted();
    std::vector<Verdict> verdicts(batch.size());
    std::vector<uint8_t> repaired(batch.size(), 0), read(batch.size(), 0);
    parallel_for(static_cast<int64_t>(batch.size()), 16, [&](int64_t begin, int64_t end) {
      RowView view;
      ReadRows rows;
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        throw_if_interrupted();
        read[i] = judge_row(batch[i], view, judge, reading, verdicts[i]);
        repaired[i] = view.repaired();
        if (read[i] != 0 && reading == Reading::pass) rows.add(view);
      }
      const std::lock_guard lock(columns);
      report.columns.add(rows);
    });
    auto broken = unreadable.begin();
    const auto reject_broken_before = [&](size_t row) {
      for (; broken != unreadable.end() && broken->before <= row; ++broken) {
        auto& rejection = broken->rejection;
        tally.broken(rejection.file, rejection.detail.empty() ? rejection.reason : rejection.reason + ": " + rejection.detail);
        rejected->add(std::move(rejection));
      }
    };
    for (size_t i = 0; i < batch.size(); ++i) {
      reject_broken_before(i);
      auto& verdict = verdicts[i];
      if (settle && !verdict.drop) settle(batch[i], verdict);
      report.repaired += repaired[i];
      // A second look may find out that the row is of another format.
      if (read[i] == 0 || (verdict.drop && verdict.reason == "does not fit its format")) {
        tally.broken(*batch[i].file, verdict.detail);
      } else {
        tally.read(*batch[i].file);
      }
      if (verdict.drop) {
        rejected->add({*batch[i].file, batch[i].line, verdict.reason, verdict.detail, verdict.id,
                       std::move(batch[i].text)});
        continue;
      }
      ++report.out;
      if (verdict.elsewhere) continue;
      if (verdict.rows.empty()) writer.write_text(batch[i].text);
      for (const auto& row : verdict.rows) writer.write_text(row);
    }
    reject_broken_before(batch.size());
    report.in += static_cast<int64_t>(batch.size());
    progress.advance(batch.size());
  }
  if (files.states) files.states->finish();
  writer.commit();
  rejected->commit();
  if (reader) report.read = reader->report();
  if (const auto unread = tally.unread(); !unread.empty()) report.more["unread"] = to_json(unread);
  report.in += report.read.rejected;
  report.repaired += report.read.repaired;
  report.reasons = rejected->by_reason();
  return report;
}

}  // namespace fettle::data
