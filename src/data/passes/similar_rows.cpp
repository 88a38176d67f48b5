#include "data/passes/similar_rows.h"

#include <algorithm>

#include "parallel/packed.h"

namespace fettle::data {

SimilarRows::SimilarRows(parallel::ProcessGroup& group, double threshold, const std::vector<std::pair<uint32_t, int>>& owners, const MappedFile& rows,
                         const MappedFile& shingles, UnionFind& found)
    : group_(group),
      threshold_(threshold),
      owners_(owners),
      rows_(rows),
      shingles_(shingles),
      remembered_(reinterpret_cast<const Remembered*>(rows.bytes().data())),
      found_(found) {}

void SimilarRows::add(std::span<const uint32_t> bucket) {
  if (bucket.size() < 2) return;
  if (bucket.size() > compared) ++capped_;
  // A crowded bucket is cut, each part with the predecessors that its rows are compared with.
  for (size_t begin = 1; begin < bucket.size(); begin += most_waiting) {
    const size_t from = begin > compared ? begin - compared : 0, end = std::min(bucket.size(), begin + most_waiting);
    pieces_.push_back({{bucket.begin() + static_cast<std::ptrdiff_t>(from), bucket.begin() + static_cast<std::ptrdiff_t>(end)}, begin - from});
    waiting_ += end - from;
  }
}

void SimilarRows::join() {
  if (!group_.is_alone()) fetch();
  for (const Piece& piece : pieces_) join_piece(piece);
  pieces_.clear();
  fetched_.clear();
  waiting_ = 0;
}

void SimilarRows::join_piece(const Piece& piece) {
  const auto& rows = piece.rows;
  for (size_t i = piece.begin; i < rows.size(); ++i) {
    for (size_t j = i > compared ? i - compared : 0; j < i; ++j) {
      if (found_.root(rows[i]) == found_.root(rows[j]) || beside(rows[i]) != beside(rows[j])) continue;
      if (jaccard(set(rows[i]), set(rows[j])) >= threshold_) found_.join(rows[i], rows[j]);
    }
  }
}

int SimilarRows::owner(uint32_t row) const {
  if (group_.is_alone()) return 0;
  const auto after = std::upper_bound(owners_.begin(), owners_.end(), row, [](uint32_t value, const auto& from) { return value < from.first; });
  return std::prev(after)->second;
}

std::span<const uint32_t> SimilarRows::own_set(uint32_t row) {
  // A page, and what the system reads around it, stays this process's memory until it is given back.
  constexpr uint64_t around = uint64_t{64} << 10, most = uint64_t{32} << 20;
  touched_ += remembered_[row].shingle_count * sizeof(uint32_t) + around;
  if (touched_ > most) {
    forget_pages(shingles_);
    forget_pages(rows_);
    touched_ = 0;
  }
  return {reinterpret_cast<const uint32_t*>(shingles_.bytes().data() + remembered_[row].shingles_at), remembered_[row].shingle_count};
}

std::span<const uint32_t> SimilarRows::set(uint32_t row) {
  return owner(row) == group_.rank() ? own_set(row) : std::span<const uint32_t>(fetched_.at(row).shingles);
}

uint64_t SimilarRows::beside(uint32_t row) const {
  return owner(row) == group_.rank() ? remembered_[row].beside : fetched_.at(row).beside;
}

/// The waiting rows of other ranks.
void SimilarRows::fetch() {
  std::vector<std::vector<uint32_t>> wanted(static_cast<size_t>(group_.size()));
  for (const Piece& piece : pieces_) {
    for (const uint32_t row : piece.rows)
      if (owner(row) != group_.rank()) wanted[static_cast<size_t>(owner(row))].push_back(row);
  }
  std::vector<std::string> asked;
  for (auto& rows : wanted) {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    asked.emplace_back(reinterpret_cast<const char*>(rows.data()), rows.size() * sizeof(uint32_t));
  }
  std::vector<std::string> answers;
  for (const std::string& rows : group_.all_to_all(std::move(asked))) answers.push_back(answer(rows));
  answers = group_.all_to_all(std::move(answers));
  for (size_t rank = 0; rank < answers.size(); ++rank) {
    parallel::Unpacker from(answers[rank]);
    for (const uint32_t row : wanted[rank]) {
      Fetched& fetched = fetched_[row];
      fetched.beside = from.get<uint64_t>();
      const std::string_view shingles = from.get_view();
      fetched.shingles.resize(shingles.size() / sizeof(uint32_t));
      if (!shingles.empty()) std::memcpy(fetched.shingles.data(), shingles.data(), shingles.size());
    }
  }
}

/// What is known of these rows of this rank.
std::string SimilarRows::answer(const std::string& wanted) {
  parallel::Packer to;
  for (parallel::Unpacker from(wanted); !from.at_end();) {
    const auto row = from.get<uint32_t>();
    to.put(remembered_[row].beside);
    const auto shingles = own_set(row);
    to.put_text({reinterpret_cast<const char*>(shingles.data()), shingles.size_bytes()});
  }
  return to.take();
}

}  // namespace fettle::data
