#include <algorithm>
#include <charconv>

#include "data/verbs.h"

namespace fettle::data {
namespace {

void add_numbers(std::string& text, std::string_view key, size_t count, const auto& number_at) {
  constexpr size_t longest = 12;  // digits, sign and comma
  text += key;
  const size_t before = text.size();
  text.resize(before + count * longest + 1);
  char* at = text.data() + before;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) *at++ = ',';
    at = std::to_chars(at, at + longest, number_at(i)).ptr;
  }
  *at++ = ']';
  text.resize(static_cast<size_t>(at - text.data()));
}

/// Written without JSON values in between, which would take longer than the tokenizer.
std::string token_row(const Sequence& sequence) {
  std::string text = "{\"id\":" + dump_json(Json(sequence.id));
  add_numbers(text, ",\"ids\":[", sequence.ids.size(), [&](size_t i) { return sequence.ids[i]; });
  const auto& weights = sequence.weights;
  const bool plain = std::all_of(weights.begin(), weights.end(), [](float w) { return w == 0 || w == 1; });
  if (plain) {
    add_numbers(text, ",\"mask\":[", weights.size(), [&](size_t i) { return weights[i] != 0 ? 1 : 0; });
  } else {
    text += ",\"weights\":" + dump_json(Json(weights));
  }
  return text += '}';
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
