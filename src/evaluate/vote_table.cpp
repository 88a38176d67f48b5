#include "evaluate/vote_table.h"

#include <algorithm>
#include <cmath>

namespace fettle::evaluate {

Interval wilson(double share, int64_t games) {
  if (games == 0) return {0.0, 1.0};
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(games);
  const double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

void Tally::add(int sign) {
  ++games;
  ++(sign > 0 ? wins : sign < 0 ? losses : ties);
}

double Tally::share() const {
  return games == 0 ? 0.0 : (static_cast<double>(wins) + 0.5 * static_cast<double>(ties)) / static_cast<double>(games);
}

void VoteTable::add(const std::string& a, const std::string& b, int sign) {
  ++votes_;
  if (a == b) return;
  models_[a].add(sign);
  models_[b].add(-sign);
  if (a < b) {
    pairs_[{a, b}].add(sign);
  } else {
    pairs_[{b, a}].add(-sign);
  }
}

Json VoteTable::to_json() const {
  Json models = Json::array(), pairs = Json::array();
  for (const auto& [name, tally] : models_) {
    const Interval i = wilson(tally.share(), tally.games);
    models.push_back({{"model", name}, {"games", tally.games}, {"wins", tally.wins}, {"losses", tally.losses}, {"ties", tally.ties},
                      {"win_rate", tally.share()}, {"low", i.low}, {"high", i.high}});
  }
  for (const auto& [names, tally] : pairs_) {
    const Interval i = wilson(tally.share(), tally.games);
    pairs.push_back({{"a", names.first}, {"b", names.second}, {"games", tally.games}, {"a_wins", tally.wins}, {"b_wins", tally.losses},
                     {"ties", tally.ties}, {"a_win_rate", tally.share()}, {"low", i.low}, {"high", i.high}});
  }
  return {{"object", "arena.table"}, {"votes", votes_}, {"models", std::move(models)}, {"pairs", std::move(pairs)}};
}

}  // namespace fettle::evaluate
