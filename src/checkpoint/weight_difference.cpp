#include "checkpoint/weight_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/quant.h"

namespace fettle {
namespace {

/// Row `index` as f32; zeros beyond the tensor's end.
void read_row(const Tensor& tensor, int64_t index, std::vector<float>& row) {
  if (index >= tensor.rows) {
    std::fill(row.begin(), row.end(), 0.0F);
    return;
  }
  const auto* bytes =
      static_cast<const std::byte*>(tensor.data) + row_bytes(tensor.dtype, index * tensor.stride);
  dequantize_row(tensor.dtype, bytes, row.data(), tensor.cols);
}

bool is_per_token(const std::string& name) {
  return name == "embed.weight" || name == "head.weight";
}

/// The pair of tensors under every name, checked.
struct Matched {
  const Parameter* a;
  const Parameter* b;
  int64_t rows;
};
std::vector<Matched> match(const LoadedModel& a, const LoadedModel& b) {
  std::vector<Matched> matched;
  const std::string where = fmt::format("{} and {}", a.path.string(), b.path.string());
  if (a.config.rope.interleaved != b.config.rope.interleaved) {
    fail(where,
         "one holds its query and key rows in GGUF's order, the other in Hugging Face's; export one to the "
         "other's format first");
  }
  for (const auto& parameter : a.parameters.all()) {
    if (b.parameters.find(parameter->name) == nullptr)
      fail(where, "the second has no '{}': the architectures differ", parameter->name);
  }
  for (const auto& parameter : b.parameters.all()) {
    const Parameter* first = a.parameters.find(parameter->name);
    if (first == nullptr) fail(where, "the first has no '{}': the architectures differ", parameter->name);
    const Tensor &x = first->value, &y = parameter->value;
    if (x.cols != y.cols || (x.rows != y.rows && !is_per_token(parameter->name))) {
      fail(where, "'{}' is [{}, {}] in the first and [{}, {}] in the second", parameter->name, x.rows, x.cols,
           y.rows, y.cols);
    }
    matched.push_back({first, parameter.get(), std::max(x.rows, y.rows)});
  }
  return matched;
}

}  // namespace

std::vector<TensorDifference> compare_weights(const LoadedModel& a, const LoadedModel& b) {
  std::vector<TensorDifference> result;
  for (const auto& [first, second, rows] : match(a, b)) {
    TensorDifference difference;
    difference.name = second->name;
    difference.elements = rows * second->value.cols;
    double squares = 0, base = 0;
    std::vector<float> x(static_cast<size_t>(second->value.cols)), y(x.size());
    for (int64_t row = 0; row < rows; ++row) {
      read_row(first->value, row, x);
      read_row(second->value, row, y);
      for (size_t i = 0; i < x.size(); ++i) {
        const double d = static_cast<double>(y[i]) - x[i];
        difference.changed += d != 0.0;
        difference.largest = std::max(difference.largest, std::abs(d));
        squares += d * d;
        base += static_cast<double>(x[i]) * x[i];
      }
    }
    difference.norm = std::sqrt(squares);
    difference.relative = squares == 0 ? 0.0
                          : base == 0  ? std::numeric_limits<double>::infinity()
                                       : std::sqrt(squares / base);
    result.push_back(std::move(difference));
  }
  return result;
}

Parameters combine_weights(const LoadedModel& a, const LoadedModel& b, float sign) {
  Parameters result;
  for (const auto& [first, second, rows] : match(a, b)) {
    const int64_t cols = second->value.cols;
    auto buffer = std::make_shared<Buffer>(rows * cols * 4);
    const Tensor out(buffer->data(), DType::f32, rows, cols);
    std::vector<float> x(static_cast<size_t>(cols)), y(x.size());
    for (int64_t row = 0; row < rows; ++row) {
      read_row(first->value, row, x);
      read_row(second->value, row, y);
      float* target = out.row<float>(row);
      for (size_t i = 0; i < x.size(); ++i) target[i] = y[i] + sign * x[i];
    }
    result.add(second->name, out);
    result.keep_alive(buffer);
  }
  return result;
}

}  // namespace fettle
