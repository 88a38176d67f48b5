// Every operation but products and attention: the processor's kernels against the reference loops.
#include <array>
#include <cstring>
#include <limits>

#include "base/threads.h"
#include "kernels/dynamic_map.h"
#include "kernels/test_support.h"

namespace fettle {
namespace {

using testing::cpu;
using testing::expect_near;
using testing::Owned;
using testing::reference;
using testing::Source;

/// Around the lengths of vectors, and long enough for several threads.
constexpr std::array<int64_t, 12> lengths{0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100};
constexpr std::array<Activation, 5> kinds{Activation::silu, Activation::gelu, Activation::gelu_tanh,
                                          Activation::gelu_quick, Activation::relu};

TEST(Elementwise, LikeTheReference) {
  for (const int64_t n : lengths) {
    for (const int64_t gap : {0, 5}) {
      Source source(static_cast<uint64_t>(n + 1));
      const Owned x = source.floats(5, n, 2, gap, 4), y = source.floats(5, n, 2, 0, 8),
                  bias = source.floats(1, n);
      const auto compare = [&](auto run) {
        Owned a = x, e = x;
        run(cpu(), a);
        run(reference(), e);
        expect_near(a, e, 1e-6, 1e-6);
      };
      compare([&](Backend& b, Owned& to) { b.add(to, y, -0.75F); });
      compare([&](Backend& b, Owned& to) { b.scale(to, 1.5F); });
      compare([&](Backend& b, Owned& to) { b.add_bias(to, bias); });
      compare([&](Backend& b, Owned& to) { b.clamp(to, 1.0F); });
      compare([&](Backend& b, Owned& to) { b.clamp_backward(to, y, 1.0F); });
      compare([&](Backend& b, Owned& to) { b.dropout(to, 0.3F, 42, 7); });
      compare([&](Backend& b, Owned& to) { b.fill(to, 0.125F); });
      Owned da(DType::f32, 1, n), de(DType::f32, 1, n);
      cpu().bias_backward(da, x);
      reference().bias_backward(de, x);
      expect_near(da, de, 1e-5, 1e-6);
    }
  }
}

TEST(Routing, LikeTheReference) {
  for (const int64_t experts : {1, 2, 8, 60}) {
    for (const int64_t k : {1, 2, 6}) {
      if (k > experts) continue;
      Source source(static_cast<uint64_t>(experts * 10 + k));
      Owned logits = source.floats(33, experts, 2, 3, 4);
      for (int64_t e = 0; e < experts; ++e) logits.at(5, e) = 0.25F;  // equals: the first come first
      Owned picks_a(DType::i32, 33, k), picks_e = picks_a, weights_a(DType::f32, 33, k), weights_e = weights_a;
      Owned all_a(DType::f32, 33, experts), all_e = all_a, d_a(DType::f32, 33, experts, 2), d_e(DType::f32, 33, experts);
      cpu().route(picks_a, weights_a, all_a, logits);
      reference().route(picks_e, weights_e, all_e, logits);
      for (int64_t t = 0; t < 33; ++t)
        for (int64_t i = 0; i < k; ++i) EXPECT_EQ(picks_a->row<int32_t>(t)[i], picks_e->row<int32_t>(t)[i]);
      for (int64_t i = 0; i < k; ++i) EXPECT_EQ(picks_a->row<int32_t>(5)[i], i);
      expect_near(weights_a, weights_e, 1e-6, 1e-6, "weights");
      expect_near(all_a, all_e, 1e-6, 1e-6, "probabilities");
      const Owned dweights = source.floats(33, k), dprobabilities = source.floats(1, experts);
      for (const Tensor& balance : {Tensor(), *dprobabilities}) {
        cpu().route_backward(d_a, dweights, balance, picks_e, weights_e, all_e);
        reference().route_backward(d_e, dweights, balance, picks_e, weights_e, all_e);
        expect_near(d_a, d_e, 1e-6, 1e-5, "dlogits");
      }
    }
  }
}

TEST(Routing, RowsByFactors) {
  for (const int64_t n : lengths) {
    Source source(static_cast<uint64_t>(n + 1));
    const Owned x = source.floats(5, n, 1, 3), y = source.floats(5, n), factors = source.floats(1, 5);
    Owned a = x, e = x, dots_a(DType::f32, 1, 5), dots_e = dots_a;
    cpu().scale_rows(a, factors);
    reference().scale_rows(e, factors);
    expect_near(a, e, 0, 0);
    cpu().row_dots(dots_a, x, y);
    reference().row_dots(dots_e, x, y);
    expect_near(dots_a, dots_e, 1e-5, 1e-5);
  }
}

TEST(Elementwise, LongRunsInSeveralThreads) {
  Source source(2);
  const Owned x = source.floats(40, 5000), y = source.floats(40, 5000);
  Owned a = x, e = x;
  cpu().add(a, y, 0.5F);
  cpu().dropout(a, 0.1F, 1, 2);
  reference().add(e, y, 0.5F);
  reference().dropout(e, 0.1F, 1, 2);
  expect_near(a, e, 1e-6, 1e-6);
}

TEST(Elementwise, DropoutKeepsTheExpectedShare) {
  Owned x(DType::f32, 100, 1000);
  cpu().fill(x, 1.0F);
  cpu().dropout(x, 0.25F, 9, 1);
  double kept = 0;
  for (const float v : x->flat<float>()) {
    EXPECT_TRUE(v == 0.0F || v == 1.0F / 0.75F);
    kept += v != 0.0F ? 1 : 0;
  }
  EXPECT_NEAR(kept / 1e5, 0.75, 0.01);
}

TEST(Activations, LikeTheReference) {
  for (const Activation kind : kinds) {
    for (const int64_t n : lengths) {
      for (const int64_t gap : {0, 3}) {
        Source source(static_cast<uint64_t>(n + 5));
        const Owned x = source.floats(4, n, 3, gap, 4), up = source.floats(4, n, 1, gap),
                    dy = source.floats(4, n);
        Owned a(DType::f32, 4, n), e(DType::f32, 4, n), a2(DType::f32, 4, n, gap), e2(DType::f32, 4, n, gap);
        cpu().activation(a, x, kind);
        reference().activation(e, x, kind);
        expect_near(a, e, 5e-7, 2e-6);
        cpu().activation_backward(a, dy, x, kind);
        reference().activation_backward(e, dy, x, kind);
        expect_near(a, e, 1e-6, 4e-6);
        cpu().gated(a, x, up, kind);
        reference().gated(e, x, up, kind);
        expect_near(a, e, 1e-6, 2e-6);
        // In place: dgate in gate's memory, dup in up's.
        Owned gate = x, second = up;
        cpu().gated_backward(gate, second, dy, gate, second, kind);
        reference().gated_backward(e, e2, dy, x, up, kind);
        expect_near(gate, e, 1e-6, 4e-6);
        expect_near(second, e2, 1e-6, 4e-6);
      }
    }
  }
}

TEST(Activations, ExtremeInputs) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::array<float, 16> values{0.0F,  -0.0F,  1e-30F,        -1e-30F, 20.0F, -20.0F,
                                     88.0F, -88.0F, 100.0F,        -100.0F, 1e10F, -1e10F,
                                     1.32F, -1.33F, std::nanf(""), infinity};
  Owned x(DType::f32, 1, 16), a(DType::f32, 1, 16), e(DType::f32, 1, 16);
  std::memcpy(x->data, values.data(), sizeof values);
  for (const Activation kind : kinds) {
    if (kind == Activation::relu) continue;
    cpu().activation(a, x, kind);
    reference().activation(e, x, kind);
    expect_near(a, e, 1e-6, 2e-6);
  }
}

TEST(Norms, LikeTheReference) {
  for (const int64_t n : {1, 7, 16, 17, 64, 576, 1000}) {
    for (const int64_t rows : {0, 1, 5, 70}) {
      Source source(static_cast<uint64_t>(n * 100 + rows));
      const Owned x = source.floats(rows, n, 2, 3, 4), dy = source.floats(rows, n, 1, 1),
                  w = source.floats(1, n), bias = source.floats(1, n);
      Owned a(DType::f32, rows, n, 2), e(DType::f32, rows, n, 2), ar(DType::f32, 1, rows),
          er(DType::f32, 1, rows), am = ar, em = ar;
      cpu().rms_norm(a, x, w, 1e-5F, 1.0F, ar);
      reference().rms_norm(e, x, w, 1e-5F, 1.0F, er);
      expect_near(a, e, 2e-6, 2e-6, "rms_norm");
      expect_near(ar, er, 0, 1e-6, "rstd");
      const Owned start = source.floats(rows, n), wstart = source.floats(1, n);
      Owned adx = start, edx = start, adw = wstart, edw = wstart, adb = wstart, edb = wstart;
      cpu().rms_norm_backward(adx, adw, dy, x, w, 1.0F, er);
      reference().rms_norm_backward(edx, edw, dy, x, w, 1.0F, er);
      expect_near(adx, edx, 1e-5, 1e-5, "rms_norm dx");
      expect_near(adw, edw, 2e-5, 1e-5, "rms_norm dweight");
      cpu().rms_norm_backward(adx, Tensor(), dy, x, w, 0.0F, er);
      reference().rms_norm_backward(edx, Tensor(), dy, x, w, 0.0F, er);
      expect_near(adx, edx, 1e-5, 1e-5, "rms_norm dx alone");

      cpu().layer_norm(a, x, w, bias, 1e-5F, am, ar);
      reference().layer_norm(e, x, w, bias, 1e-5F, em, er);
      expect_near(a, e, 1e-5, 1e-5, "layer_norm");
      cpu().layer_norm(a, x, w, Tensor(), 1e-5F, Tensor(), Tensor());
      reference().layer_norm(e, x, w, Tensor(), 1e-5F, Tensor(), Tensor());
      expect_near(a, e, 1e-5, 1e-5, "layer_norm without bias");
      cpu().layer_norm_backward(adx, adw, adb, dy, x, w, em, er);
      reference().layer_norm_backward(edx, edw, edb, dy, x, w, em, er);
      expect_near(adx, edx, n == 1 ? 1e-3 : 2e-5, 1e-5, "layer_norm dx");
      expect_near(adw, edw, n == 1 ? 1e-3 : 2e-5, 1e-5, "layer_norm dweight");
      expect_near(adb, edb, 2e-5, 1e-5, "layer_norm dbias");
    }
  }
}

TEST(Moving, CopiesBetweenEveryPairOfTypes) {
  const std::array plain{DType::f32, DType::f16, DType::bf16, DType::i32, DType::i8, DType::u8};
  for (const DType from : plain) {
    for (const DType to : plain) {
      for (const int64_t n : lengths) {
        for (const int64_t gap : {0, 5}) {
          Source source(static_cast<uint64_t>(n + 3));
          Owned values = source.floats(3, n, 1);
          // Integers that every type holds.
          const bool whole = from >= DType::i32 || to >= DType::i32;
          for (int64_t i = 0; i < 3 && whole; ++i) {
            for (int64_t j = 0; j < n; ++j) values.at(i, j) = static_cast<float>(source.below(100));
          }
          Owned src(from, 3, n, gap), a(to, 3, n), e(to, 3, n);
          reference().copy(src, values);
          cpu().copy(a, src);
          reference().copy(e, src);
          EXPECT_EQ(std::memcmp(a->data, e->data, static_cast<size_t>(a->bytes())), 0)
              << dtype_name(from) << " to " << dtype_name(to) << ", " << n;
        }
      }
    }
  }
}

TEST(Moving, SpecialValuesOf16Bits) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::array<float, 16> values{infinity,    -infinity, std::nanf(""), 65504.0F, 65519.9F, 65520.0F,
                                     1e-8F,       6e-8F,     6.1e-5F,       -0.0F,    3.4e38F,  1.00390625F,
                                     1.01171875F, 1e-40F,    2.98e-8F,      5.96e-8F};
  Owned x(DType::f32, 1, 16);
  std::memcpy(x->data, values.data(), sizeof values);
  for (const DType type : {DType::f16, DType::bf16}) {
    Owned a(type, 1, 16), e(type, 1, 16), back(DType::f32, 1, 16), back_e(DType::f32, 1, 16);
    cpu().copy(a, x);
    reference().copy(e, x);
    cpu().copy(back, e);
    reference().copy(back_e, e);
    expect_near(back, back_e, 0, 0, "to float");
    cpu().copy(back, a);
    expect_near(back, back_e, 0, 0, "from float");
  }
}

TEST(Moving, QuantisedBothWays) {
  for (const DType type : {DType::q8_0, DType::q4_1, DType::q4_k, DType::q6_k}) {
    Source source(4);
    const Owned x = source.floats(20, 512, 1);
    Owned a(type, 20, 512), e(type, 20, 512), back(DType::f16, 20, 512), back_e(DType::f16, 20, 512);
    cpu().copy(a, x);
    reference().copy(e, x);
    EXPECT_EQ(std::memcmp(a->data, e->data, static_cast<size_t>(a->bytes())), 0);
    cpu().copy(back, e);
    reference().copy(back_e, e);
    EXPECT_EQ(std::memcmp(back->data, back_e->data, static_cast<size_t>(back->bytes())), 0);
  }
}

TEST(Moving, GatherAndScatter) {
  for (const DType type : {DType::f32, DType::bf16, DType::q4_0}) {
    for (const int64_t rows : {0, 1, 50}) {
      Source source(6);
      const Owned table = source.of(type, 30, 288), index = source.indices(rows, 30),
                  d = source.floats(rows, 288, 1, 3);
      Owned a(DType::f32, rows, 288), e(DType::f32, rows, 288);
      cpu().gather_rows(a, table, index);
      reference().gather_rows(e, table, index);
      expect_near(a, e, 0, 0);
      const Owned start = source.floats(30, 288);
      Owned sa = start, se = start;
      cpu().scatter_add_rows(sa, d, index);
      reference().scatter_add_rows(se, d, index);
      expect_near(sa, se, 1e-6, 1e-6);
    }
  }
}

TEST(Moving, Rope) {
  for (const auto& [head_dim, rotary] :
       {std::pair<int32_t, int32_t>{64, 64}, {80, 20}, {10, 6}, {128, 128}, {4, 0}}) {
    for (const bool interleaved : {false, true}) {
      for (const bool inverse : {false, true}) {
        Source source(8);
        const Owned x = source.floats(9, head_dim * 3, 1, 5), positions = source.indices(9, 5000);
        Owned frequencies(DType::f32, 1, rotary / 2);
        for (int32_t i = 0; i < rotary / 2; ++i)
          frequencies.at(0, i) =
              std::pow(10000.0F, -2.0F * static_cast<float>(i) / static_cast<float>(rotary));
        const Rope o{head_dim, rotary, interleaved, 1.1F, inverse};
        Owned a = x, e = x;
        for (int repeat = 0; repeat < 2; ++repeat) {
          cpu().rope(a, positions, frequencies, o);
          reference().rope(e, positions, frequencies, o);
        }
        expect_near(a, e, 1e-6, 1e-6);
      }
    }
  }
}

TEST(LogProbabilities, LikeTheReference) {
  for (const int64_t vocabulary : {1, 2, 15, 16, 17, 2047, 2049, 5003}) {
    for (const int64_t rows : {0, 1, 9}) {
      Source source(static_cast<uint64_t>(vocabulary));
      const Owned logits = source.floats(rows, vocabulary, 4, 3),
                  labels = source.indices(rows, static_cast<int32_t>(vocabulary));
      Owned weight = source.floats(1, rows);
      if (rows > 3) weight.at(0, 3) = 0.0F;
      for (const bool gradient : {false, true}) {
        Owned a = logits, e = logits, al(DType::f32, 1, rows), el = al, ab(DType::i32, 1, rows), eb = ab;
        cpu().log_probabilities(a, labels, al, ab, gradient ? *weight : Tensor());
        reference().log_probabilities(e, labels, el, eb, gradient ? *weight : Tensor());
        expect_near(al, el, 2e-6, 1e-6, "logp");
        expect_near(a, e, 1e-7, 4e-6, "dlogits");
        for (int64_t r = 0; r < rows; ++r) EXPECT_EQ(ab->as<int32_t>()[r], eb->as<int32_t>()[r]);
      }
    }
  }
}

TEST(LogProbabilities, FirstOfEqualLogitsAndNan) {
  Owned logits(DType::f32, 2, 40), labels(DType::i32, 1, 2), logp(DType::f32, 1, 2), best(DType::i32, 1, 2);
  cpu().fill(logits, 1.0F);
  logits.at(0, 7) = logits.at(0, 30) = 2.0F;
  logits.at(1, 20) = std::nanf("");
  cpu().log_probabilities(logits, labels, logp, best, Tensor());
  EXPECT_EQ(best->as<int32_t>()[0], 7);
  EXPECT_TRUE(std::isnan(logp.at(0, 1)));
}

TEST(Optimisers, LikeTheReference) {
  for (const int64_t n : {1, 17, 300}) {
    for (const int64_t gap : {0, 3}) {
      Source source(static_cast<uint64_t>(n));
      const Owned start = source.floats(3, n, 1, gap);
      Owned ap = start, ep = start, am(DType::f32, 3, n), em = am, av = am, ev = am;
      Owned ap2 = start, ep2 = start, as = am, es = am, ab = am, eb = am, ap3 = start, ep3 = start;
      for (int64_t step = 1; step <= 4; ++step) {
        const Owned grad = source.floats(3, n, 0.1F);
        const AdamW adam{1e-2F, 0.9F, 0.99F, 1e-8F, 0.1F, 0.5F, step};
        cpu().adamw(ap, grad, am, av, adam);
        reference().adamw(ep, grad, em, ev, adam);
        const RmsProp rms{1e-2F, 0.9F, 1e-8F, 0.01F, 0.5F, 0.5F};
        cpu().rmsprop(ap2, grad, as, ab, rms);
        reference().rmsprop(ep2, grad, es, eb, rms);
        const Sgd sgd{1e-2F, 0.0F, 0.01F, 2.0F};
        cpu().sgd(ap3, grad, Tensor(), sgd);
        reference().sgd(ep3, grad, Tensor(), sgd);
      }
      expect_near(ap, ep, 2e-6, 2e-6, "adamw");
      expect_near(ap2, ep2, 2e-6, 2e-6, "rmsprop");
      expect_near(ap3, ep3, 2e-6, 2e-6, "sgd");
    }
  }
}

TEST(Optimisers, EightBitState) {
  for (const int64_t n : {1, 255, 256, 257, 1000}) {
    Source source(static_cast<uint64_t>(n));
    const int64_t blocks = (n + dynamic_block - 1) / dynamic_block;
    const Owned start = source.floats(1, n);
    Owned p[2] = {start, start}, m[2] = {Owned(DType::u8, 1, n), Owned(DType::u8, 1, n)}, v[2] = {m[0], m[0]};
    Owned ms[2] = {Owned(DType::f32, 1, blocks), Owned(DType::f32, 1, blocks)}, vs[2] = {ms[0], ms[0]};
    for (int64_t step = 1; step <= 4; ++step) {
      const Owned grad = source.floats(1, n, 0.1F);
      const AdamW o{1e-2F, 0.9F, 0.99F, 1e-6F, 0.1F, 1.0F, step};
      // Both start each step from the same state: a value at a midpoint may take either code.
      p[1] = p[0], m[1] = m[0], v[1] = v[0], ms[1] = ms[0], vs[1] = vs[0];
      cpu().adamw_8bit(p[0], grad, m[0], v[0], ms[0], vs[0], o);
      reference().adamw_8bit(p[1], grad, m[1], v[1], ms[1], vs[1], o);
      expect_near(p[0], p[1], 2e-6, 2e-6);
      expect_near(ms[0], ms[1], 0, 1e-5);
      expect_near(vs[0], vs[1], 0, 1e-5);
      for (int64_t i = 0; i < n; ++i) {
        EXPECT_LE(std::abs(m[0]->as<uint8_t>()[i] - m[1]->as<uint8_t>()[i]), 1);
        EXPECT_LE(std::abs(v[0]->as<uint8_t>()[i] - v[1]->as<uint8_t>()[i]), 1);
      }
    }
  }
}

TEST(Optimisers, CodesAreTheNearestOfTheMap) {
  for (const bool is_signed : {true, false}) {
    const DynamicCodes& codes = dynamic_codes(is_signed);
    for (int32_t cell = 0; cell < DynamicCodes::cells; ++cell) {
      // The fast way needs that no cell holds two midpoints.
      const uint32_t begin = static_cast<uint32_t>(DynamicCodes::first_cell + cell)
                             << DynamicCodes::cell_shift;
      const float low = cell == 0 ? 0.0F : std::bit_cast<float>(begin),
                  high = std::min(1.0F, std::bit_cast<float>(begin | 0xFFFF));
      EXPECT_LE(codes.nearest(high) - codes.nearest(low), 1);
      EXPECT_LE(codes.nearest(-low) - codes.nearest(-high), 1);
    }
    for (size_t i = 0; i < 256; ++i) EXPECT_EQ(codes.nearest(codes.value[i]), i);
  }
}

TEST(SumSquares, AddsInDoublePrecisionWhateverTheThreads) {
  Source source(11);
  for (const int64_t gap : {0, 7}) {
    const Owned x = source.floats(37, 5001, 1, gap);
    Owned a(DType::f32, 1, 1), e(DType::f32, 1, 1), one(DType::f32, 1, 1);
    a.at(0, 0) = e.at(0, 0) = one.at(0, 0) = 3.0F;
    cpu().sum_squares(a, x);
    reference().sum_squares(e, x);
    EXPECT_FLOAT_EQ(a.at(0, 0), e.at(0, 0));
    const int before = threads();
    set_threads(1);
    cpu().sum_squares(one, x);
    set_threads(before);
    EXPECT_EQ(one.at(0, 0), a.at(0, 0));
  }
}

}  // namespace
}  // namespace fettle
