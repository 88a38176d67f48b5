#include "checkpoint/weight_difference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/quant.h"
#include "model/families/families.h"
#include "model/mapped_parameters.h"

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

/// For every row of a tensor (element of a vector) the row that it is in a Hugging Face folder.
using RowOrder = std::vector<int64_t>;
std::map<std::string, RowOrder> published_rows(const ModelConfig& config) {
  std::map<std::string, RowOrder> result;
  for (const WeightEntry& entry : hf_weights(config).entries) {
    for (const WeightPart& part : entry.parts) {
      RowOrder& rows = result[part.name];
      for (const RowRun& run : part.runs) {
        for (int64_t i = 0; i < run.count; ++i) rows.push_back(run.begin + i * run.step);
      }
    }
  }
  return result;
}

/// For every row of b the row of a that means the same: a GGUF has those of queries and keys in another order.
RowOrder row_order(const RowOrder& a, const RowOrder& b) {
  std::map<int64_t, int64_t> found;
  for (size_t i = 0; i < a.size(); ++i) found[a[i]] = static_cast<int64_t>(i);
  RowOrder result;
  for (const int64_t published : b) result.push_back(found.at(published));
  return result;
}

/// The pair of tensors under every name, checked.
struct Matched {
  const Parameter* a;
  const Parameter* b;
  int64_t rows;
  RowOrder order;  ///< rows of a (elements of a vector) in the order of b; empty: as they are

  void read(int64_t row, std::vector<float>& x, std::vector<float>& y) const {
    const bool rows_move = !order.empty() && b->value.rows > 1;
    read_row(a->value, rows_move ? order[static_cast<size_t>(row)] : row, x);
    read_row(b->value, row, y);
    if (order.empty() || rows_move) return;
    const std::vector<float> stored = x;
    for (size_t i = 0; i < x.size(); ++i) x[i] = stored[static_cast<size_t>(order[i])];
  }
};
std::vector<Matched> match(const LoadedModel& a, const LoadedModel& b) {
  std::vector<Matched> matched;
  const std::string where = fmt::format("{} and {}", a.path.string(), b.path.string());
  for (const auto& parameter : a.parameters.all()) {
    if (b.parameters.find(parameter->name) == nullptr)
      fail(where, "the second has no '{}': the architectures differ", parameter->name);
  }
  std::map<std::string, RowOrder> a_rows, b_rows;
  if (a.config.rope.interleaved != b.config.rope.interleaved) {
    a_rows = published_rows(a.config);
    b_rows = published_rows(b.config);
  }
  for (const auto& parameter : b.parameters.all()) {
    const Parameter* first = a.parameters.find(parameter->name);
    if (first == nullptr) fail(where, "the first has no '{}': the architectures differ", parameter->name);
    const Tensor &x = first->value, &y = parameter->value;
    if (x.cols != y.cols || (x.rows != y.rows && !is_per_token(parameter->name))) {
      fail(where, "'{}' is [{}, {}] in the first and [{}, {}] in the second", parameter->name, x.rows, x.cols,
           y.rows, y.cols);
    }
    const auto [rows, other] = std::pair{a_rows.find(parameter->name), b_rows.find(parameter->name)};
    const bool moved = !is_per_token(parameter->name) && rows != a_rows.end() && rows->second != other->second;
    matched.push_back({first, parameter.get(), std::max(x.rows, y.rows),
                       moved ? row_order(rows->second, other->second) : RowOrder()});
  }
  return matched;
}

}  // namespace

std::vector<TensorDifference> compare_weights(const LoadedModel& a, const LoadedModel& b) {
  std::vector<TensorDifference> result;
  for (const Matched& pair : match(a, b)) {
    TensorDifference difference;
    difference.name = pair.b->name;
    difference.elements = pair.rows * pair.b->value.cols;
    double squares = 0, base = 0;
    std::vector<float> x(static_cast<size_t>(pair.b->value.cols)), y(x.size());
    for (int64_t row = 0; row < pair.rows; ++row) {
      pair.read(row, x, y);
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
  check_files(a.parameters);
  check_files(b.parameters);
  return result;
}

Parameters combine_weights(const LoadedModel& a, const LoadedModel& b, float sign) {
  Parameters result;
  for (const Matched& pair : match(a, b)) {
    const int64_t cols = pair.b->value.cols;
    auto buffer = std::make_shared<Buffer>(pair.rows * cols * 4);
    const Tensor out(buffer->data(), DType::f32, pair.rows, cols);
    std::vector<float> x(static_cast<size_t>(cols)), y(x.size());
    for (int64_t row = 0; row < pair.rows; ++row) {
      pair.read(row, x, y);
      float* target = out.row<float>(row);
      for (size_t i = 0; i < x.size(); ++i) target[i] = y[i] + sign * x[i];
    }
    result.add(pair.b->name, out);
    result.keep_alive(buffer);
  }
  check_files(a.parameters);
  check_files(b.parameters);
  return result;
}

}  // namespace fettle
