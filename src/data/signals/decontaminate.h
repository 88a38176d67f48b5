#pragma once
// Rows that hold a benchmark's questions: by overlap of runs of words, and by the substring rule of the
// alignment handbook (lower case, white space as one space, the whole question inside the row).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/rows/row_view.h"
#include "data/signals/phrases.h"

namespace fettle::data {

struct DecontaminateOptions {
  std::vector<std::string> benchmarks;  ///< data files whose rows hold the questions
  enum class Rule { overlap, substring } rule = Rule::overlap;
  int words = 8;           ///< of a run; a shorter question must stand in the row as a whole
  double overlap = 0.5;    ///< share of a question's runs that a row must hold
  int shortest = 4;        ///< questions of fewer words are passed over: they match anything
};

/// Immutable after loading: safe to use from many threads.
class Benchmarks {
 public:
  /// Reads the questions: a row's first user turn, or its question, query, goal, ctx, turns or text.
  explicit Benchmarks(const DecontaminateOptions& options);

  struct Match {
    std::string question;  ///< its beginning
    std::string where;     ///< "file:line"
    double share = 1;      ///< of the question's runs
  };
  /// The best match in any text of the row.
  std::optional<Match> find(const RowView& view) const;
  int64_t questions() const { return static_cast<int64_t>(questions_.size()); }
  int64_t passed_over() const { return passed_over_; }

 private:
  struct Question {
    std::string text, where;
    uint32_t runs = 0;
  };
  void add(std::string_view text, std::string where);
  std::optional<Match> find_overlap(const RowView& view) const;

  DecontaminateOptions options_;
  std::vector<Question> questions_;
  std::unordered_multimap<uint64_t, uint32_t> runs_;  ///< hash of a run of words → question
  std::vector<std::string> whole_;                    ///< questions to be found as a whole
  std::vector<uint32_t> whole_of_;                    ///< their numbers
  std::unique_ptr<PhraseMatcher> matcher_;
  int64_t passed_over_ = 0;
};

}  // namespace fettle::data
