#include "feedback/judge_rows.h"

#include <deque>

#include "base/input_fault.h"
#include "base/progress.h"
#include "data/files/reader.h"
#include "data/files/writer.h"
#include "feedback/in_order.h"

namespace fettle::feedback {
namespace {

/// A row to be judged, or one that could not be read.
struct Work {
  data::Row row;
  std::optional<data::Rejection> unreadable;
};

struct Outcome {
  OrderedJson row;
  JudgedRow judged;
  RowVerdict verdict;
  std::optional<data::Rejection> rejection;
};

Outcome judge_one(Work& work, const Judge& judge, StoredClient& client, uint64_t seed) {
  Outcome outcome;
  if (work.unreadable) {
    outcome.rejection = std::move(work.unreadable);
    return outcome;
  }
  const auto reject = [&](std::string reason, std::string detail) {
    outcome.rejection = data::Rejection{*work.row.file, work.row.line, std::move(reason), std::move(detail), outcome.judged.id, work.row.text};
  };
  OrderedJson row;
  try {
    row = data::parse_row(work.row);
    outcome.judged = judged_row(row, work.row.where());
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    reject(data::reason_of(error), error.what());
    return outcome;
  }
  try {
    outcome.verdict = judge_row(judge, client, outcome.judged, seed);
    outcome.row = with_verdict(std::move(row), judge, client.name(), outcome.judged, outcome.verdict);
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    reject("no verdict", error.what());
  }
  return outcome;
}

/// Rows of all files one after another, with what could not be read between them.
class WorkReader {
 public:
  explicit WorkReader(const std::vector<std::string>& inputs) : reader_(inputs, unused_) {}

  std::optional<Work> next() {
    while (waiting_.empty()) {
      std::vector<data::Row> rows;
      std::vector<data::Unreadable> unreadable;
      if (!reader_.next(rows, unreadable)) return std::nullopt;
      size_t broken = 0;
      for (size_t i = 0; i <= rows.size(); ++i) {
        for (; broken < unreadable.size() && unreadable[broken].before <= i; ++broken) waiting_.push_back({{}, std::move(unreadable[broken].rejection)});
        if (i < rows.size()) waiting_.push_back({std::move(rows[i]), std::nullopt});
      }
    }
    Work work = std::move(waiting_.front());
    waiting_.pop_front();
    return work;
  }

 private:
  data::RejectedRows unused_;
  data::RowReader reader_;
  std::deque<Work> waiting_;
};

/// What the verdict says in the terms of a label: the winner's name, or the score as a whole number.
std::string label_of(const OrderedJson& verdict) {
  if (verdict.contains("winner")) return verdict["winner"].get<std::string>();
  if (verdict.contains("score") && verdict["score"].is_number()) return fmt::format("{:.0f}", verdict["score"].get<double>());
  return "";
}

std::string person_label(const OrderedJson& row, const std::string& field) {
  const auto found = row.find(field);
  if (found == row.end() || found->is_null()) return "";
  return found->is_number() ? fmt::format("{:.0f}", found->get<double>()) : found->is_string() ? found->get<std::string>() : "";
}

void count(const Outcome& outcome, const std::string& label, JudgeReport& report) {
  ++report.out;
  const RowVerdict& verdict = outcome.verdict;
  report.unparsed += !verdict.parsed;
  for (const CallVerdict& call : verdict.calls) {
    if (!call.conflict) continue;
    ++report.conflicts;
    break;
  }
  if (verdict.winner) ++report.wins[outcome.judged.answers[*verdict.winner].name];
  report.ties += verdict.compared && !verdict.winner;
  for (const auto& score : verdict.scores) {
    if (!score) continue;
    report.score_sum += *score;
    ++report.scored;
  }
  if (label.empty()) return;
  const std::string judge = label_of(outcome.row["verdict"]), person = person_label(outcome.row, label);
  if (!judge.empty() && !person.empty()) report.agreement.add(judge, person);
}

}  // namespace

OrderedJson JudgeReport::to_json() const {
  OrderedJson json = {{"verb", "judge"}, {"in", in}, {"out", out}, {"reasons", reasons}, {"unparsed", unparsed}, {"ties", ties}, {"conflicts", conflicts}};
  if (!first_reason.empty()) json["first_reason"] = first_reason;
  if (!wins.empty()) json["wins"] = wins;
  if (scored > 0) json["mean_score"] = score_sum / static_cast<double>(scored);
  if (agreement.rows() > 0) json["agreement"] = agreement.to_json();
  json["costs"] = costs;
  return json;
}

std::string JudgeReport::to_text() const {
  std::string text = fmt::format("judge: {} rows in, {} out", in, out);
  for (const auto& [reason, count] : reasons) text += fmt::format("\n  {} {}", count, reason);
  if (!first_reason.empty()) text += "\n  the first: " + first_reason;
  if (unparsed > 0) text += fmt::format("\n{} with a reply that could not be read", unparsed);
  if (scored > 0) text += fmt::format("\nmean score {:.3f} of {} answers", score_sum / static_cast<double>(scored), scored);
  for (const auto& [name, count] : wins) text += fmt::format("\n{} won {}", name, count);
  if (ties > 0) text += fmt::format("\n{} ties", ties);
  if (conflicts > 0) text += fmt::format("\n{} where the orders or samples contradict each other", conflicts);
  if (agreement.rows() > 0)
    text += fmt::format("\nagreement with people on {} rows: {:.1f} %, kappa {:.3f}", agreement.rows(), 100.0 * agreement.accuracy(), agreement.kappa());
  text += fmt::format("\n{} asked, {} from the store, {} tokens in, {} out", costs.value("asked", int64_t{0}), costs.value("stored", int64_t{0}),
                      costs.value("prompt_tokens", int64_t{0}), costs.value("completion_tokens", int64_t{0}));
  if (costs.contains("cost")) text += fmt::format(", {:.2f} spent", costs["cost"].get<double>());
  return text;
}

JudgeReport judge_rows(const JudgeRows& files, const Judge& judge, StoredClient& client, const Costs& costs) {
  JudgeReport report;
  WorkReader reader(files.inputs);
  data::RowWriter writer(files.output);
  std::unique_ptr<data::RejectedRows> rejected = files.rejected.empty() ? std::make_unique<data::RejectedRows>() : std::make_unique<data::RejectedRows>(files.rejected);
  Progress progress("judge", 0, "rows");
  const auto workers = static_cast<size_t>(files.concurrency);
  InOrder<Work, Outcome> in_order(workers, workers * 4, [&](Work& work) { return judge_one(work, judge, client, files.seed); });
  in_order([&] { return reader.next(); },
           [&](Work&, Outcome&& outcome) {
             ++report.in;
             progress.advance();
             progress.note(costs.line());
             if (outcome.rejection) {
               ++report.reasons[outcome.rejection->reason];
               if (report.first_reason.empty()) report.first_reason = outcome.rejection->detail.empty() ? outcome.rejection->reason : outcome.rejection->detail;
               rejected->add(std::move(*outcome.rejection));
               return;
             }
             count(outcome, files.label, report);
             writer.write(outcome.row);
           });
  progress.finish();
  writer.commit();
  rejected->commit();
  report.costs = costs.to_json();
  return report;
}

}  // namespace fettle::feedback
