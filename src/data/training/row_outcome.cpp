#include "data/training/row_outcome.h"

#include <utility>

#include "base/error.h"
#include "base/input_fault.h"

namespace fettle::data {

RowOutcome tokenize_row(const Row& row, const DataSource& source, const TokenRecipe& recipe, ColumnReport& columns) {
  RowOutcome outcome;
  const std::string where = row.where();
  OrderedJson value;
  try {
    value = parse_row(row, &outcome.repaired);
    if (!value.is_object()) outcome.detail = fmt::format("a {} where an object was expected", value.type_name());
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    outcome.detail = error.what();
  }
  if (!outcome.detail.empty()) {
    outcome.is_row = false;
    outcome.reason = value.is_null() ? "not valid JSON" : "not a JSON object";
    return outcome;
  }
  try {
    const Example example = example_from_row(value, source.format, source.columns, where, &outcome.use);
    outcome.id = example.id;
    for (const auto& each : recipe.expand(example)) {
      ++outcome.made;
      bool truncated = false;
      auto made = recipe.make(each, outcome.reason, truncated);
      if (made) outcome.items.push_back({std::move(*made), each.class_label, truncated});
    }
    if (outcome.made == 0) outcome.reason = "not of a kind that this method learns from";
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    outcome.items.clear();
    outcome.reason = outcome.id.empty() ? reason_of(error) : "cannot be tokenised";
    outcome.detail = error.what();
    if (!outcome.detail.starts_with(where)) outcome.detail = where + ": " + outcome.detail;
  }
  if (!outcome.id.empty()) columns.add(value, outcome.use);
  return outcome;
}

void hash_row(Hasher& hasher, const TokenRow& row, RowShape shape) {
  const auto add_values = [&](const auto& values) {
    const uint64_t size = values.size();
    hasher.add_raw(&size, sizeof size).add_raw(values.data(), values.size() * sizeof(values[0]));
  };
  hasher.add(row.id);
  if (shape == RowShape::judged) hasher.add(row.desirable ? "1" : "0");
  if (shape != RowShape::sequence) add_values(row.prompt);
  add_values(row.chosen);
  if (shape == RowShape::pair) add_values(row.rejected);
  if (shape == RowShape::sequence) {
    add_values(row.weights);
  } else {
    hasher.add_raw(&row.weight, sizeof row.weight);
  }
}

}  // namespace fettle::data
