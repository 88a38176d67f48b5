// The backward loops of reference/ against finite differences of their forward loops. Everything else is
// compared with reference/, so this is where gradients are anchored.
#include <functional>

#include "kernels/test_support.h"

namespace fettle {
namespace {

using testing::Owned;
using testing::reference;
using testing::Source;

/// Σ weight · forward(): a number with a gradient of `weight` at the output.
double weighted_sum(const Owned& out, const Owned& weight) {
  double sum = 0;
  for (int64_t i = 0; i < out->rows; ++i) {
    for (int64_t j = 0; j < out->cols; ++j) sum += double{out.at(i, j)} * double{weight.at(i, j)};
  }
  return sum;
}

/// d loss / d x by central differences, compared with `gradient`.
void check(Owned& x, const Owned& gradient, const std::function<double()>& loss, const char* what,
           float h = 1e-2F) {
  for (int64_t i = 0; i < x->rows; ++i) {
    for (int64_t j = 0; j < x->cols; ++j) {
      const float kept = x.at(i, j);
      x.at(i, j) = kept + h;
      const double above = loss(), up = double{x.at(i, j)};
      x.at(i, j) = kept - h;
      const double below = loss(), width = up - double{x.at(i, j)};
      x.at(i, j) = kept;
      ASSERT_NEAR((above - below) / width, double{gradient.at(i, j)},
                  2e-3 * std::max(1.0, std::abs(double{gradient.at(i, j)})))
          << what << " [" << i << ", " << j << "]";
    }
  }
}

TEST(Gradient, RmsNorm) {
  Source source;
  Owned x = source.floats(3, 6), w = source.floats(1, 6), out(DType::f32, 3, 6), rstd(DType::f32, 1, 3);
  const Owned dy = source.floats(3, 6);
  Owned dx(DType::f32, 3, 6), dw(DType::f32, 1, 6);
  const auto loss = [&] {
    reference().rms_norm(out, x, w, 1e-5F, 1.0F, rstd);
    return weighted_sum(out, dy);
  };
  loss();
  reference().rms_norm_backward(dx, dw, dy, x, w, 1.0F, rstd);
  check(x, dx, loss, "dx");
  check(w, dw, loss, "dweight");
}

TEST(Gradient, Route) {
  Source source;
  Owned logits = source.floats(4, 6, 2), weights(DType::f32, 4, 3), all(DType::f32, 4, 6), dlogits(DType::f32, 4, 6);
  const Owned dweights = source.floats(4, 3), balance = source.floats(1, 6);
  Owned picks(DType::i32, 4, 3);
  const auto loss = [&] {
    reference().route(picks, weights, all, logits);
    double sum = weighted_sum(weights, dweights);
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t e = 0; e < 6; ++e) sum += double{all.at(t, e)} * double{balance.at(0, e)};
    return sum;
  };
  loss();
  reference().route_backward(dlogits, dweights, balance, picks, weights, all);
  check(logits, dlogits, loss, "dlogits", 1e-3F);
}

TEST(Gradient, LayerNorm) {
  Source source;
  Owned x = source.floats(3, 6, 2), w = source.floats(1, 6), bias = source.floats(1, 6),
        out(DType::f32, 3, 6);
  Owned mean(DType::f32, 1, 3), rstd(DType::f32, 1, 3), dx(DType::f32, 3, 6), dw(DType::f32, 1, 6),
      db(DType::f32, 1, 6);
  const Owned dy = source.floats(3, 6);
  const auto loss = [&] {
    reference().layer_norm(out, x, w, bias, 1e-5F, mean, rstd);
    return weighted_sum(out, dy);
  };
  loss();
  reference().layer_norm_backward(dx, dw, db, dy, x, w, mean, rstd);
  check(x, dx, loss, "dx");
  check(w, dw, loss, "dweight");
  check(bias, db, loss, "dbias");
}

TEST(Gradient, Rope) {
  Source source;
  for (const bool interleaved : {false, true}) {
    Owned x = source.floats(3, 16), dx = source.floats(3, 16), out(DType::f32, 3, 16),
          frequencies(DType::f32, 1, 3);
    const Owned dy = dx, positions = source.indices(3, 50);
    for (int64_t i = 0; i < 3; ++i) frequencies.at(0, i) = std::pow(0.1F, static_cast<float>(i));
    Rope o{8, 6, interleaved, 1.2F, false};
    const auto loss = [&] {
      reference().copy(out, x);
      reference().rope(out, positions, frequencies, o);
      return weighted_sum(out, dy);
    };
    Rope back = o;
    back.inverse = true;
    reference().rope(dx, positions, frequencies, back);
    check(x, dx, loss, "dx");
  }
}

TEST(Gradient, Activations) {
  for (const Activation kind : {Activation::silu, Activation::gelu, Activation::gelu_tanh,
                                Activation::gelu_quick, Activation::relu}) {
    Source source(4);
    Owned x = source.floats(2, 9, 2), up = source.floats(2, 9), out(DType::f32, 2, 9), dx(DType::f32, 2, 9),
          dgate = dx, dup = dx;
    const Owned dy = source.floats(2, 9);
    reference().activation_backward(dx, dy, x, kind);
    check(
        x, dx,
        [&] {
          reference().activation(out, x, kind);
          return weighted_sum(out, dy);
        },
        "activation");
    reference().gated_backward(dgate, dup, dy, x, up, kind);
    const auto loss = [&] {
      reference().gated(out, x, up, kind);
      return weighted_sum(out, dy);
    };
    check(x, dgate, loss, "dgate");
    check(up, dup, loss, "dup");
  }
}

TEST(Gradient, ClampAndBias) {
  Source source(5);
  Owned x = source.floats(3, 5, 2), bias = source.floats(1, 5), out(DType::f32, 3, 5),
        dbias(DType::f32, 1, 5);
  const Owned dy = source.floats(3, 5);
  Owned dx = dy;
  reference().clamp_backward(dx, x, 1.5F);
  check(
      x, dx,
      [&] {
        reference().copy(out, x);
        reference().clamp(out, 1.5F);
        return weighted_sum(out, dy);
      },
      "clamp", 1e-3F);
  reference().bias_backward(dbias, dy);
  check(
      bias, dbias,
      [&] {
        reference().copy(out, x);
        reference().add_bias(out, bias);
        return weighted_sum(out, dy);
      },
      "bias");
}

TEST(Gradient, LogProbabilities) {
  Source source(6);
  Owned logits = source.floats(3, 7, 2);
  const Owned labels = source.indices(3, 7), weight = source.floats(1, 3);
  Owned gradient = logits, logp(DType::f32, 1, 3);
  reference().log_probabilities(gradient, labels, logp, Tensor(), weight);
  check(
      logits, gradient,
      [&] {
        reference().log_probabilities(logits, labels, logp, Tensor(), Tensor());
        return weighted_sum(logp, weight);
      },
      "dlogits");
}

TEST(Gradient, Attention) {
  Source source(7);
  float slopes[4] = {0.3F, 0.1F, 0.05F, 0.02F};
  // A prompt of 4, two continuations that see it, one sequence of its own.
  const std::vector<Span> spans{{0, 4, 0, 0, 0}, {4, 7, 4, 0, 1}, {7, 9, 7, 1, 2}, {9, 12, 9, 2, 2}};
  const std::vector<KeyRange> ranges{{0, 4}, {0, 4}};
  const std::vector<int32_t> positions{0, 1, 2, 3, 4, 5, 6, 4, 5, 0, 1, 2};
  const testing::HostPlan plan(reference(), spans, ranges, positions.data(), positions.data(), 2);
  for (const int32_t window : {0, 3}) {
    for (const Tensor& slope : {Tensor(), Tensor(slopes, DType::f32, 1, 4)}) {
      const Attention o{4, 2, 3, 0.7F, window, slope};
      Owned q = source.floats(12, 12), k = source.floats(12, 6), v = source.floats(12, 6),
            out(DType::f32, 12, 12), lse(DType::f32, 12, 4);
      const Owned dout = source.floats(12, 12);
      Owned dq(DType::f32, 12, 12), dk(DType::f32, 12, 6), dv(DType::f32, 12, 6), delta(DType::f32, 12, 4);
      const auto loss = [&] {
        reference().attention(out, lse, q, k, v, plan, o);
        return weighted_sum(out, dout);
      };
      loss();
      reference().attention_backward(dq, dk, dv, delta, dout, out, lse, q, k, v, plan, o);
      check(q, dq, loss, "dq");
      check(k, dk, loss, "dk");
      check(v, dv, loss, "dv");
    }
  }
}

}  // namespace
}  // namespace fettle
