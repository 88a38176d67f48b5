#include "train/reference.h"

#include <memory>
#include <numeric>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/training/packing.h"
#include "train/sums_file.h"

namespace fettle::train {
namespace {

constexpr int64_t kGroup = 256;  ///< rows of which the sums are kept at once

std::string cache_key(const TrainModel& model, const TrainRows& rows, const std::vector<Pairing>& pairings) {
  Hasher hasher;
  hasher.add("reference sums 2").add(model.hash).add(rows.hash).add(model.backend->name());
  const auto product = static_cast<uint8_t>(model.product);
  hasher.add_raw(&product, sizeof product);
  // A fresh adapter changes nothing (its B is zero), a given one is part of model.hash.
  hasher.add_raw(pairings.data(), pairings.size() * sizeof(Pairing));
  return hasher.hex();
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
                             bool progress) {
  const int64_t row_count = rows.size(), total = row_count + static_cast<int64_t>(pairings.size());
  const std::string key = cache_key(model, rows, pairings);
  SumsFile file(cache_folder() / "reference" / (key + ".sums"), key);
  // Two sums per row, then one per pairing.
  std::vector<double> values = file.stored();
  const auto stored = static_cast<int64_t>(values.size());
  int64_t done = stored <= 2 * row_count ? stored / 2 : stored - row_count;
  if (done > total) {
    file.clear();
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
    if (should_stop())
      throw Error(Error::Kind::interrupted,
                  "stopped while computing reference log-probabilities; what is done is kept");
    const bool in_rows = done < row_count;
    const size_t before = values.size();
    const int64_t end = std::min(done + kGroup, in_rows ? row_count : total);
    if (in_rows) {
      std::vector<int64_t> group(static_cast<size_t>(end - done));
      std::iota(group.begin(), group.end(), done);
      engine.score_rows(rows, group, sums);
      for (const int64_t row : group) {
        values.push_back(sums.chosen[static_cast<size_t>(row)]);
        values.push_back(sums.rejected[static_cast<size_t>(row)]);
      }
    } else {
      const auto group =
          std::span(pairings).subspan(static_cast<size_t>(done - row_count), static_cast<size_t>(end - done));
      const std::vector<double> scored = engine.score_pairings(rows, group);
      values.insert(values.end(), scored.begin(), scored.end());
    }
    file.append(std::span(values).subspan(before));
    if (bar) bar->advance(static_cast<uint64_t>(end - done));
    done = end;
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
