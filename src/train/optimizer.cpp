#include "train/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace fettle::train {
namespace {

constexpr int64_t kAlign = 64;
constexpr int64_t kBlock = 256;  ///< elements per scale of the 8-bit states, see Backend::adamw_8bit
constexpr int64_t kWidened = kBlock << 12;  ///< elements of a bf16 parameter that are updated at a time

int64_t aligned(int64_t bytes) {
  return (bytes + kAlign - 1) / kAlign * kAlign;
}
int64_t scales(int64_t elements) {
  return (elements + kBlock - 1) / kBlock;
}

/// Bytes of the state tensors of a parameter with `n` elements, in the order of Slot's members.
std::array<int64_t, 4> slot_bytes(const OptimizerSettings& settings, int64_t n) {
  const int64_t floats = n * static_cast<int64_t>(sizeof(float));
  if (settings.name == "adamw") return {floats, floats, 0, 0};
  if (settings.name == "adamw8bit") {
    const int64_t scale_bytes = scales(n) * static_cast<int64_t>(sizeof(float));
    return {n, n, scale_bytes, scale_bytes};
  }
  const int64_t momentum = settings.momentum > 0.0 ? floats : 0;
  if (settings.name == "rmsprop") return {floats, momentum, 0, 0};
  return {momentum, 0, 0, 0};
}

template <typename Visit>
void each_trainable(const Parameters& parameters, Visit visit) {
  for (const auto& parameter : parameters.all())
    if (parameter->trainable) visit(*parameter);
}

/// All elements of a contiguous tensor as one row.
Tensor flat(const Tensor& x) {
  return {x.data, x.dtype, 1, x.size()};
}

/// transformers leaves norms and biases out of weight decay; they are the parameters of one row.
bool is_matrix(const Parameter& parameter) {
  return parameter.value.rows > 1;
}

}  // namespace

void validate(const OptimizerSettings& settings) {
  const std::vector<std::string> names{"adamw", "adamw8bit", "rmsprop", "sgd"};
  if (std::find(names.begin(), names.end(), settings.name) == names.end()) {
    const std::string near = nearest_name(settings.name, names);
    fail_usage("optimizer.name: no optimizer is called '{}'{}; optimizers are {}", settings.name,
               near.empty() ? "" : fmt::format("; did you mean '{}'?", near), fmt::join(names, ", "));
  }
  const auto share = [](double value) { return value >= 0.0 && value < 1.0; };
  if (!share(settings.beta1) || !share(settings.beta2))
    fail_usage("optimizer.betas: expected two numbers from 0 to below 1, got {} and {}", settings.beta1,
               settings.beta2);
  if (!(settings.eps > 0.0)) fail_usage("optimizer.eps: expected a number above 0, got {}", settings.eps);
  if (!(settings.weight_decay >= 0.0))
    fail_usage("optimizer.weight_decay: expected 0 or more, got {}", settings.weight_decay);
  if (!share(settings.alpha))
    fail_usage("optimizer.alpha: expected a number from 0 to below 1, got {}", settings.alpha);
  if (!share(settings.momentum))
    fail_usage("optimizer.momentum: expected a number from 0 to below 1, got {}", settings.momentum);
}

int64_t Optimizer::gradient_bytes(const Parameters& parameters) {
  int64_t bytes = 0;
  each_trainable(parameters, [&](const Parameter& p) {
    bytes += aligned(p.value.size() * static_cast<int64_t>(sizeof(float)));
  });
  return bytes;
}

int64_t Optimizer::state_bytes(const OptimizerSettings& settings, const Parameters& parameters) {
  int64_t bytes = 0;
  each_trainable(parameters, [&](const Parameter& p) {
    for (const int64_t part : slot_bytes(settings, p.value.size())) bytes += aligned(part);
  });
  return bytes;
}

Optimizer::Optimizer(const OptimizerSettings& settings, Parameters& parameters, Backend& backend, uint64_t seed)
    : settings_(settings),
      backend_(backend),
      gradients_(gradient_bytes(parameters) + kAlign, backend.memory()),
      memory_(state_bytes(settings, parameters) + kAlign, backend.memory()),
      seed_(seed) {
  auto* gradient = static_cast<std::byte*>(gradients_.data());
  auto* state = static_cast<std::byte*>(memory_.data());
  const DType code = settings.name == "adamw8bit" ? DType::u8 : DType::f32;
  bool rounded = false;
  for (auto& owned : parameters.all()) {
    if (!owned->trainable) continue;
    Parameter& parameter = *owned;
    const Tensor& value = parameter.value;
    const int64_t n = value.size();
    FETTLE_CHECK((value.dtype == DType::f32 || value.dtype == DType::bf16) && value.contiguous());
    rounded = rounded || value.dtype == DType::bf16;
    parameter.grad = Tensor(gradient, DType::f32, value.rows, value.cols);
    gradient += aligned(n * static_cast<int64_t>(sizeof(float)));

    Slot slot{.value = flat(value), .grad = flat(parameter.grad), .decay = settings.decay_all || is_matrix(parameter)};
    const auto bytes = slot_bytes(settings, n);
    const auto take = [&](Tensor& tensor, DType dtype, int64_t elements, int64_t size) {
      if (size == 0) return;
      tensor = Tensor(state, dtype, 1, elements);
      state += aligned(size);
    };
    take(slot.first, code, n, bytes[0]);
    take(slot.second, code, n, bytes[1]);
    take(slot.first_scale, DType::f32, scales(n), bytes[2]);
    take(slot.second_scale, DType::f32, scales(n), bytes[3]);
    slots_.push_back({&parameter, slot});
  }
  const int64_t elements =
      (gradient - static_cast<std::byte*>(gradients_.data())) / static_cast<int64_t>(sizeof(float));
  all_gradients_ = Tensor(gradients_.data(), DType::f32, 1, elements);
  norm_ = Tensor(gradient, DType::f32, 1, 1);
  if (!rounded) return;
  scratch_ = Buffer(row_bytes(DType::f32, kWidened), backend.memory());
  widened_ = Tensor(scratch_.data(), DType::f32, 1, kWidened);
}

void Optimizer::zero_gradients() {
  backend_.fill(all_gradients_, 0.0F);
}

double Optimizer::gradient_norm() {
  backend_.fill(norm_, 0.0F);
  backend_.sum_squares(norm_, all_gradients_);
  float sum = 0.0F;
  backend_.copy_to_host(&sum, norm_);
  return std::sqrt(static_cast<double>(sum));
}

void Optimizer::update(int64_t step, double learning_rate, double grad_scale) {
  const auto rate = static_cast<float>(learning_rate), scale = static_cast<float>(grad_scale);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i].slot;
    if (slot.value.dtype == DType::f32) {
      update(slot, step, rate, scale);
    } else {
      update_rounded(slot, i, step, rate, scale);
    }
  }
}

void Optimizer::update(const Slot& slot, int64_t step, float rate, float scale) {
  const auto momentum = static_cast<float>(settings_.momentum), eps = static_cast<float>(settings_.eps);
  const float decay = slot.decay ? static_cast<float>(settings_.weight_decay) : 0.0F;
  const AdamW adam{rate, static_cast<float>(settings_.beta1), static_cast<float>(settings_.beta2), eps, decay, scale, step};
  if (settings_.name == "adamw") {
    backend_.adamw(slot.value, slot.grad, slot.first, slot.second, adam);
  } else if (settings_.name == "adamw8bit") {
    backend_.adamw_8bit(slot.value, slot.grad, slot.first, slot.second, slot.first_scale, slot.second_scale, adam);
  } else if (settings_.name == "rmsprop") {
    backend_.rmsprop(slot.value, slot.grad, slot.first, slot.second,
                     {rate, static_cast<float>(settings_.alpha), eps, decay, momentum, scale});
  } else {
    backend_.sgd(slot.value, slot.grad, slot.first, {rate, momentum, decay, scale});
  }
}

/// A part at a time goes through f32 and is rounded back at random.
void Optimizer::update_rounded(const Slot& slot, uint64_t stream, int64_t step, float rate, float scale) {
  const int64_t n = slot.value.cols;
  for (int64_t begin = 0; begin < n; begin += kWidened) {
    const int64_t end = std::min(n, begin + kWidened);
    const auto part = [&](const Tensor& all) { return all.absent() ? all : all.col_slice(begin, end); };
    const auto scales_of_part = [&](const Tensor& all) {
      return all.absent() ? all : all.col_slice(begin / kBlock, scales(end));
    };
    Slot widened{.value = widened_.col_slice(0, end - begin),
                 .grad = part(slot.grad),
                 .decay = slot.decay,
                 .first = part(slot.first),
                 .second = part(slot.second),
                 .first_scale = scales_of_part(slot.first_scale),
                 .second_scale = scales_of_part(slot.second_scale)};
    backend_.copy(widened.value, part(slot.value));
    update(widened, step, rate, scale);
    const auto part_index = static_cast<uint64_t>(begin / kWidened);
    backend_.round_stochastically(part(slot.value), widened.value, seed_,
                                  (static_cast<uint64_t>(step) << 40) + (stream << 20) + part_index);
  }
}

std::vector<Optimizer::State> Optimizer::states() const {
  std::vector<State> result;
  for (const auto& [parameter, slot] : slots_) {
    const std::string& name = parameter->name;
    const auto add = [&](const char* state, const Tensor& tensor, const Tensor& shape) {
      if (!tensor.absent()) result.push_back({name + "." + state, {tensor.data, tensor.dtype, shape.rows, shape.cols}});
    };
    // Floats are saved in the shape of their parameter.
    const Tensor& moments = slot.first.dtype == DType::f32 ? parameter->value : slot.first;
    add("first", slot.first, moments);
    add("second", slot.second, moments);
    add("first_scale", slot.first_scale, slot.first_scale);
    add("second_scale", slot.second_scale, slot.second_scale);
  }
  return result;
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace fettle::train
