#pragma once
// Rows that met in a band, compared by their shingles, which other ranks may hold.
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mapped_pages.h"
#include "data/passes/clusters.h"
#include "parallel/process_group.h"

namespace fettle::data {

/// Joins pairs whose true similarity reaches the threshold. add() buckets until it is full, then join(), which every rank calls
/// as often as any other. Keeps references.
class SimilarRows {
 public:
  /// `owners`: from which row on they are which rank's. `rows`, `shingles`: Remembered and the sets of this rank's rows.
  SimilarRows(parallel::ProcessGroup& group, double threshold, const std::vector<std::pair<uint32_t, int>>& owners, const MappedFile& rows,
              const MappedFile& shingles, UnionFind& found);

  void add(std::span<const uint32_t> bucket);
  bool is_full() const { return waiting_ >= most_waiting; }
  void join();
  /// Buckets in which not every row was compared with every other.
  int64_t capped() const { return capped_; }

 private:
  static constexpr size_t compared = 512;  ///< with how many of its predecessors a row of a crowded bucket is compared
  static constexpr size_t most_waiting = 8192;

  /// A part of a bucket: rows from `begin` on are compared with those before them.
  struct Piece {
    std::vector<uint32_t> rows;
    size_t begin;
  };
  struct Fetched {
    uint64_t beside;
    std::vector<uint32_t> shingles;
  };

  int owner(uint32_t row) const;
  std::span<const uint32_t> own_set(uint32_t row);
  std::span<const uint32_t> set(uint32_t row);
  uint64_t beside(uint32_t row) const;
  void fetch();
  std::string answer(const std::string& wanted);
  void join_piece(const Piece& piece);

  parallel::ProcessGroup& group_;
  const double threshold_;
  const std::vector<std::pair<uint32_t, int>>& owners_;
  const MappedFile &rows_, &shingles_;
  const Remembered* remembered_;
  UnionFind& found_;
  std::vector<Piece> pieces_;
  std::unordered_map<uint32_t, Fetched> fetched_;
  size_t waiting_ = 0;
  uint64_t touched_ = 0;
  int64_t capped_ = 0;
};

}  // namespace fettle::data
