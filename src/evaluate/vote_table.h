#pragma once
// Win rates out of votes on pairs of answers.
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/json.h"

namespace fettle::evaluate {

struct Interval {
  double low, high;
};
/// Wilson's score interval at 95 % of `share` of `games` (Wilson, JASA 1927); [0, 1] when there are none.
Interval wilson(double share, int64_t games);

/// What one side won, lost and drew.
struct Tally {
  int64_t games = 0, wins = 0, losses = 0, ties = 0;

  void add(int sign);    ///< 1 won, -1 lost, 0 drawn
  double share() const;  ///< of wins, a tie counts one half; 0 without games
};

/// Votes counted for each model and for each pair of models. One thread at a time.
class VoteTable {
 public:
  /// `sign`: 1 when a's answer was preferred, -1 when b's was, 0 for a tie. A model against itself counts as a vote, and says
  /// nothing about the model.
  void add(const std::string& a, const std::string& b, int sign);
  /// {"object": "arena.table", "votes", "models": [{"model", "games", "wins", …, "low", "high"}], "pairs": […]}, by name.
  Json to_json() const;

 private:
  int64_t votes_ = 0;
  std::map<std::string, Tally> models_;
  std::map<std::pair<std::string, std::string>, Tally> pairs_;
};

}  // namespace fettle::evaluate
