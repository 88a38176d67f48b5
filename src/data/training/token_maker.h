#pragma once
// Files → rows → examples → token ids on disk, in parallel, in the files' order; what was made before a kill is kept.
#include <functional>
#include <memory>
#include <optional>

#include "data/training/data_source.h"
#include "data/training/token_set.h"

namespace fettle::data {

/// Tokenises one example; nullopt with the reason when there is nothing to learn. Thread-safe.
using MakeRow = std::function<std::optional<TokenRow>(const Example&, std::string& reason, bool& truncated)>;
using ExpandExample = std::function<std::vector<Example>(const Example&)>;

struct TokenRecipe {
  RowShape shape = RowShape::sequence;
  ExpandExample expand;
  MakeRow make;
  std::vector<DataSource> sources;
  uint64_t seed = 0;
  int width = 2;             ///< bytes of an id
  int64_t piece_length = 0;  ///< texts become pieces of so many tokens; 0: no row is cut
  /// A part ends when it holds so much: what a kill can cost.
  int64_t part_bytes = int64_t{128} << 20;
  /// Of all inputs, where each byte of them is a byte of text; 0: unknown.
  uint64_t input_bytes = 0;
  bool inputs_stay = false;  ///< rejected rows can be read from the inputs again: their text is not kept
};

/// Makes the set in `folder`, which nobody else may be writing to, or goes on where a killed process was. Throws Error when
/// nothing is left, naming the reasons and the first few rows; Error(io) on a full disk, and Error(interrupted), after both of
/// which finished parts stay.
void make_token_set(const TokenRecipe& recipe, const fs::path& folder);

}  // namespace fettle::data
