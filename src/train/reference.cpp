#include "train/reference.h"

#include <memory>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/training/packing.h"
#include "parallel/agree.h"
#include "parallel/packed.h"
#include "train/sums_file.h"

namespace fettle::train {
namespace {

constexpr int64_t kGroup = 256;  ///< rows of which the sums are kept at once

std::string cache_key(const TrainModel& model, const TrainRows& rows, const std::vector<Pairing>& pairings) {
  Hasher hasher;
  hasher.add("reference sums 2").add(model.hash).add(rows.hash).add(model.backend->name());
  const auto product = static_cast<uint8_t>(model.product);
  hasher.add_raw(&product, sizeof product);
  if (model.activations != DType::f32) hasher.add(dtype_name(model.activations));
  // A fresh adapter changes nothing (its B is zero), a given one is part of model.hash.
  hasher.add_raw(pairings.data(), pairings.size() * sizeof(Pairing));
  return hasher.hex();
}

std::string bytes_of_values(std::span<const double> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

void append_values(std::vector<double>& values, std::string_view bytes) {
  for (parallel::Unpacker from(bytes); !from.at_end();) values.push_back(from.get<double>());
}

/// What is scored at once: of rows or of pairings, never of both.
struct Group {
  int64_t begin, end;
};

/// The next groups behind `done`, one for each rank as far as there are any.
std::vector<Group> next_groups(int64_t done, int64_t rows, int64_t total, int ranks) {
  std::vector<Group> groups;
  while (done < total && static_cast<int>(groups.size()) < ranks) {
    groups.push_back({done, std::min(done + kGroup, done < rows ? rows : total)});
    done = groups.back().end;
  }
  return groups;
}

/// Two sums per row, or one per pairing.
std::vector<double> score_group(LossEngine& engine, const TrainRows& rows, const std::vector<Pairing>& pairings, const Group& group,
                                ReferenceSums& sums) {
  const int64_t row_count = rows.size();
  if (group.begin >= row_count)
    return engine.score_pairings(rows, std::span(pairings).subspan(static_cast<size_t>(group.begin - row_count),
                                                                   static_cast<size_t>(group.end - group.begin)));
  std::vector<int64_t> indices(static_cast<size_t>(group.end - group.begin));
  std::iota(indices.begin(), indices.end(), group.begin);
  engine.score_rows(rows, indices, sums);
  std::vector<double> values;
  for (const int64_t row : indices) {
    values.push_back(sums.chosen[static_cast<size_t>(row)]);
    values.push_back(sums.rejected[static_cast<size_t>(row)]);
  }
  return values;
}

}  // namespace

std::vector<Pairing> mismatched_pairs(const TrainConfig& config, int64_t rows, int64_t steps) {
  std::vector<Pairing> result;
  std::unordered_set<uint64_t> seen;
  data::EpochOrder order(rows, config.seed, config.shuffle, {});
  for (int64_t step = 0; step < steps; ++step)
    for (const Pairing& pairing :
         rotated(order.batch(step, config.batch_size).rows))
      if (seen.insert(pair_key(pairing)).second) result.push_back(pairing);
  return result;
}

ReferenceSums reference_sums(const TrainModel& model, LossEngine& engine, const TrainRows& rows,
                             const std::vector<Pairing>& pairings, const std::function<bool()>& should_stop,
                             bool progress, parallel::ProcessGroup& ranks) {
  const int64_t row_count = rows.size(), total = row_count + static_cast<int64_t>(pairings.size());
  const std::string key = cache_key(model, rows, pairings);
  std::optional<SumsFile> file;
  std::vector<double> values;  // two sums per row, then one per pairing
  const std::vector<std::string> held = parallel::together(ranks, [&] {
    if (ranks.leads()) file.emplace(cache_folder() / "reference" / (key + ".sums"), key);
    return file ? bytes_of_values(file->stored()) : std::string();
  });
  append_values(values, held[0]);
  const auto stored = static_cast<int64_t>(values.size());
  int64_t done = stored <= 2 * row_count ? stored / 2 : stored - row_count;
  if (done > total) {
    if (file) file->clear();
    values.clear();
    done = 0;
  }
  ReferenceSums sums;
  sums.chosen.resize(static_cast<size_t>(row_count));
  sums.rejected.resize(static_cast<size_t>(row_count));
  std::unique_ptr<Progress> bar;
  if (progress && done < total)
    bar = std::make_unique<Progress>("reference", static_cast<uint64_t>(total - done), "rows");
  while (done < total) {
    if (parallel::any(ranks, should_stop()))
      throw parallel::AgreedError(Error::Kind::interrupted,
                                  "stopped while computing reference log-probabilities; what is done is kept");
    const std::vector<Group> groups = next_groups(done, row_count, total, ranks.size());
    const size_t before = values.size(), mine = static_cast<size_t>(ranks.rank());
    for (const std::string& scored : parallel::together(ranks, [&] {
           return mine < groups.size() ? bytes_of_values(score_group(engine, rows, pairings, groups[mine], sums)) : std::string();
         }))
      append_values(values, scored);
    if (file) file->append(std::span(values).subspan(before));
    if (bar) bar->advance(static_cast<uint64_t>(groups.back().end - done));
    done = groups.back().end;
  }
  for (size_t row = 0; row < static_cast<size_t>(row_count); ++row) {
    sums.chosen[row] = values[2 * row];
    sums.rejected[row] = values[2 * row + 1];
  }
  for (size_t i = 0; i < pairings.size(); ++i)
    sums.mismatched[pair_key(pairings[i])] = values[static_cast<size_t>(2 * row_count) + i];
  return sums;
}

}  // namespace fettle::train
