#include "feedback/agreement.h"

namespace fettle::feedback {

void Agreement::add(const std::string& judge, const std::string& person) {
  ++rows_;
  ++counts_[{person, judge}];
}

double Agreement::accuracy() const {
  int64_t equal = 0;
  for (const auto& [labels, count] : counts_) equal += labels.first == labels.second ? count : 0;
  return rows_ > 0 ? static_cast<double>(equal) / static_cast<double>(rows_) : 0.0;
}

double Agreement::kappa() const {
  if (rows_ == 0) return 0.0;
  std::map<std::string, std::pair<double, double>> shares;
  for (const auto& [labels, count] : counts_) {
    shares[labels.first].first += static_cast<double>(count) / static_cast<double>(rows_);
    shares[labels.second].second += static_cast<double>(count) / static_cast<double>(rows_);
  }
  double chance = 0.0;
  for (const auto& [label, share] : shares) chance += share.first * share.second;
  return chance >= 1.0 ? 1.0 : (accuracy() - chance) / (1.0 - chance);
}

OrderedJson Agreement::to_json() const {
  OrderedJson table = OrderedJson::object();
  for (const auto& [labels, count] : counts_) table[labels.first][labels.second] = count;
  return {{"rows", rows_}, {"accuracy", accuracy()}, {"kappa", kappa()}, {"table", std::move(table)}};
}

}  // namespace fettle::feedback
