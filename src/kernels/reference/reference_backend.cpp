#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/random.h"
#include "kernels/half.h"
#include "kernels/quant.h"

namespace fettle::reference {
namespace {

/// y[i, j] = f(x[i, j], y[i, j])
template <typename F>
void zip(const Tensor& y, const Tensor& x, F f) {
  FETTLE_CHECK(x.rows == y.rows && x.cols == y.cols);
  for (int64_t i = 0; i < y.rows; ++i) {
    for (int64_t j = 0; j < y.cols; ++j)
      y.row<float>(i)[j] = static_cast<float>(f(x.row<float>(i)[j], y.row<float>(i)[j]));
  }
}

double value_of(Activation kind, double x) {
  switch (kind) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::gelu:
      return x * 0.5 * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::gelu_quick:
      return x / (1 + std::exp(-1.702 * x));
    case Activation::relu:
      return std::max(x, 0.0);
  }
  check_failed("an activation", __FILE__, __LINE__);
}

double slope_of(Activation kind, double x) {
  const auto sigmoid = [](double y) { return 1 / (1 + std::exp(-y)); };
  switch (kind) {
    case Activation::silu:
      return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
    case Activation::gelu:
      return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)) +
             x * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    case Activation::gelu_tanh: {
      const double k = std::sqrt(2 / std::numbers::pi);
      const double t = std::tanh(k * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
    }
    case Activation::gelu_quick:
      return sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - sigmoid(1.702 * x)));
    case Activation::relu:
      return x > 0 ? 1 : 0;
  }
  check_failed("an activation", __FILE__, __LINE__);
}

}  // namespace

std::vector<float> load_row(const Tensor& x, int64_t index) {
  std::vector<float> values(static_cast<size_t>(x.cols));
  const std::byte* bytes = x.as<std::byte>() + row_bytes(x.dtype, index * x.stride);
  if (is_quantized(x.dtype)) {
    dequantize_row(x.dtype, bytes, values.data(), x.cols);
    return values;
  }
  for (size_t j = 0; j < values.size(); ++j) {
    switch (x.dtype) {
      case DType::f32:
        values[j] = reinterpret_cast<const float*>(bytes)[j];
        break;
      case DType::f16:
        values[j] = f16_to_float(reinterpret_cast<const uint16_t*>(bytes)[j]);
        break;
      case DType::bf16:
        values[j] = bf16_to_float(reinterpret_cast<const uint16_t*>(bytes)[j]);
        break;
      case DType::i32:
        values[j] = static_cast<float>(reinterpret_cast<const int32_t*>(bytes)[j]);
        break;
      case DType::u8:
        values[j] = static_cast<float>(reinterpret_cast<const uint8_t*>(bytes)[j]);
        break;
      default:
        values[j] = static_cast<float>(reinterpret_cast<const int8_t*>(bytes)[j]);
        break;
    }
  }
  return values;
}

void store_row(const Tensor& x, int64_t index, const std::vector<float>& values) {
  std::byte* bytes = x.as<std::byte>() + row_bytes(x.dtype, index * x.stride);
  if (is_quantized(x.dtype)) {
    quantize_row(x.dtype, values.data(), bytes, x.cols);
    return;
  }
  for (size_t j = 0; j < values.size(); ++j) {
    switch (x.dtype) {
      case DType::f32:
        reinterpret_cast<float*>(bytes)[j] = values[j];
        break;
      case DType::f16:
        reinterpret_cast<uint16_t*>(bytes)[j] = float_to_f16(values[j]);
        break;
      case DType::bf16:
        reinterpret_cast<uint16_t*>(bytes)[j] = float_to_bf16(values[j]);
        break;
      case DType::i32:
        reinterpret_cast<int32_t*>(bytes)[j] = static_cast<int32_t>(values[j]);
        break;
      case DType::u8:
        reinterpret_cast<uint8_t*>(bytes)[j] = static_cast<uint8_t>(values[j]);
        break;
      default:
        reinterpret_cast<int8_t*>(bytes)[j] = static_cast<int8_t>(values[j]);
        break;
    }
  }
}

void ReferenceBackend::fill(const Tensor& x, float value) {
  for (int64_t i = 0; i < x.rows; ++i)
    store_row(x, i, std::vector<float>(static_cast<size_t>(x.cols), value));
}

void ReferenceBackend::copy(const Tensor& dst, const Tensor& src) {
  FETTLE_CHECK(dst.rows == src.rows && dst.cols == src.cols);
  for (int64_t i = 0; i < dst.rows; ++i) {
    if (dst.dtype == src.dtype) {
      std::memcpy(dst.row_slice(i, i + 1).data, src.row_slice(i, i + 1).data,
                  static_cast<size_t>(row_bytes(src.dtype, src.cols)));
    } else {
      store_row(dst, i, load_row(src, i));
    }
  }
}

void ReferenceBackend::gather_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == dst.rows);
  for (int64_t i = 0; i < dst.rows; ++i) store_row(dst, i, load_row(src, rows.as<int32_t>()[i]));
}

void ReferenceBackend::scatter_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == src.rows);
  for (int64_t i = 0; i < src.rows; ++i) {
    const int64_t row = rows.as<int32_t>()[i];
    copy(dst.row_slice(row, row + 1), src.row_slice(i, i + 1));
  }
}

void ReferenceBackend::scatter_add_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) {
  FETTLE_CHECK(dst.cols == src.cols && rows.size() == src.rows);
  for (int64_t i = 0; i < src.rows; ++i) {
    const int64_t row = rows.as<int32_t>()[i];
    add(dst.row_slice(row, row + 1), src.row_slice(i, i + 1), 1.0F);
  }
}

void ReferenceBackend::add(const Tensor& y, const Tensor& x, float alpha) {
  zip(y, x, [&](double a, double b) { return b + double{alpha} * a; });
}

void ReferenceBackend::scale(const Tensor& x, float factor) {
  zip(x, x, [&](double a, double) { return a * double{factor}; });
}

void ReferenceBackend::add_bias(const Tensor& x, const Tensor& bias) {
  for (int64_t i = 0; i < x.rows; ++i) add(x.row_slice(i, i + 1), bias, 1.0F);
}

void ReferenceBackend::bias_backward(const Tensor& dbias, const Tensor& dy) {
  for (int64_t j = 0; j < dy.cols; ++j) {
    double sum = 0;
    for (int64_t i = 0; i < dy.rows; ++i) sum += double{dy.row<float>(i)[j]};
    dbias.as<float>()[j] = static_cast<float>(double{dbias.as<float>()[j]} + sum);
  }
}

void ReferenceBackend::clamp(const Tensor& x, float limit) {
  zip(x, x, [&](double a, double) { return std::clamp(a, -double{limit}, double{limit}); });
}

void ReferenceBackend::clamp_backward(const Tensor& dx, const Tensor& x, float limit) {
  zip(dx, x, [&](double a, double d) { return std::abs(a) > double{limit} ? 0.0 : d; });
}

void ReferenceBackend::dropout(const Tensor& x, float probability, uint64_t seed, uint64_t stream) {
  const auto threshold = static_cast<uint32_t>(double{probability} * 65536.0 + 0.5);
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.cols; ++j) {
      // 16 random bits an element; the order lets a vector of 16 consecutive ones take one half of one word
      // each.
      const auto index = static_cast<uint64_t>(i * x.cols + j);
      const auto words = philox(seed, stream, index / 128 * 16 + index % 16);
      const uint64_t half = index / 16 % 8;
      const bool keep = (words[half / 2] >> (half % 2 * 16) & 0xFFFF) >= threshold;
      x.row<float>(i)[j] *= keep ? 1.0F / (1.0F - probability) : 0.0F;
    }
  }
}

void ReferenceBackend::matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& o) {
  std::vector<std::vector<float>> left, right;
  for (int64_t i = 0; i < a.rows; ++i) left.push_back(load_row(a, i));
  for (int64_t i = 0; i < b.rows; ++i) right.push_back(load_row(b, i));
  const int64_t inner = o.transpose_a ? a.rows : a.cols;
  FETTLE_CHECK(inner == (o.transpose_b ? b.cols : b.rows));
  FETTLE_CHECK(c.rows == (o.transpose_a ? a.cols : a.rows) && c.cols == (o.transpose_b ? b.rows : b.cols));
  for (int64_t i = 0; i < c.rows; ++i) {
    for (int64_t j = 0; j < c.cols; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < inner; ++k) {
        sum += double{o.transpose_a ? left[k][i] : left[i][k]} *
               double{o.transpose_b ? right[j][k] : right[k][j]};
      }
      float& result = c.row<float>(i)[j];
      result =
          static_cast<float>(double{o.alpha} * sum + (o.beta == 0 ? 0 : double{o.beta} * double{result}));
    }
  }
}

void ReferenceBackend::rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, float eps,
                                float offset, const Tensor& rstd) {
  for (int64_t i = 0; i < x.rows; ++i) {
    const float* in = x.row<float>(i);
    double squares = 0;
    for (int64_t j = 0; j < x.cols; ++j) squares += double{in[j]} * double{in[j]};
    const double r = 1 / std::sqrt(squares / static_cast<double>(x.cols) + double{eps});
    if (!rstd.absent()) rstd.as<float>()[i] = static_cast<float>(r);
    for (int64_t j = 0; j < x.cols; ++j) {
      out.row<float>(i)[j] =
          static_cast<float>(double{in[j]} * r * (double{weight.as<float>()[j]} + double{offset}));
    }
  }
}

void ReferenceBackend::rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy,
                                         const Tensor& x, const Tensor& weight, float offset,
                                         const Tensor& rstd) {
  std::vector<double> dw(static_cast<size_t>(x.cols));
  for (int64_t i = 0; i < x.rows; ++i) {
    const float *in = x.row<float>(i), *d = dy.row<float>(i);
    const double r = double{rstd.as<float>()[i]};
    double projection = 0;
    for (int64_t j = 0; j < x.cols; ++j) {
      projection += double{d[j]} * (double{weight.as<float>()[j]} + double{offset}) * double{in[j]} * r;
      dw[static_cast<size_t>(j)] += double{d[j]} * double{in[j]} * r;
    }
    for (int64_t j = 0; j < x.cols; ++j) {
      const double g = double{d[j]} * (double{weight.as<float>()[j]} + double{offset});
      dx.row<float>(i)[j] +=
          static_cast<float>(r * (g - double{in[j]} * r * projection / static_cast<double>(x.cols)));
    }
  }
  for (int64_t j = 0; j < x.cols && !dweight.absent(); ++j)
    dweight.as<float>()[j] += static_cast<float>(dw[static_cast<size_t>(j)]);
}

void ReferenceBackend::layer_norm(const Tensor& out, const Tensor& x, const Tensor& weight,
                                  const Tensor& bias, float eps, const Tensor& mean, const Tensor& rstd) {
  const auto n = static_cast<double>(x.cols);
  for (int64_t i = 0; i < x.rows; ++i) {
    const float* in = x.row<float>(i);
    double sum = 0, squares = 0;
    for (int64_t j = 0; j < x.cols; ++j) sum += double{in[j]};
    const double mu = sum / n;
    for (int64_t j = 0; j < x.cols; ++j) squares += (double{in[j]} - mu) * (double{in[j]} - mu);
    const double r = 1 / std::sqrt(squares / n + double{eps});
    if (!mean.absent()) mean.as<float>()[i] = static_cast<float>(mu);
    if (!rstd.absent()) rstd.as<float>()[i] = static_cast<float>(r);
    for (int64_t j = 0; j < x.cols; ++j) {
      const double shift = bias.absent() ? 0 : double{bias.as<float>()[j]};
      out.row<float>(i)[j] =
          static_cast<float>((double{in[j]} - mu) * r * double{weight.as<float>()[j]} + shift);
    }
  }
}

void ReferenceBackend::layer_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dbias,
                                           const Tensor& dy, const Tensor& x, const Tensor& weight,
                                           const Tensor& mean, const Tensor& rstd) {
  const auto n = static_cast<double>(x.cols);
  std::vector<double> dw(static_cast<size_t>(x.cols)), db(static_cast<size_t>(x.cols));
  for (int64_t i = 0; i < x.rows; ++i) {
    const float *in = x.row<float>(i), *d = dy.row<float>(i);
    const double mu = double{mean.as<float>()[i]}, r = double{rstd.as<float>()[i]};
    double sum = 0, projection = 0;
    for (int64_t j = 0; j < x.cols; ++j) {
      const double g = double{d[j]} * double{weight.as<float>()[j]}, normal = (double{in[j]} - mu) * r;
      sum += g;
      projection += g * normal;
      dw[static_cast<size_t>(j)] += double{d[j]} * normal;
      db[static_cast<size_t>(j)] += double{d[j]};
    }
    for (int64_t j = 0; j < x.cols; ++j) {
      const double g = double{d[j]} * double{weight.as<float>()[j]}, normal = (double{in[j]} - mu) * r;
      dx.row<float>(i)[j] += static_cast<float>(r * (g - sum / n - normal * projection / n));
    }
  }
  for (int64_t j = 0; j < x.cols; ++j) {
    if (!dweight.absent()) dweight.as<float>()[j] += static_cast<float>(dw[static_cast<size_t>(j)]);
    if (!dbias.absent()) dbias.as<float>()[j] += static_cast<float>(db[static_cast<size_t>(j)]);
  }
}

void ReferenceBackend::rope(const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
                            const Rope& o) {
  FETTLE_CHECK(o.head_dim > 0 && x.cols % o.head_dim == 0 && o.rotary_dim % 2 == 0 &&
               o.rotary_dim <= o.head_dim);
  const int64_t half = o.rotary_dim / 2;
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t head = 0; head < x.cols / o.head_dim; ++head) {
      float* row = x.row<float>(t) + head * o.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const double angle = double{inverse_frequencies.as<float>()[i]} * positions.as<int32_t>()[t];
        const double c = std::cos(angle) * double{o.magnitude};
        const double s = std::sin(angle) * double{o.magnitude} * (o.inverse ? -1 : 1);
        float& first = row[o.interleaved ? 2 * i : i];
        float& second = row[o.interleaved ? 2 * i + 1 : i + half];
        const double a = double{first}, b = double{second};
        first = static_cast<float>(a * c - b * s);
        second = static_cast<float>(b * c + a * s);
      }
    }
  }
}

void ReferenceBackend::activation(const Tensor& out, const Tensor& x, Activation kind) {
  zip(out, x, [&](double a, double) { return value_of(kind, a); });
}

void ReferenceBackend::activation_backward(const Tensor& dx, const Tensor& dy, const Tensor& x,
                                           Activation kind) {
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.cols; ++j) {
      dx.row<float>(i)[j] =
          static_cast<float>(double{dy.row<float>(i)[j]} * slope_of(kind, double{x.row<float>(i)[j]}));
    }
  }
}

void ReferenceBackend::gated(const Tensor& out, const Tensor& gate, const Tensor& up, Activation kind) {
  for (int64_t i = 0; i < out.rows; ++i) {
    for (int64_t j = 0; j < out.cols; ++j) {
      out.row<float>(i)[j] =
          static_cast<float>(value_of(kind, double{gate.row<float>(i)[j]}) * double{up.row<float>(i)[j]});
    }
  }
}

void ReferenceBackend::gated_backward(const Tensor& dgate, const Tensor& dup, const Tensor& dy,
                                      const Tensor& gate, const Tensor& up, Activation kind) {
  for (int64_t i = 0; i < dy.rows; ++i) {
    for (int64_t j = 0; j < dy.cols; ++j) {
      const double d = double{dy.row<float>(i)[j]}, g = double{gate.row<float>(i)[j]},
                   u = double{up.row<float>(i)[j]};
      dgate.row<float>(i)[j] = static_cast<float>(d * u * slope_of(kind, g));
      dup.row<float>(i)[j] = static_cast<float>(d * value_of(kind, g));
    }
  }
}

}  // namespace fettle::reference

namespace fettle {
std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<reference::ReferenceBackend>();
}
}  // namespace fettle
