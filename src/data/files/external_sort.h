#pragma once
// Sorting more records than memory holds: sorted runs on the disk, merged when they are read.
#include <algorithm>
#include <memory>
#include <queue>
#include <string>
#include <type_traits>
#include <vector>

#include "data/files/sort_numbers.h"
#include "data/files/spill_file.h"

namespace fettle::data {

/// T is plain data with operator<. add() all, then next() until it gives false. Uses `memory` bytes while adding,
/// and a small buffer for each run while merging. Runs lie in `folder`, which must be empty of other sorts' files
/// with the same name. Error(io) when a run cannot be written or read back whole. One thread.
template <typename T>
class ExternalSort {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  ExternalSort(fs::path folder, std::string name, size_t memory)
      : folder_(std::move(folder)), name_(std::move(name)), most_(std::max<size_t>(1, memory / sizeof(T))) {}

  void add(const T& record) {
    if (held_.size() == most_) spill();
    if (held_.capacity() < most_ && held_.size() == held_.capacity()) {
      held_.reserve(std::min(most_, std::max<size_t>(1024, 2 * held_.size())));
    }
    held_.push_back(record);
    ++count_;
  }
  size_t count() const { return count_; }
  size_t runs() const { return runs_.size(); }

  /// The records in order.
  bool next(T& record) {
    if (!merging_) begin_merge();
    if (runs_.empty()) {
      if (at_ == held_.size()) return false;
      record = held_[at_++];
      return true;
    }
    if (heads_.empty()) return false;
    const Head head = heads_.top();
    heads_.pop();
    record = head.record;
    T following;
    if (runs_[head.run]->next(following)) heads_.push({following, head.run});
    return true;
  }

 private:
  class Run {
   public:
    Run(const fs::path& path, const std::vector<T>& records) : file_(path) {
      file_.write(records.data(), records.size() * sizeof(T));
      file_.close();
    }
    bool next(T& record) {
      if (at_ == buffer_.size()) {
        buffer_.resize((size_t{1} << 18) / sizeof(T) + 1);
        buffer_.resize(file_.read(buffer_.data(), buffer_.size() * sizeof(T)) / sizeof(T));
        at_ = 0;
        if (buffer_.empty()) return false;
      }
      record = buffer_[at_++];
      return true;
    }

   private:
    SpillFile file_;
    std::vector<T> buffer_;
    size_t at_ = 0;
  };
  struct Head {
    T record;
    size_t run;
    bool operator<(const Head& other) const {  // the smallest record is the top of the queue
      if (other.record < record) return true;
      return !(record < other.record) && run > other.run;
    }
  };

  void sort() {
    if constexpr (std::is_same_v<T, uint64_t>) {
      sort_numbers(held_);
    } else {
      std::sort(held_.begin(), held_.end());
    }
  }

  void spill() {
    sort();
    runs_.push_back(std::make_unique<Run>(folder_ / (name_ + std::to_string(runs_.size())), held_));
    held_.clear();
  }

  void begin_merge() {
    merging_ = true;
    if (runs_.empty()) return sort();
    if (!held_.empty()) spill();
    held_ = {};
    for (size_t i = 0; i < runs_.size(); ++i) {
      T first;
      if (runs_[i]->next(first)) heads_.push({first, i});
    }
  }

  fs::path folder_;
  std::string name_;
  size_t most_, count_ = 0, at_ = 0;
  bool merging_ = false;
  std::vector<T> held_;
  std::vector<std::unique_ptr<Run>> runs_;
  std::priority_queue<Head> heads_;
};

}  // namespace fettle::data
