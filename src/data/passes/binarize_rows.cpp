#include "data/passes/binarize_rows.h"

#include "base/hash.h"
#include "base/input_fault.h"

namespace fettle::data {
namespace {

OrderedJson turn(const Message& message) {
  return {{"role", message.role}, {"content", message.content}};
}

std::string pair_row(const ScoredPair& pair, const std::string& id) {
  const Message& question = pair.example.prompt.messages.back();
  OrderedJson row{{"id", id}, {"prompt", question.content}, {"prompt_id", sha256_hex(question.content)}};
  row["chosen"] = OrderedJson::array({turn(question), turn(pair.example.completion.messages.back())});
  row["rejected"] = OrderedJson::array({turn(question), turn(pair.example.rejected.messages.back())});
  row["score_chosen"] = pair.chosen_score;
  row["score_rejected"] = pair.rejected_score;
  if (!pair.chosen_model.empty()) row["model_chosen"] = pair.chosen_model;
  if (!pair.rejected_model.empty()) row["model_rejected"] = pair.rejected_model;
  return dump_json(row);
}

}  // namespace

PassReport binarize_rows(const PassFiles& files, const BinarizeOptions& options, const Columns& columns) {
  Binarizer binarizer(options);
  // The published rules draw from one sequence, so rows are paired one after another.
  const auto settle = [&](const Row& row, Verdict& verdict) {
    try {
      const auto pair = binarizer.add(parse_row(row), columns, row.where(), verdict.reason);
      verdict.drop = !pair;
      verdict.rows.clear();
      if (pair) verdict.rows.push_back(pair_row(*pair, verdict.id));
    } catch (const Error& error) {
      rethrow_unless_of_input(error);
      verdict.drop = true;
      verdict.reason = "does not fit its format";
      verdict.detail = error.what();
    }
  };
  auto report = run_pass(
      "binarize", files, [](Row&, RowView&, Verdict&) {}, settle);
  report.more["rule"] = binarize_rule_name(options.rule);
  report.more["binarize"] = to_json(binarizer.report());
  return report;
}

}  // namespace fettle::data
