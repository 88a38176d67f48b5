#include <algorithm>

#include "data/verbs.h"

namespace fettle::data {
namespace {

std::string token_row(const Sequence& sequence) {
  OrderedJson row{{"id", sequence.id}, {"ids", sequence.ids}};
  const bool plain =
      std::all_of(sequence.weights.begin(), sequence.weights.end(), [](float w) { return w == 0 || w == 1; });
  if (plain) {
    row["mask"] = OrderedJson::array();
    for (const float weight : sequence.weights) row["mask"].push_back(weight != 0 ? 1 : 0);
  } else {
    row["weights"] = sequence.weights;
  }
  return dump_json(row);
}

void to_tokens(const Example& example, const ConvertOptions& options, Verdict& verdict) {
  bool truncated = false;
  const auto sequence = tokenize_sequence(example, *options.tokenizer, options.chat, options.tokenize,
                                          verdict.reason, truncated);
  verdict.drop = !sequence;
  if (sequence) verdict.rows.push_back(token_row(*sequence));
}

void to_format(const Example& example, const ConvertOptions& options, Verdict& verdict) {
  if (options.to == Format::judged) {
    for (const auto& judged : as_judged(example))
      verdict.rows.push_back(dump_json(example_to_row(judged, options.to)));
  } else if (options.to == Format::pair) {
    verdict.rows.push_back(dump_json(example_to_row(example, options.to)));
  } else if (const auto supervised = as_supervised(example)) {
    verdict.rows.push_back(dump_json(example_to_row(*supervised, options.to)));
  }
  if (!verdict.rows.empty()) return;
  verdict.drop = true;
  verdict.reason =
      example.kind == Example::Kind::judged ? "undesirable answer" : "nothing that the format can hold";
}

}  // namespace

PassReport convert_rows(const PassFiles& files, const ConvertOptions& options) {
  return run_pass("convert", files, [&](Row& row, RowView&, Verdict& verdict) {
    const Example example = example_from_row(parse_row(row), options.from, options.columns, row.where());
    verdict.id = example.id;
    options.tokenizer != nullptr ? to_tokens(example, options, verdict)
                                 : to_format(example, options, verdict);
  });
}

}  // namespace fettle::data
