#pragma once
// How far a judge agrees with people: what it is worth before it is paid for.
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/json.h"

namespace fettle::feedback {

/// Pairs of labels counted. One thread at a time.
class Agreement {
 public:
  void add(const std::string& judge, const std::string& person);
  int64_t rows() const { return rows_; }
  double accuracy() const;  ///< share of equal labels; 0 without rows
  /// Cohen's kappa (Educational and Psychological Measurement 20, 1960): 1 for equal labels, 0 for what chance gives; 1 where both sides
  /// know one label alone.
  double kappa() const;
  /// {"rows", "accuracy", "kappa", "table": {person's: {judge's: n}}}
  OrderedJson to_json() const;

 private:
  int64_t rows_ = 0;
  std::map<std::pair<std::string, std::string>, int64_t> counts_;  ///< person's label, judge's label
};

}  // namespace fettle::feedback
