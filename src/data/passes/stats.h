#pragma once
// `fettle data stats`: what is in a data set.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/files/unread_input.h"
#include "data/passes/pass.h"
#include "data/rows/column_report.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::data {

struct Distribution {
  int64_t count = 0, total = 0, least = 0, most = 0;
  int64_t p5 = 0, p25 = 0, median = 0, p75 = 0, p95 = 0, p99 = 0;  ///< nearest rank
  double mean = 0;
  std::vector<std::pair<int64_t, int64_t>>
      histogram;  ///< lower bounds (0 and powers of two) and how many lie from there up

  /// `counts`: value → how often. Lengths repeat, so this stays small however many rows there are.
  static Distribution of(const std::map<int64_t, int64_t>& counts);
};

struct StatsOptions {
  const Tokenizer* tokenizer = nullptr;  ///< tokens are counted too (of the texts, without a template)
  std::vector<std::string> group_by{"source", "model", "class"};  ///< fields whose values are counted
  bool languages = false;  ///< tell the language of every row
};

/// Under which the values of a field beyond the first thousand are counted together.
inline constexpr const char* other_groups = "(others)";

struct StatsReport {
  int64_t rows = 0, rejected = 0, repaired = 0, without_id = 0,
          equal_texts = 0;                        ///< equal_texts: rows that repeat an earlier one
  std::map<std::string, int64_t> formats, roles;  ///< rows by format; texts by role
  std::map<std::string, int64_t> languages;       ///< rows by language, where asked for
  std::map<std::string, std::map<std::string, int64_t>> groups;
  Distribution turns, characters, tokens;               ///< per row
  std::map<std::string, Distribution> role_characters;  ///< per text
  ColumnReport columns;  ///< what training would take and leave
  ReadReport read;
  std::vector<UnreadInput> unread;
};
StatsReport data_stats(const std::vector<std::string>& inputs, const StatsOptions& options);
OrderedJson to_json(const StatsReport& report);
std::string to_text(const StatsReport& report);

}  // namespace fettle::data
