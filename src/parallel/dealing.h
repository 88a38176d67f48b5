#pragma once
// Rows dealt among ranks that all read the same inputs, and what they make of them in the order of the rows on rank 0.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/process_group.h"

namespace fettle::parallel {

/// Whose a row is: blocks of `block` rows go to one rank after another.
class Dealing {
 public:
  Dealing(const ProcessGroup& group, int64_t block) : rank_(group.rank()), size_(group.size()), block_(block) {}
  int owner(int64_t row) const { return static_cast<int>(row / block_ % size_); }
  bool is_mine(int64_t row) const { return owner(row) == rank_; }

 private:
  int rank_, size_;
  int64_t block_;
};

/// Adds up what every rank read, so that ranks with other contents under the same name are found out.
class ReadingHash {
 public:
  void add(std::string_view text);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

/// What a rank read of `what` (a file, or one of several): how many rows or files, with which contents.
std::string packed_reading(const std::string& what, int64_t count, const ReadingHash& hash);
/// Throws AgreedError, naming the rank and what it read, when a rank's packed_reading has not the count and contents of rank 0's.
void check_equal_readings(const ProcessGroup& group, const std::vector<std::string>& readings);
/// Both in one.
void check_same_reading(ProcessGroup& group, const std::string& what, int64_t count, const ReadingHash& hash);

/// Texts that each rank made of its rows, one a row and in their order, handed to `take` on rank 0 in the order of all `rows`
/// rows. `next` gives this rank's next text. The group holds `block` texts of each rank at a time.
void in_row_order(ProcessGroup& group, const Dealing& dealing, int64_t rows, int64_t block, const std::function<std::string()>& next,
                  const std::function<void(std::string_view)>& take);

}  // namespace fettle::parallel
