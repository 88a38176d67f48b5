#include "train/ranks.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/ordered_json.h"
#include "parallel/agree.h"
#include "parallel/packed.h"
#include "train/plan.h"

namespace fettle::train {
namespace {

struct RankPlan {
  int64_t micro_tokens;
  bool recompute;
  Product product;
};

/// What keys of two fingerprints differ, one a line.
std::string differences(const OrderedJson& here, const OrderedJson& there) {
  std::string text;
  for (const auto& [key, value] : here.items()) {
    if (there.contains(key) && there[key] == value) continue;
    text += fmt::format("{}{} ({} on rank 0, {} there)", text.empty() ? "" : "; ", key, value.dump(), there.contains(key) ? there[key].dump() : "nothing");
  }
  return text;
}

/// A contiguous tensor where a group may read and write it: itself, or a copy of a device's.
class OnHost {
 public:
  OnHost(const Tensor& tensor, Backend& backend) : tensor_(tensor) {
    if (backend.memory().is_host()) return;
    copy_.resize(static_cast<size_t>(tensor.bytes()));
    backend.copy_to_host(copy_.data(), tensor);
  }
  void* data() { return copy_.empty() ? tensor_.data : copy_.data(); }
  int64_t bytes() const { return tensor_.bytes(); }
  /// Back to where it came from.
  void store(Backend& backend) {
    if (!copy_.empty()) backend.copy_from_host(tensor_, copy_.data());
  }

 private:
  Tensor tensor_;
  std::vector<std::byte> copy_;
};

}  // namespace

void check_same_run(parallel::ProcessGroup& group, const OrderedJson& fingerprint) {
  if (group.is_alone()) return;
  const auto all = group.all_gather(fingerprint.dump());
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw parallel::AgreedError(
        Error::Kind::input, fmt::format("{} would train something else than rank 0: {}; all ranks need the same config, model and data",
                                        group.name(static_cast<int>(rank)),
                                        differences(parse_ordered_json(all[0], "rank 0"), parse_ordered_json(all[rank], "the rank"))));
  }
}

std::optional<RunPosition> share_position(parallel::ProcessGroup& group, const std::optional<RunPosition>& position) {
  if (group.is_alone()) return position;
  OrderedJson json;
  if (position) {
    json = {{"step", position->step}, {"fingerprint", position->fingerprint}, {"arithmetic", position->arithmetic}, {"best_step", position->best_step}};
    if (position->best) json["best"] = *position->best;
  }
  const OrderedJson shared = parse_ordered_json(parallel::from_leader(group, json.dump()), "the state's position");
  if (shared.is_null()) return std::nullopt;
  RunPosition made{.step = shared["step"].get<int64_t>(),
                   .fingerprint = shared["fingerprint"],
                   .arithmetic = shared["arithmetic"],
                   .best_step = shared["best_step"].get<int64_t>()};
  if (shared.contains("best")) made.best = shared["best"].get<double>();
  return made;
}

void agree_on_plan(parallel::ProcessGroup& group, TrainPlan& plan) {
  if (group.is_alone()) return;
  parallel::Packer mine;
  mine.put(RankPlan{plan.micro_tokens, plan.recompute == Recompute::block, plan.product});
  mine.put_text(plan.backend);
  mine.put_text(plan.shortage);
  const auto all = group.all_gather(mine.bytes());
  plan.shortage.clear();
  for (size_t rank = 0; rank < all.size(); ++rank) {
    parallel::Unpacker from(all[rank]);
    const auto other = from.get<RankPlan>();
    const std::string backend = from.get_text(), shortage = from.get_text();
    const std::string name = group.name(static_cast<int>(rank));
    if (other.product != plan.product || backend != plan.backend)
      throw parallel::AgreedError(Error::Kind::input, fmt::format("{} computes with {} in {}, and {} with {} in {}: machines of one kind are needed, or "
                                                                  "`dtype: f32` on all",
                                                                  name, backend, other.product == Product::bf16 ? "bf16" : "f32", group.name(group.rank()),
                                                                  plan.backend, plan.product == Product::bf16 ? "bf16" : "f32"));
    plan.micro_tokens = std::min(plan.micro_tokens, other.micro_tokens);
    if (other.recompute) plan.recompute = Recompute::block;
    if (plan.shortage.empty() && !shortage.empty()) plan.shortage = rank == 0 ? shortage : name + ": " + shortage;
  }
}

int64_t tokens_of_a_rank(const parallel::ProcessGroup& group, int64_t most_of_a_step, int64_t tokens_per_epoch, int64_t steps_per_epoch) {
  if (group.is_alone()) return most_of_a_step;
  const int64_t mean = tokens_per_epoch / std::max<int64_t>(1, steps_per_epoch), ranks = group.size();
  const int64_t share = (std::max<int64_t>(1, std::min(most_of_a_step, mean)) + ranks - 1) / ranks;
  const int64_t batches = (share + fast_tokens - 1) / fast_tokens;
  return (share + batches - 1) / batches + share / batches / 16;  // packing leaves gaps
}

void share_state(parallel::ProcessGroup& group, const std::vector<NamedTensor>& tensors, Backend& backend) {
  if (group.is_alone()) return;
  std::vector<OnHost> copies;
  for (const NamedTensor& tensor : tensors) copies.emplace_back(tensor.value, backend);
  std::vector<parallel::FlatBuffer> buffers;
  for (OnHost& copy : copies) buffers.push_back({copy.data(), copy.bytes(), parallel::Element::u8});
  group.broadcast(buffers, 0);
  for (OnHost& copy : copies) copy.store(backend);
}

void sum_gradients(parallel::ProcessGroup& group, const Tensor& gradients, Backend& backend) {
  if (group.is_alone()) return;
  OnHost copy(gradients, backend);
  const parallel::FlatBuffer buffer{copy.data(), gradients.size(), parallel::Element::f32};
  group.all_reduce({&buffer, 1});
  copy.store(backend);
}

void check_same_state(parallel::ProcessGroup& group, const std::vector<NamedTensor>& tensors, int64_t step, Backend& backend) {
  if (group.is_alone()) return;
  uint64_t hash = 0;
  for (const NamedTensor& tensor : tensors) {
    OnHost copy(tensor.value, backend);
    hash = hash64({static_cast<const char*>(copy.data()), static_cast<size_t>(copy.bytes())}, hash);
  }
  const auto all = group.all_gather({reinterpret_cast<const char*>(&hash), sizeof hash});
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw parallel::AgreedError(Error::Kind::io, fmt::format("step {}: {} holds other weights than rank 0; are the machines of one kind, with sound memory? The "
                                                             "last saved state is unharmed",
                                                             step, group.name(static_cast<int>(rank))));
  }
}

}  // namespace fettle::train
