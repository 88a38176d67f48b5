#include "data/passes/clusters.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <tuple>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/unread_input.h"
#include "data/passes/rows_read.h"
#include "data/passes/similar_rows.h"
#include "data/rows/row_key.h"
#include "parallel/agree.h"
#include "parallel/packed.h"

namespace fettle::data {
namespace {

/// A band's hash, which no other band shares but by chance, and the row.
uint64_t band_of_row(uint32_t hash, uint32_t row) {
  return uint64_t{hash} << 32 | row;
}

enum class Sent : uint8_t { key, band, value };

}  // namespace

bool KeyOfRow::operator<(const KeyOfRow& other) const {
  return std::tuple(key.high, key.low, key.texts, row) < std::tuple(other.key.high, other.key.low, other.key.texts, other.row);
}

Clusters::Clusters(const PassFiles& files, const DedupeOptions& options)
    : options_(options), group_(*files.group), bands_(Bands::for_threshold(options.threshold)) {
  read(files);
  const bool any_score = parallel::any(group_, scored_ > 0);
  if (options.keep == DedupeOptions::Keep::best && !any_score && rows_ > 0)
    fail_usage("dedupe: no row has a number under '{}', by which the best should stay; name the field with the score", options.score_field);
  remembered_.close();
  shingles_.close();
  const MappedFile rows(remembered_.path());
  join_equal();
  if (options.near) join_similar(rows);
  gather_joined();
  choose(rows);
  check_mapped(rows);
}

uint32_t Clusters::kept(const Row& row) const {
  if (static_cast<size_t>(row.number) >= kept_.size()) fail_changed(*row.file, "it has more rows than before");
  return kept_[static_cast<size_t>(row.number)];
}

std::vector<bool> Clusters::leaders() const {
  std::vector<bool> leads(kept_.size(), false);
  for (size_t row = 0; row < kept_.size(); ++row) {
    if (kept_[row] != row) leads[kept_[row]] = true;
  }
  return leads;
}

void Clusters::read(const PassFiles& files) {
  RejectedRows ignored;  // the second reading reports them
  const auto inputs = InputTally().openable(files.inputs);
  ReadOptions read_options;
  read_options.states = files.states;
  if (!group_.is_alone()) read_options.whole_batch_bytes = common_batch_bytes(group_, read_options.batch_bytes);
  std::optional<RowReader> reader;
  if (!inputs.empty()) reader.emplace(inputs, ignored, read_options);
  Progress progress("dedupe, first reading", 0, "rows");
  for (;;) {
    std::vector<Batch> batches;
    agree_on_rows(group_, [&](RowsRead& read) {
      for (int rank = 0; rank < group_.size(); ++rank) {
        Batch batch;
        throw_if_interrupted();
        if (!reader || !reader->next(batch.rows)) break;
        if (!group_.is_alone()) read.add(batch.rows);
        batch.looks.resize(batch.rows.size());
        if (rank == group_.rank()) look_at(batch);
        batches.push_back(std::move(batch));
      }
    });
    if (batches.empty()) break;
    exchange(batches);
    for (const Batch& batch : batches) progress.advance(batch.rows.size());
  }
  if (files.states && reader) files.states->read_again();
}

void Clusters::look_at(Batch& batch) const {
  parallel_for(static_cast<int64_t>(batch.rows.size()), 16, [&](int64_t begin, int64_t end) {
    RowView view;
    Shingler shingler(options_.shingle_words);
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      try {
        view.open(batch.rows[i]);
        look(batch.rows[i], view, shingler, batch.looks[i]);
      } catch (const Error& error) {
        rethrow_unless_of_input(error);
      }
    }
  });
}

void Clusters::look(const Row& row, const RowView& view, Shingler& shingler, Look& look) const {
  const RowKey key = row_key(row, view);
  look.key = key.key;
  look.beside = key.beside;
  if (options_.keep == DedupeOptions::Keep::longest) {
    for (const auto& part : view.texts()) look.value += is_text(part) ? static_cast<double>(part.text.size()) : 0;
    look.value += static_cast<double>(key.in_turns.size());
  } else if (options_.keep == DedupeOptions::Keep::best) {
    look.has_score = score_of(view, look.value);
  }
  if (!options_.near || look.key.texts == 0) return;
  for (const auto& part : view.texts()) {
    if (is_text(part)) shingler.add(part.text);
  }
  if (!key.in_turns.empty()) shingler.add(key.in_turns);
  shingler.take(look.shingles);
  if (look.shingles.empty()) return;
  const auto signature = minhash(look.shingles, options_.seed);
  // Rows that differ in what stands beside their turns do not meet.
  const auto apart = static_cast<uint32_t>(key.beside ^ key.beside >> 32);
  for (int band = 0; band < bands_.bands; ++band) look.band_hashes.push_back(bands_.hash(signature, band) ^ apart);
}

/// False, and the lowest value, where the row has no number under the field.
bool Clusters::score_of(const RowView& view, double& value) const {
  const std::string score = view.field(options_.score_field);
  char* end = nullptr;
  value = std::strtod(score.c_str(), &end);
  const bool is_number = !score.empty() && *end == '\0' && !std::isnan(value);
  if (!is_number) value = -1e300;
  return is_number;
}

/// Numbers of broken rows are passed over by the reader; they stand for themselves.
void Clusters::remember(int64_t number, const Look& look) {
  if (number >= int64_t{1} << 32) fail_usage("dedupe: more than 2^32 rows at once");
  const Remembered nothing;
  for (; rows_ < number; ++rows_) remembered_.write(&nothing, sizeof nothing);
  scored_ += look.has_score;
  Remembered remembered{0, look.beside, look.value, static_cast<uint32_t>(look.shingles.size())};
  if (options_.near) {
    remembered.shingles_at = shingles_.size();
    shingles_.write(look.shingles.data(), look.shingles.size() * sizeof(uint32_t));
  }
  remembered_.write(&remembered, sizeof remembered);
  ++rows_;
}

/// Keys and bands to where they meet others, values to rank 0.
void Clusters::exchange(const std::vector<Batch>& batches) {
  std::vector<std::string> to(static_cast<size_t>(group_.size()));
  for (size_t rank = 0; rank < batches.size(); ++rank) {
    const Batch& batch = batches[rank];
    if (!batch.rows.empty()) owners_.emplace_back(static_cast<uint32_t>(batch.rows[0].number), static_cast<int>(rank));
    for (size_t i = 0; i < batch.rows.size(); ++i) {
      const auto number = static_cast<uint32_t>(batch.rows[i].number);
      remember(batch.rows[i].number, batch.looks[i]);
      if (group_.is_alone()) {
        keep(number, batch.looks[i]);
      } else if (static_cast<int>(rank) == group_.rank()) {
        send(number, batch.looks[i], to);
      }
    }
  }
  if (group_.is_alone()) return;
  for (const std::string& packed : group_.all_to_all(std::move(to))) {
    for (parallel::Unpacker from(packed); !from.at_end();) {
      const auto kind = from.get<Sent>();
      if (kind == Sent::key) {
        keys_.add(from.get<KeyOfRow>());
      } else if (kind == Sent::band) {
        bands_of_rows_.add(from.get<uint64_t>());
      } else {
        const auto row = from.get<uint32_t>();
        if (values_.size() <= row) values_.resize(row + 1);
        values_[row] = from.get<double>();
      }
    }
  }
}

void Clusters::keep(uint32_t number, const Look& look) {
  if (look.key.texts > 0) keys_.add({look.key, number});
  for (const uint32_t hash : look.band_hashes) bands_of_rows_.add(band_of_row(hash, number));
}

void Clusters::send(uint32_t number, const Look& look, std::vector<std::string>& to) const {
  const auto ranks = static_cast<uint64_t>(group_.size());
  const auto put = [&](uint64_t rank, Sent kind, const auto&... values) {
    parallel::Packer packer;
    packer.put(kind);
    (packer.put(values), ...);
    to[rank] += packer.bytes();
  };
  if (look.key.texts > 0) put(look.key.low % ranks, Sent::key, KeyOfRow{look.key, number});
  for (const uint32_t hash : look.band_hashes) put(hash % ranks, Sent::band, band_of_row(hash, number));
  if (options_.keep != DedupeOptions::Keep::first) put(0, Sent::value, number, look.value);
}

void Clusters::join_equal() {
  found_.grow(static_cast<size_t>(rows_));
  same_as_.resize(static_cast<size_t>(rows_));
  std::iota(same_as_.begin(), same_as_.end(), uint32_t{0});
  parallel::Packer pairs;
  const auto join = [&](uint32_t first, uint32_t next) {
    found_.join(first, next);
    same_as_[next] = first;
  };
  KeyOfRow first, next;
  for (bool any = false; keys_.next(next); any = true) {
    if (!any || !(next.key == first.key)) {
      first = next;
    } else if (group_.is_alone()) {
      join(first.row, next.row);
    } else {
      pairs.put(first.row);
      pairs.put(next.row);
    }
  }
  if (group_.is_alone()) return;
  for (const std::string& packed : group_.all_gather(pairs.bytes())) {
    for (parallel::Unpacker from(packed); !from.at_end();) {
      const auto one = from.get<uint32_t>(), other = from.get<uint32_t>();
      join(one, other);
    }
  }
}

void Clusters::join_similar(const MappedFile& rows) {
  const MappedFile shingles(shingles_.path());
  SimilarRows similar(group_, options_.threshold, owners_, rows, shingles, found_);
  std::vector<uint32_t> bucket;
  uint32_t hash = 0;
  bool more = true;
  const auto collect = [&] {
    throw_if_interrupted();
    for (uint64_t next = 0; !similar.is_full() && (more = bands_of_rows_.next(next));) {
      if (next >> 32 != hash) {
        similar.add(bucket);
        bucket.clear();
        hash = static_cast<uint32_t>(next >> 32);
      }
      const auto row = static_cast<uint32_t>(next);
      const bool stands_for_equals = same_as_[row] == row;
      if (stands_for_equals) bucket.push_back(row);
    }
    if (!more) {
      similar.add(bucket);
      bucket.clear();
    }
  };
  do {
    parallel::together_do(group_, collect);
    similar.join();
  } while (parallel::any(group_, more));
  capped_ = similar.capped();
  check_mapped(shingles);
}

/// What ranks found goes to rank 0.
void Clusters::gather_joined() {
  if (group_.is_alone()) return;
  parallel::Packer pairs;
  pairs.put(capped_);
  if (!group_.leads()) {
    for (uint32_t row = 0; row < static_cast<uint32_t>(rows_); ++row) {
      const uint32_t root = found_.root(row);
      if (root == row || root == same_as_[row]) continue;
      pairs.put(row);
      pairs.put(root);
    }
  }
  const auto all = group_.gather(pairs.bytes(), 0);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    parallel::Unpacker from(all[rank]);
    capped_ += from.get<int64_t>();
    while (!from.at_end()) {
      const auto row = from.get<uint32_t>(), root = from.get<uint32_t>();
      found_.join(row, root);
    }
  }
}

void Clusters::choose(const MappedFile& rows) {
  const auto count = static_cast<uint32_t>(rows_);
  kept_.resize(count);
  std::iota(kept_.begin(), kept_.end(), uint32_t{0});
  if (options_.keep != DedupeOptions::Keep::first) prefer_higher_values(rows);
  for (uint32_t row = 0; row < count; ++row) {
    const uint32_t root = found_.root(row);
    if (root != row) kept_[row] = kept_[root];
  }
}

/// The root's place holds the best of its cluster.
void Clusters::prefer_higher_values(const MappedFile& rows) {
  const auto* remembered = reinterpret_cast<const Remembered*>(rows.bytes().data());
  values_.resize(group_.is_alone() ? 0 : static_cast<size_t>(rows_));
  const auto value = [&](uint32_t row) { return group_.is_alone() ? remembered[row].value : values_[row]; };
  for (uint32_t row = 0; row < static_cast<uint32_t>(rows_); ++row) {
    auto& leader = kept_[found_.root(row)];
    if (value(row) > value(leader)) leader = row;
  }
}

}  // namespace fettle::data
