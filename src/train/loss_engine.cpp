#include "train/loss_engine.h"

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "parallel/agree.h"
#include "parallel/packed.h"
#include "train/batch_dealer.h"

namespace fettle::train {
namespace {

double run_sum(const MicroBatch::Run& run, std::span<const float> logp) {
  double total = 0.0;
  for (const float value : run.of(logp)) total += value;
  return total;
}

std::string row_ids(const TrainRows& rows, const MicroBatch& micro) {
  std::string ids;
  for (const MicroBatch::Item& item : micro.items) {
    if (!ids.empty()) ids += ", ";
    ids += rows.row(item.row).id;
  }
  return ids;
}

}  // namespace

uint64_t pair_key(const Pairing& pairing) {
  return (static_cast<uint64_t>(pairing.prompt_row) << 32) | static_cast<uint64_t>(pairing.answer_row);
}

/// What is added up over the rows of a pass.
struct LossEngine::Tally {
  PassResult result;
  double kl = 0.0;
  int64_t rows = 0, desirable = 0, right = 0;
  StepMetrics::Preference sums;

  void add(const TrainRow& row, const RowLoss& loss, double logp_chosen, double logp_rejected, RowKind kind,
           double beta) {
    result.loss += loss.loss;
    ++rows;
    sums.reward_chosen += loss.reward_chosen;
    sums.reward_rejected += loss.reward_rejected;
    if (kind == RowKind::pairs) {
      right += loss.reward_chosen > loss.reward_rejected ? 1 : 0;
      sums.logp_chosen += logp_chosen;
      sums.logp_rejected += logp_rejected;
    } else if (kind == RowKind::judged) {
      desirable += row.desirable ? 1 : 0;
      right += row.desirable ? loss.reward_chosen > beta * kl : loss.reward_rejected < beta * kl;
      (row.desirable ? sums.logp_chosen : sums.logp_rejected) += logp_chosen;
    }
  }

  /// What another rank added up.
  void add(const Tally& other) {
    result.loss += other.result.loss;
    result.tokens += other.result.tokens;
    result.supervised_tokens += other.result.supervised_tokens;
    if (other.result.router_loss) result.router_loss = result.router_loss.value_or(0.0) + *other.result.router_loss;
    rows += other.rows;
    desirable += other.desirable;
    right += other.right;
    sums.reward_chosen += other.sums.reward_chosen;
    sums.reward_rejected += other.sums.reward_rejected;
    sums.logp_chosen += other.sums.logp_chosen;
    sums.logp_rejected += other.sums.logp_rejected;
  }

  void finish(RowKind kind) {
    const auto mean = [](double sum, int64_t count) {
      return count > 0 ? sum / static_cast<double>(count) : std::nan("");
    };
    const bool judged = kind == RowKind::judged;
    if (!judged && kind != RowKind::pairs) return;
    const int64_t chosen = judged ? desirable : rows, rejected = judged ? rows - desirable : rows;
    StepMetrics::Preference& to = result.preference.emplace(StepMetrics::Preference{});
    to.reward_chosen = mean(sums.reward_chosen, chosen);
    to.reward_rejected = mean(sums.reward_rejected, rejected);
    to.reward_margin = to.reward_chosen - to.reward_rejected;
    to.reward_accuracy = mean(static_cast<double>(right), rows);
    to.logp_chosen = mean(sums.logp_chosen, chosen);
    to.logp_rejected = mean(sums.logp_rejected, rejected);
    if (judged) to.kl = kl;
    const double p = to.reward_accuracy;
    result.accuracy_error = rows > 1 ? std::sqrt(p * (1.0 - p) / static_cast<double>(rows - 1)) : 0.0;
  }
};

LossEngine::LossEngine(Decoder& decoder, const Method& method, const LossOptions& options, int64_t capacity,
               float router_weight, parallel::ProcessGroup& group)
    : decoder_(decoder), method_(method), options_(options), capacity_(capacity), router_weight_(router_weight), group_(group) {}

void LossEngine::losses(const TrainRows& rows, const MicroBatch& micro, const StepTotals& totals,
                    const ReferenceSums& reference, Tally& tally) {
  for (const MicroBatch::Item& item : micro.items) {
    const auto index = static_cast<size_t>(item.row);
    const TrainRow row = rows.row(item.row);
    weights_.clear();
    for (const float weight : row.weights)
      if (weight != 0.0F) weights_.push_back(weight);
    LossRow view{.chosen = item.chosen.of(std::span<const float>(logp_)),
                 .rejected = item.rejected.of(std::span<const float>(logp_)),
                 .prompt = item.prompt.of(std::span<const float>(logp_)),
                 .weights = weights_,
                 .desirable = row.desirable,
                 .weight = row.weight};
    if (method_.reference) {
      view.reference_chosen = reference.chosen[index];
      if (!view.rejected.empty()) view.reference_rejected = reference.rejected[index];
    }
    const std::span<float> gradient(dlogp_);
    const RowLoss loss =
        method_.loss(view, totals, options_,
                     {item.chosen.of(gradient), item.rejected.of(gradient), item.prompt.of(gradient)});
    tally.add(row, loss, run_sum(item.chosen, logp_), run_sum(item.rejected, logp_), method_.rows,
              options_.beta);
    tally.result.supervised_tokens += row.supervised();
  }
  tally.result.tokens += micro.batch.size();
}

bool LossEngine::by_ranks(Tally& tally, const std::function<bool()>& work) {
  if (group_.is_alone()) return work();
  const auto all = parallel::together(group_, [&] {
    parallel::Packer to;
    to.put(work());
    to.put(tally);
    return to.take();
  });
  bool whole = true;
  tally = Tally{.kl = tally.kl};
  for (const std::string& packed : all) {
    parallel::Unpacker from(packed);
    whole = from.get<bool>() && whole;
    tally.add(from.get<Tally>());
  }
  return whole;
}

double LossEngine::estimate_kl(const TrainRows& rows, std::span<const int64_t> indices,
                           const ReferenceSums& reference) {
  const std::vector<Pairing> pairings = rotated(indices);
  std::vector<double> policy(pairings.size());
  for (const std::string& packed : parallel::together(group_, [&] {
         const std::vector<double> mine = score_pairings(rows, pairings, group_);
         return std::string(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double));
       })) {
    parallel::Unpacker from(packed);
    for (double& sum : policy) sum += from.get<double>();
  }
  double total = 0.0;
  for (size_t i = 0; i < pairings.size(); ++i)
    total += policy[i] - reference.mismatched.at(pair_key(pairings[i]));
  return std::max(0.0, total / static_cast<double>(pairings.size()));
}

std::optional<PassResult> LossEngine::accumulate(const TrainRows& rows, std::span<const int64_t> indices,
                                             const ReferenceSums& reference, int64_t step,
                                             const std::function<bool()>& should_stop) {
  StepTotals totals = step_totals(rows, indices);
  Tally tally;
  if (method_.mismatched_kl) totals.kl = tally.kl = estimate_kl(rows, indices, reference);
  const bool routed = decoder_.config().expert_count() > 0;
  const double tokens = routed ? static_cast<double>(packed_tokens(rows, indices, capacity_)) : 1.0;
  BatchDealer dealer(group_);
  const auto learn = [&](const MicroBatch& micro) {
    if (should_stop()) return false;
    if (!dealer.is_mine(micro.batch.size())) return true;
    const double share = static_cast<double>(micro.batch.size()) / tokens;
    const auto router_weight = static_cast<float>(double{router_weight_} * share);
    logp_.assign(static_cast<size_t>(micro.labels()), 0.0F);
    dlogp_.assign(logp_.size(), 0.0F);
    const double before = tally.result.loss;
    if (method_.gradient_first) {
      // The gradient needs no log-probabilities, so that the head runs once: it is asked for with zeros, and
      // the loss afterwards.
      Tally unused;
      losses(rows, micro, totals, reference, unused);
      decoder_.forward(micro.batch, {});
      const std::vector<float> gradient = dlogp_;
      decoder_.backward(micro.batch, gradient, logp_, router_weight);
      losses(rows, micro, totals, reference, tally);
    } else {
      decoder_.forward(micro.batch, logp_);
      losses(rows, micro, totals, reference, tally);
      if (std::isfinite(tally.result.loss)) decoder_.backward(micro.batch, dlogp_, {}, router_weight);
    }
    if (routed) {
      tally.result.loss += double{router_weight} * decoder_.router_loss();
      tally.result.router_loss = tally.result.router_loss.value_or(0.0) + share * decoder_.router_loss();
    }
    if (!std::isfinite(tally.result.loss))
      fail(fmt::format("step {}", step),
           "the loss is {} (before these rows {}), rows {}; the last saved state is unharmed: lower the "
           "learning rate, or take these rows out",
           tally.result.loss, before, row_ids(rows, micro));
    return true;
  };
  const bool whole = by_ranks(tally, [&] { return pack_rows(rows, indices, capacity_, method_.prompt_labels, learn); });
  if (!whole) return std::nullopt;
  tally.finish(method_.rows);
  return tally.result;
}

PassResult LossEngine::evaluate(const TrainRows& rows, const ReferenceSums& reference) {
  std::vector<int64_t> indices(static_cast<size_t>(rows.size()));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  StepTotals totals = step_totals(rows, indices);
  Tally tally;
  if (method_.mismatched_kl) totals.kl = tally.kl = estimate_kl(rows, indices, reference);
  BatchDealer dealer(group_);
  const auto look = [&](const MicroBatch& micro) {
    if (!dealer.is_mine(micro.batch.size())) return true;
    logp_.assign(static_cast<size_t>(micro.labels()), 0.0F);
    dlogp_.assign(logp_.size(), 0.0F);
    decoder_.score(micro.batch, logp_);
    losses(rows, micro, totals, reference, tally);
    return true;
  };
  by_ranks(tally, [&] { return pack_rows(rows, indices, capacity_, method_.prompt_labels, look); });
  tally.finish(method_.rows);
  return tally.result;
}

void LossEngine::score_rows(const TrainRows& rows, std::span<const int64_t> indices, ReferenceSums& reference) {
  reference.chosen.resize(static_cast<size_t>(rows.size()));
  reference.rejected.resize(static_cast<size_t>(rows.size()));
  pack_rows(rows, indices, capacity_, false, [&](const MicroBatch& micro) {
    logp_.assign(static_cast<size_t>(micro.labels()), 0.0F);
    decoder_.score(micro.batch, logp_);
    for (const MicroBatch::Item& item : micro.items) {
      reference.chosen[static_cast<size_t>(item.row)] = run_sum(item.chosen, logp_);
      reference.rejected[static_cast<size_t>(item.row)] = run_sum(item.rejected, logp_);
    }
    return true;
  });
}

std::vector<double> LossEngine::score_pairings(const TrainRows& rows, std::span<const Pairing> pairings, parallel::ProcessGroup& group) {
  std::vector<double> sums(pairings.size());
  BatchDealer dealer(group);
  pack_pairings(rows, pairings, capacity_, [&](const MicroBatch& micro) {
    if (!dealer.is_mine(micro.batch.size())) return true;
    logp_.assign(static_cast<size_t>(micro.labels()), 0.0F);
    decoder_.score(micro.batch, logp_);
    for (const MicroBatch::Item& item : micro.items)
      sums[static_cast<size_t>(item.row)] = run_sum(item.chosen, logp_);
    return true;
  });
  return sums;
}

}  // namespace fettle::train
