#include "checkpoint/weights.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/threads.h"
#include "kernels/quant.h"

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
  return entry.transposed ? entry.shape[1] : entry.shape[0];
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
    dequantize_row(view.dtype, view.row_slice(row, row + 1).data, values.data() + row * view.cols, view.cols);
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

const StoredTensor* find_published(const TensorSet& tensors, const WeightMap& map, const std::string& name) {
  if (const StoredTensor* found = tensors.find(name)) return found;
  const bool prefixed = !map.optional_prefix.empty() && name.starts_with(map.optional_prefix);
  return prefixed ? tensors.find(std::string_view(name).substr(map.optional_prefix.size())) : nullptr;
}

void check_leftovers(const WeightMap& map, const TensorSet& tensors,
                     const std::unordered_set<std::string>& used, std::string_view where) {
  for (const StoredTensor& tensor : tensors.all()) {
    if (used.count(tensor.name) != 0 || map.ignores(tensor.name)) continue;
    fail(where,
         "holds the tensor '{}', which the config has no place for; do weights and config belong together?",
         tensor.name);
  }
}

// ---- writing

/// The rows of a published tensor, wherever their values stand.
class PublishedRows {
 public:
  PublishedRows(const WeightEntry& entry, const WeightSource& source)
      : entry_(entry),
        factor_(source.adapter == nullptr ? 0.0F : source.factor * source.adapter->config.scale()) {
    rows_.resize(static_cast<size_t>(published_rows(entry)));
    for (const WeightPart& part : entry.parts) add(part, source);
  }

  bool plain(int64_t row, DType dtype) const {
    const Row& from = rows_[static_cast<size_t>(row)];
    return from.lora_a == nullptr && from.dtype == dtype && entry_.offset == 0.0F;
  }
  const std::byte* bytes(int64_t row) const { return rows_[static_cast<size_t>(row)].data; }
  int64_t cols() const { return cols_; }
  int64_t count() const { return static_cast<int64_t>(rows_.size()); }

  /// The row in f32, adapter and offset applied. `scratch` has cols() elements.
  void values(int64_t row, float* out, float* scratch) const {
    const Row& from = rows_[static_cast<size_t>(row)];
    dequantize_row(from.dtype, from.data, out, cols_);
    if (entry_.offset != 0.0F) std::for_each(out, out + cols_, [&](float& value) { value -= entry_.offset; });
    if (from.lora_a == nullptr) return;
    std::fill_n(scratch, cols_, 0.0F);
    for (int64_t r = 0; r < from.lora_a->rows; ++r) {
      const float b = from.lora_b[r];
      const float* a = from.lora_a->row<float>(r);
      for (int64_t i = 0; i < cols_; ++i) scratch[i] += b * a[i];
    }
    for (int64_t i = 0; i < cols_; ++i) out[i] += factor_ * scratch[i];
  }

 private:
  struct Row {
    const std::byte* data = nullptr;
    DType dtype = DType::f32;
    const Tensor* lora_a = nullptr;
    const float* lora_b = nullptr;
  };

  void add(const WeightPart& part, const WeightSource& source) {
    const Parameter* parameter = source.parameters->find(part.name);
    if (parameter == nullptr)
      fail("model weights", "'{}' is missing, '{}' cannot be written", part.name, entry_.published);
    const Tensor& value = parameter->value;
    if (value.rows != part.rows || value.cols != part.cols) {
      fail("model weights", "'{}' should be [{}, {}], found [{}, {}]", part.name, part.rows, part.cols,
           value.rows, value.cols);
    }
    const Tensor *a = nullptr, *b = nullptr;
    if (source.adapter != nullptr && part.name.ends_with(".weight")) {
      const std::string module = part.name.substr(0, part.name.size() - std::string_view(".weight").size());
      const Parameter* lora_a = source.adapter->parameters.find(module + ".lora_a");
      const Parameter* lora_b = source.adapter->parameters.find(module + ".lora_b");
      if (lora_a != nullptr && lora_b != nullptr) {
        FETTLE_CHECK(lora_a->value.cols == part.cols && lora_b->value.rows == part.rows &&
                     lora_a->value.rows == lora_b->value.cols);
        a = &lora_a->value;
        b = &lora_b->value;
      }
    }
    const bool vector = is_vector(entry_);
    cols_ = vector ? 1 : part.cols;
    const auto* data = static_cast<const std::byte*>(value.data);
    const int64_t stride = vector ? row_bytes(value.dtype, 1) : row_bytes(value.dtype, value.stride);
    for_each_row(part, [&](int64_t ours, int64_t published) {
      rows_[static_cast<size_t>(published)] = {data + ours * stride, value.dtype, a,
                                               b == nullptr ? nullptr : b->row<float>(ours)};
    });
  }

  const WeightEntry& entry_;
  float factor_;
  int64_t cols_ = 1;
  std::vector<Row> rows_;
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

Parameters read_weights(const WeightMap& map, const TensorSet& tensors, std::string_view where) {
  Parameters parameters;
  std::unordered_set<std::string> used;
  for (const WeightEntry& entry : map.entries) {
    const StoredTensor* stored = find_published(tensors, map, entry.published);
    if (stored == nullptr) {
      fail(where, "tensor '{}' of shape {} is missing; do weights and config belong together?",
           entry.published, shape_text(entry.shape));
    }
    if (stored->shape != entry.shape) {
      fail(where, "tensor '{}' should have the shape {}, found {}; do weights and config belong together?",
           stored->name, shape_text(entry.shape), shape_text(stored->shape));
    }
    used.insert(stored->name);
    for (const WeightPart& part : entry.parts) {
      const Tensor value = is_vector(entry) ? read_vector(*stored, entry, part, parameters, where)
                                            : read_matrix(*stored, entry, part, parameters, where);
      parameters.add(part.name, value);
    }
  }
  check_leftovers(map, tensors, used, where);
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
          }};
}

}  // namespace fettle
