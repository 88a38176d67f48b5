#pragma once
// Rows that say the same, or nearly, found in one reading of the inputs, by one process or by ranks that share the work.
//
// Every rank reads all rows and looks at its blocks of them. A row's key goes to the rank that its hash belongs to, and so does
// each of its bands: rows that may be alike meet there. The shingles of rows that met are fetched from the ranks that made them.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_pages.h"
#include "data/files/external_sort.h"
#include "data/files/spill_file.h"
#include "data/passes/dedupe.h"
#include "data/rows/row_view.h"
#include "data/rows/text_key.h"
#include "data/signals/minhash.h"

namespace fettle::data {

/// Sets of rows by number, with the smallest member as root.
class UnionFind {
 public:
  void grow(size_t count) {
    for (size_t i = parent_.size(); i < count; ++i) parent_.push_back(static_cast<uint32_t>(i));
  }
  uint32_t root(uint32_t member) {
    while (parent_[member] != member) member = parent_[member] = parent_[parent_[member]];
    return member;
  }
  void join(uint32_t a, uint32_t b) {
    a = root(a);
    b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint32_t> parent_;
};

/// A row's key, sorted on the disk.
struct KeyOfRow {
  TextKey key;
  uint32_t row = 0;
  bool operator<(const KeyOfRow& other) const;
};

/// What stays on the disk about each row, addressed by its number. Of rows that another rank looked at nothing is known.
struct Remembered {
  uint64_t shingles_at = 0;
  uint64_t beside = 0;  ///< of RowKey; near rows must agree in it
  double value = 0;     ///< length or score; the highest is kept
  uint32_t shingle_count = 0;
};

/// Reads everything once, finds the clusters, and says for every row which one is kept in its place: on rank 0 alone. In memory
/// are 12 bytes a row and the sorts' buffers; keys, shingles and bands lie on the disk.
class Clusters {
 public:
  Clusters(const PassFiles& files, const DedupeOptions& options);

  /// The number of the row that stands for this one; itself when it is kept.
  uint32_t kept(const Row& row) const;
  bool same_text(int64_t a, int64_t b) const { return same_as_[static_cast<size_t>(a)] == same_as_[static_cast<size_t>(b)]; }
  /// Which rows stand for others.
  std::vector<bool> leaders() const;
  int64_t capped_buckets() const { return capped_; }
  std::vector<uint32_t> take() { return std::move(kept_); }

 private:
  struct Look {
    TextKey key;
    uint64_t beside = 0;
    double value = 0;
    bool has_score = false;
    std::vector<uint32_t> shingles, band_hashes;
  };
  struct Batch {
    std::vector<Row> rows;
    std::vector<Look> looks;
  };

  void read(const PassFiles& files);
  void look_at(Batch& batch) const;
  void look(const Row& row, const RowView& view, Shingler& shingler, Look& look) const;
  bool score_of(const RowView& view, double& value) const;
  void remember(int64_t number, const Look& look);
  void exchange(const std::vector<Batch>& batches);
  void keep(uint32_t number, const Look& look);
  void send(uint32_t number, const Look& look, std::vector<std::string>& to) const;
  void join_equal();
  void join_similar(const MappedFile& rows);
  void gather_joined();
  void choose(const MappedFile& rows);
  void prefer_higher_values(const MappedFile& rows);

  const DedupeOptions& options_;
  parallel::ProcessGroup& group_;
  Bands bands_;
  TemporaryFolder folder_;
  SpillFile remembered_{folder_.path() / "rows"}, shingles_{folder_.path() / "shingles"};
  ExternalSort<KeyOfRow> keys_{folder_.path(), "keys", options_.sort_memory};
  ExternalSort<uint64_t> bands_of_rows_{folder_.path(), "bands", options_.sort_memory};
  std::vector<std::pair<uint32_t, int>> owners_;  ///< from which row on they are which rank's
  std::vector<double> values_;                    ///< on rank 0 of several, where not the first row stays
  int64_t rows_ = 0, capped_ = 0, scored_ = 0;
  UnionFind found_;
  std::vector<uint32_t> kept_, same_as_;
};

}  // namespace fettle::data
