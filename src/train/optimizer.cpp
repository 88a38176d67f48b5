#include "train/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace fettle::train {
namespace {

constexpr int64_t kAlign = 64;
constexpr int64_t kBlock = 256;  ///< elements per scale of the 8-bit states, see Backend::adamw_8bit

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

Optimizer::Optimizer(const OptimizerSettings& settings, Parameters& parameters, Backend& backend)
    : settings_(settings),
      backend_(backend),
      gradients_(gradient_bytes(parameters) + kAlign, backend.memory()),
      memory_(state_bytes(settings, parameters) + kAlign, backend.memory()) {
  auto* gradient = static_cast<std::byte*>(gradients_.data());
  auto* state = static_cast<std::byte*>(memory_.data());
  const DType code = settings.name == "adamw8bit" ? DType::u8 : DType::f32;
  for (auto& owned : parameters.all()) {
    if (!owned->trainable) continue;
    Parameter& parameter = *owned;
    const int64_t rows = parameter.value.rows, cols = parameter.value.cols, n = rows * cols;
    FETTLE_CHECK(parameter.value.dtype == DType::f32 && parameter.value.contiguous());
    parameter.grad = Tensor(gradient, DType::f32, rows, cols);
    gradient += aligned(n * static_cast<int64_t>(sizeof(float)));

    Slot slot{.parameter = &parameter, .decay = settings.decay_all || is_matrix(parameter)};
    const auto bytes = slot_bytes(settings, n);
    const auto take = [&](Tensor& tensor, DType dtype, int64_t tensor_rows, int64_t tensor_cols,
                          int64_t size) {
      if (size == 0) return;
      tensor = Tensor(state, dtype, tensor_rows, tensor_cols);
      state += aligned(size);
    };
    const bool blocks = code == DType::u8;
    take(slot.first, code, blocks ? 1 : rows, blocks ? n : cols, bytes[0]);
    take(slot.second, code, blocks ? 1 : rows, blocks ? n : cols, bytes[1]);
    take(slot.first_scale, DType::f32, 1, scales(n), bytes[2]);
    take(slot.second_scale, DType::f32, 1, scales(n), bytes[3]);
    slots_.push_back(slot);
  }
  const int64_t elements =
      (gradient - static_cast<std::byte*>(gradients_.data())) / static_cast<int64_t>(sizeof(float));
  all_gradients_ = Tensor(gradients_.data(), DType::f32, 1, elements);
  norm_ = Tensor(gradient, DType::f32, 1, 1);
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
  const auto momentum = static_cast<float>(settings_.momentum), eps = static_cast<float>(settings_.eps);
  for (const Slot& slot : slots_) {
    const Tensor &value = slot.parameter->value, &grad = slot.parameter->grad;
    const float decay = slot.decay ? static_cast<float>(settings_.weight_decay) : 0.0F;
    const AdamW adam{
        rate, static_cast<float>(settings_.beta1), static_cast<float>(settings_.beta2), eps, decay, scale,
        step};
    if (settings_.name == "adamw") {
      backend_.adamw(value, grad, slot.first, slot.second, adam);
    } else if (settings_.name == "adamw8bit") {
      backend_.adamw_8bit(value, grad, slot.first, slot.second, slot.first_scale, slot.second_scale, adam);
    } else if (settings_.name == "rmsprop") {
      const RmsProp o{rate, static_cast<float>(settings_.alpha), eps, decay, momentum, scale};
      backend_.rmsprop(value, grad, slot.first, slot.second, o);
    } else {
      backend_.sgd(value, grad, slot.first, Sgd{rate, momentum, decay, scale});
    }
  }
}

std::vector<Optimizer::State> Optimizer::states() const {
  std::vector<State> result;
  for (const Slot& slot : slots_) {
    const auto add = [&](const char* name, const Tensor& tensor) {
      if (!tensor.empty()) result.push_back({slot.parameter->name + "." + name, tensor});
    };
    add("first", slot.first);
    add("second", slot.second);
    add("first_scale", slot.first_scale);
    add("second_scale", slot.second_scale);
  }
  return result;
}

double clip_factor(double norm, double max_norm) {
  return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace fettle::train
