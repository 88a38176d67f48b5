#pragma once
// Micro-batches dealt among ranks that all pack the same rows.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "parallel/process_group.h"

namespace fettle::train {

/// Each micro-batch goes to the rank that has the fewest tokens so far, the first of several: the same on every rank.
class BatchDealer {
 public:
  explicit BatchDealer(const parallel::ProcessGroup& group) : rank_(group.rank()), tokens_(static_cast<size_t>(group.size()), 0) {}
  /// Deals the next one.
  bool is_mine(int64_t tokens) {
    const auto least = std::min_element(tokens_.begin(), tokens_.end());
    *least += tokens;
    return least - tokens_.begin() == rank_;
  }

 private:
  int rank_;
  std::vector<int64_t> tokens_;
};

}  // namespace fettle::train
