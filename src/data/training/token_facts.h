#pragma once
// What is known of a token set beside its rows, and JSON files that say when they are damaged.
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/files/reader.h"
#include "data/rows/column_report.h"
#include "data/training/tokenize.h"

namespace fettle::data {

/// What reading and tokenising a training set found.
struct TokenFacts {
  TokenizeReport report;
  ReadReport read;
  ColumnReport columns;
  int64_t equal_answers = 0;         ///< pairs whose answers have the same tokens: nothing is learnt from them
  std::vector<std::string> classes;  ///< names TokenRow::group
  std::vector<int64_t> class_rows;   ///< rows of each
  bool splits = false;               ///< some rows were split from one conversation
  std::string hash;                  ///< of everything that decides the rows (token ids, weights, ids), for caches and lineage
};

OrderedJson to_json(const TokenFacts& facts);
TokenFacts token_facts_from_json(const OrderedJson& json);

/// Writes `value` with a hash of it, whole or not at all.
void write_checked(const fs::path& path, const OrderedJson& value);
/// nullopt where there is no such file, or its content is not what was written.
std::optional<OrderedJson> read_checked(const fs::path& path);

/// Rejected rows as lines of JSON, to be rejected again by a later run; `with_text` as they were read.
void append_rejection(const Rejection& rejection, bool with_text, std::string& to);
/// Those in a file of such lines, in its order; none where there is no such file.
using TakeRejection = std::function<void(Rejection&&, bool has_text)>;
void replay_rejections(const fs::path& path, const TakeRejection& take);

}  // namespace fettle::data
