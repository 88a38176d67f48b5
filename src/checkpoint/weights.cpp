#include "checkpoint/weights.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_set>

#include "base/log.h"
#include "base/threads.h"
#include "checkpoint/mapped_tensors.h"
#include "kernels/quant.h"
#include "model/adapted_weight.h"

namespace fettle {
namespace {

/// calls visit(our row, published row) for every row of a part.
template <typename Visit>
void for_each_row(const WeightPart& part, Visit&& visit) {
  int64_t ours = 0;
  for (const RowRun& run : part.runs) {
    for (int64_t i = 0; i < run.count; ++i) visit(ours++, run.begin + i * run.step);
  }
}

bool is_vector(const WeightEntry& entry) {
  return entry.shape.size() == 1;
}

int64_t published_rows(const WeightEntry& entry) {
  if (entry.transposed) return entry.shape[1];
  return is_vector(entry) ? entry.shape[0] : checked_elements(entry.shape).value() / entry.shape.back();
}

// ---- reading

/// Owned memory for what cannot be a view.
Tensor own(Parameters& parameters, DType dtype, int64_t rows, int64_t cols) {
  auto buffer = std::make_shared<Buffer>(rows * row_bytes(dtype, cols));
  const Tensor tensor(buffer->data(), dtype, rows, cols);
  parameters.keep_alive(std::move(buffer));
  return tensor;
}

Tensor read_vector(const StoredTensor& stored, const WeightEntry& entry, const WeightPart& part,
                   Parameters& out, std::string_view where) {
  const Tensor view = stored.view(where);
  if (view.dtype == DType::f32 && stored.aligned() && entry.offset == 0.0F && part.contiguous()) {
    return {static_cast<std::byte*>(view.data) + part.runs[0].begin * 4, DType::f32, part.rows, part.cols};
  }
  std::vector<float> values(static_cast<size_t>(view.size()));
  for (int64_t row = 0; row < view.rows; ++row) {
    read_row(view, row, values.data() + row * view.cols);
  }
  const Tensor result = own(out, DType::f32, part.rows, part.cols);
  auto* to = static_cast<float*>(result.data);
  for_each_row(part, [&](int64_t ours, int64_t published) {
    to[ours] = values[static_cast<size_t>(published)] + entry.offset;
  });
  return result;
}

/// [in, out] in the file to [out, in].
Tensor read_transposed(const Tensor& view, const WeightEntry& entry, const WeightPart& part, Parameters& out,
                       std::string_view where) {
  if (is_quantized(view.dtype))
    fail(where, "tensor '{}' is quantised along the wrong dimension", entry.published);
  const auto size = static_cast<size_t>(row_bytes(view.dtype, 1));
  const Tensor result = own(out, view.dtype, part.rows, part.cols);
  const auto* from = static_cast<const std::byte*>(view.data);
  auto* to = static_cast<std::byte*>(result.data);
  const auto width = static_cast<size_t>(entry.shape[1]), depth = static_cast<size_t>(part.cols);
  for_each_row(part, [&](int64_t ours, int64_t published) {
    for (size_t i = 0; i < depth; ++i) {
      std::memcpy(to + (static_cast<size_t>(ours) * depth + i) * size,
                  from + (i * width + static_cast<size_t>(published)) * size, size);
    }
  });
  return result;
}

Tensor read_matrix(const StoredTensor& stored, const WeightEntry& entry, const WeightPart& part,
                   Parameters& out, std::string_view where) {
  const Tensor view = stored.view(where);
  if (entry.transposed) return read_transposed(view, entry, part, out, where);
  if (part.contiguous() && stored.aligned())
    return view.row_slice(part.runs[0].begin, part.runs[0].begin + part.rows);
  const Tensor result = own(out, view.dtype, part.rows, part.cols);
  const auto bytes = static_cast<size_t>(row_bytes(view.dtype, part.cols));
  const auto* from = static_cast<const std::byte*>(view.data);
  auto* to = static_cast<std::byte*>(result.data);
  for_each_row(part, [&](int64_t ours, int64_t published) {
    std::memcpy(to + static_cast<size_t>(ours) * bytes, from + static_cast<size_t>(published) * bytes, bytes);
  });
  return result;
}

/// Whether a name is that of a tensor inside a decoder layer: left out, such a one would change what is computed.
bool is_inside_layer(const WeightMap& map, std::string_view name) {
  for (const WeightEntry& entry : map.entries) {
    const size_t digit = entry.published.find_first_of("0123456789");
    if (digit == std::string::npos || digit == 0 || entry.published[digit - 1] != '.') continue;
    const std::string prefix = entry.published.substr(0, digit);
    const bool whole = name.starts_with(prefix);
    const bool without = !map.optional_prefix.empty() && prefix.starts_with(map.optional_prefix) &&
                         name.starts_with(prefix.substr(map.optional_prefix.size()));
    return whole || without;
  }
  return false;
}

void check_leftovers(const WeightMap& map, const TensorSet& tensors,
                     const std::unordered_set<std::string>& used, std::string_view where) {
  std::vector<std::string> unused;
  for (const StoredTensor& tensor : tensors.all()) {
    if (used.count(tensor.name) != 0 || map.ignores(tensor.name)) continue;
    if (is_inside_layer(map, tensor.name)) {
      fail(where,
           "holds the tensor '{}', which the config has no place for; do weights and config belong together?",
           tensor.name);
    }
    unused.push_back(tensor.name);
  }
  if (unused.empty()) return;
  constexpr size_t shown = 8;
  const size_t more = unused.size() > shown ? unused.size() - shown : 0;
  unused.resize(unused.size() - more);
  log_warning("{}: {} tensors have no place in this model and are not used: {}{}", where, unused.size() + more,
              fmt::join(unused, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

// ---- writing

/// The rows of a published tensor (the elements of a vector), wherever their values stand.
class PublishedRows {
 public:
  PublishedRows(const WeightEntry& entry, const WeightSource& source) : entry_(entry) {
    rows_.resize(static_cast<size_t>(published_rows(entry)));
    for (const WeightPart& part : entry.parts) add(part, source);
  }

  bool plain(int64_t row, DType dtype) const {
    const Row& from = rows_[static_cast<size_t>(row)];
    const AdaptedWeight& weight = *weights_[from.weight];
    return weight.plain(is_vector(entry_) ? 0 : from.row) && weight.dtype() == dtype && entry_.offset == 0.0F;
  }
  const std::byte* bytes(int64_t row) const {
    const Row& from = rows_[static_cast<size_t>(row)];
    const AdaptedWeight& weight = *weights_[from.weight];
    return is_vector(entry_) ? weight.bytes(0) + row_bytes(weight.dtype(), from.row) : weight.bytes(from.row);
  }
  int64_t cols() const { return cols_; }
  int64_t count() const { return static_cast<int64_t>(rows_.size()); }

  /// The row in f32, adapter and offset applied. `scratch` has cols() elements.
  void values(int64_t row, float* out, float* scratch) const {
    const Row& from = rows_[static_cast<size_t>(row)];
    if (is_vector(entry_)) {
      *out = vectors_[from.weight][static_cast<size_t>(from.row)];
    } else {
      weights_[from.weight]->values(from.row, out, scratch);
    }
    if (entry_.offset != 0.0F) std::for_each(out, out + cols_, [&](float& value) { value -= entry_.offset; });
  }

 private:
  struct Row {
    size_t weight = 0;  ///< of weights_
    int64_t row = 0;    ///< in it; of a vector, the element
  };

  void add(const WeightPart& part, const WeightSource& source) {
    auto weight =
        std::make_unique<AdaptedWeight>(*source.parameters, source.adapter, source.factor, part.name);
    if (weight->rows() != part.rows || weight->cols() != part.cols) {
      fail("model weights", "'{}' should be [{}, {}], found [{}, {}]", part.name, part.rows, part.cols,
           weight->rows(), weight->cols());
    }
    cols_ = is_vector(entry_) ? 1 : part.cols;
    std::vector<float> values;
    if (is_vector(entry_)) {
      values.resize(static_cast<size_t>(part.cols));
      std::vector<float> scratch(values.size());
      weight->values(0, values.data(), scratch.data());
    }
    for_each_row(part, [&](int64_t ours, int64_t published) {
      rows_[static_cast<size_t>(published)] = {weights_.size(), ours};
    });
    weights_.push_back(std::move(weight));
    vectors_.push_back(std::move(values));
  }

  const WeightEntry& entry_;
  int64_t cols_ = 1;
  std::vector<Row> rows_;
  std::vector<std::unique_ptr<AdaptedWeight>> weights_;  ///< one a part
  std::vector<std::vector<float>> vectors_;              ///< their values, of vectors alone
};

void fill_rows(const PublishedRows& rows, DType dtype, std::span<std::byte> out) {
  const int64_t bytes = row_bytes(dtype, rows.cols());
  const int64_t grain = std::max<int64_t>(1, 16384 / rows.cols());
  parallel_for(rows.count(), grain, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(rows.cols())), scratch(values.size());
    for (int64_t row = begin; row < end; ++row) {
      std::byte* to = out.data() + row * bytes;
      if (rows.plain(row, dtype)) {
        std::memcpy(to, rows.bytes(row), static_cast<size_t>(bytes));
      } else {
        rows.values(row, values.data(), scratch.data());
        quantize_row(dtype, values.data(), to, rows.cols());
      }
    }
  });
}

/// Our rows become the columns of the published [in, out].
void fill_transposed(const PublishedRows& rows, DType dtype, std::span<std::byte> out) {
  const auto size = static_cast<size_t>(row_bytes(dtype, 1));
  const auto count = static_cast<size_t>(rows.count()), cols = static_cast<size_t>(rows.cols());
  std::vector<float> values(cols), scratch(cols);
  std::vector<std::byte> converted(cols * size);
  for (size_t row = 0; row < count; ++row) {
    rows.values(static_cast<int64_t>(row), values.data(), scratch.data());
    quantize_row(dtype, values.data(), converted.data(), rows.cols());
    for (size_t i = 0; i < cols; ++i)
      std::memcpy(out.data() + (i * count + row) * size, converted.data() + i * size, size);
  }
}

}  // namespace

const StoredTensor* find_published(const TensorSet& tensors, const WeightMap& map, const std::string& name) {
  if (const StoredTensor* found = tensors.find(name)) return found;
  const bool prefixed = !map.optional_prefix.empty() && name.starts_with(map.optional_prefix);
  return prefixed ? tensors.find(std::string_view(name).substr(map.optional_prefix.size())) : nullptr;
}

void read_entry(Parameters& parameters, const WeightEntry& entry, const StoredTensor& stored, std::string_view where) {
  if (stored.shape != entry.shape) {
    fail(where, "tensor '{}' should have the shape {}, found {}; do weights and config belong together?", stored.name,
         shape_text(entry.shape), shape_text(stored.shape));
  }
  for (const WeightPart& part : entry.parts) {
    const Tensor value = is_vector(entry) ? read_vector(stored, entry, part, parameters, where)
                                          : read_matrix(stored, entry, part, parameters, where);
    parameters.add(part.name, value);
  }
}

Parameters read_weights(const WeightMap& map, const TensorSet& tensors, std::string_view where) {
  Parameters parameters;
  std::unordered_set<std::string> used;
  for (const WeightEntry& entry : map.entries) {
    const StoredTensor* stored = find_published(tensors, map, entry.published);
    if (stored == nullptr) {
      fail(where, "tensor '{}' of shape {} is missing; do weights and config belong together?",
           entry.published, shape_text(entry.shape));
    }
    used.insert(stored->name);
    read_entry(parameters, entry, *stored, where);
  }
  check_leftovers(map, tensors, used, where);
  check_files(tensors);
  for (const auto& owner : tensors.owners()) parameters.keep_alive(std::const_pointer_cast<void>(owner));
  return parameters;
}

TensorToWrite weight_to_write(const WeightEntry& entry, const WeightSource& source, DType dtype) {
  const PublishedRows rows(entry, source);
  const auto layout = block_layout(dtype);
  if (entry.shape.back() % layout.elements != 0 || (entry.transposed && is_quantized(dtype))) {
    fail(entry.published, "of shape {} cannot be written as {}", shape_text(entry.shape), dtype_name(dtype));
  }
  for (int64_t row = 0; row < rows.count() && !can_quantize(dtype); ++row) {
    if (rows.plain(row, dtype)) continue;
    fail(entry.published, "cannot be written as {}, a type that fettle only reads; choose q4_k or q6_k",
         dtype_name(dtype));
  }
  return {entry.published, dtype, entry.shape, [entry, source, dtype](std::span<std::byte> out) {
            const PublishedRows all(entry, source);
            if (entry.transposed) {
              fill_transposed(all, dtype, out);
            } else {
              fill_rows(all, dtype, out);
            }
            for (const WeightPart& part : entry.parts) {
              for (const auto* from : {source.parameters, source.adapter != nullptr ? &source.adapter->parameters : nullptr}) {
                const Parameter* parameter = from != nullptr ? from->find(part.name) : nullptr;
                if (parameter != nullptr) check_mapped(parameter->value.data);
              }
            }
          }};
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  if (a.dtype == b.dtype) return std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())) == 0;
  std::vector<float> left(static_cast<size_t>(a.cols)), right(left.size());
  for (int64_t row = 0; row < a.rows; ++row) {
    read_row(a, row, left.data());
    read_row(b, row, right.data());
    if (left != right) return false;
  }
  return true;
}

}  // namespace fettle
