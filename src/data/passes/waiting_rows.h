#pragma once
// Rows that wait on the disk for their turn in a shuffled order.
#include <atomic>
#include <deque>
#include <memory>
#include <string>

#include "base/mapped_pages.h"
#include "data/files/reader.h"

namespace fettle::data {

/// add() all, close(), then row() in any order and from any thread. In memory are 40 bytes a row.
class WaitingRows {
 public:
  void add(const Row& row) {
    places_.push_back({file_.size(), row.text.size(), row.line, row.file});
    file_.write(row.text);
  }
  void close() {
    file_.commit();
    mapped_ = std::make_unique<MappedFile>(folder_.path() / "rows");
  }
  size_t size() const { return places_.size(); }
  Row row(size_t index) const {
    // A page, and what the system reads around it, stays this process's memory until it is given back.
    constexpr uint64_t around = uint64_t{64} << 10, most = uint64_t{32} << 20;
    const auto& place = places_[index];
    if (touched_.fetch_add(place.bytes + around, std::memory_order_relaxed) > most) {
      touched_ = 0;
      forget_pages(*mapped_);
    }
    Row row{std::string(mapped_->text().substr(place.at, place.bytes)), static_cast<int64_t>(index), place.line, place.file};
    check_mapped(*mapped_);
    return row;
  }

 private:
  struct Place {
    uint64_t at, bytes;
    int64_t line;
    std::shared_ptr<const std::string> file;
  };
  TemporaryFolder folder_;
  AtomicFile file_{folder_.path() / "rows"};
  std::unique_ptr<MappedFile> mapped_;
  std::deque<Place> places_;
  mutable std::atomic<uint64_t> touched_ = 0;
};

}  // namespace fettle::data
