#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/unpack.h"
#include "kernels/half.h"
#include "kernels/test_support.h"

namespace fettle {
namespace {

using testing::cpu;
using testing::expect_near;
using testing::Owned;
using testing::reference;
using testing::Source;

struct Shape {
  int64_t m, n, k;
};

/// One product on both backends, with gaps between rows.
void compare(const Shape& shape, DType a_type, DType b_type, MatMul o, double tolerance, int64_t gap = 3) {
  Source source(static_cast<uint64_t>(shape.m * 131 + shape.n * 17 + shape.k));
  const int64_t b_gap = is_quantized(b_type) ? block_layout(b_type).elements : gap;
  const Owned a = o.transpose_a ? source.of(a_type, shape.k, shape.m, 1, gap)
                                : source.of(a_type, shape.m, shape.k, 1, gap);
  const Owned b = o.transpose_b ? source.of(b_type, shape.n, shape.k, 1, b_gap)
                                : source.of(b_type, shape.k, shape.n, 1, b_gap);
  const Owned start = source.floats(shape.m, shape.n, 1, gap);
  Owned actual = start, expected = start;
  cpu().matmul(actual, a, b, o);
  reference().matmul(expected, a, b, o);
  const double size = std::max(1.0, testing::largest(expected));
  expect_near(actual, expected, tolerance * size, 0,
              (std::string(dtype_name(a_type)) + " x " + std::string(dtype_name(b_type)) + " m " +
               std::to_string(shape.m) + " n " + std::to_string(shape.n) + " k " + std::to_string(shape.k))
                  .c_str());
}

TEST(Product, EveryFormAtAwkwardSizes) {
  for (const Shape& shape : {Shape{1, 1, 1},
                             {1, 17, 33},
                             {3, 5, 7},
                             {8, 31, 64},
                             {9, 16, 15},
                             {17, 33, 65},
                             {64, 96, 32},
                             {2, 0, 5},
                             {0, 3, 4},
                             {5, 3, 0}}) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        for (const auto& [alpha, beta] :
             {std::pair{1.0F, 0.0F}, {1.0F, 1.0F}, {-0.5F, 0.0F}, {2.0F, 0.25F}}) {
          compare(shape, DType::f32, DType::f32, {transpose_a, transpose_b, alpha, beta, Product::f32}, 2e-6);
        }
      }
    }
  }
}

TEST(Product, WritesOverNanWhenBetaIsZero) {
  for (const int64_t m : {1, 20}) {
    Source source;
    const Owned a = source.floats(m, 16), b = source.floats(24, 16);
    Owned c(DType::f32, m, 24);
    reference().fill(c, std::nanf(""));
    cpu().matmul(c, a, b, {.transpose_b = true});
    for (int64_t i = 0; i < m; ++i) EXPECT_FALSE(std::isnan(c.at(i, 5)));
  }
}

TEST(Product, EveryTypeOfWeights) {
  for (const DType type :
       {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
        DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k}) {
    for (const int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 33}) {
      for (const bool transpose_b : {true, false}) {
        const Shape shape = transpose_b ? Shape{m, 37, 512} : Shape{m, 512, 37};
        compare(shape, DType::f32, type, {.transpose_b = transpose_b}, 3e-6);
        compare(shape, DType::bf16, type, {.transpose_b = transpose_b, .alpha = 0.5F, .beta = 1.0F}, 3e-6);
      }
    }
    if (is_quantized(type)) continue;
    compare({5, 19, 31}, DType::f32, type, {.transpose_b = true}, 2e-6);
    compare({40, 19, 31}, DType::f32, type, {.transpose_a = true}, 2e-6);
  }
}

TEST(Product, EveryNumberOfRowsBetweenFewAndMany) {
  for (const int64_t m : {5, 8, 11, 16, 17, 24, 25, 32, 47, 64, 95, 96, 97}) {
    // Columns that are one piece, several, and a piece with a rest; weight rows that are no whole tile.
    compare({m, 61, 31}, DType::f32, DType::f32, {.transpose_b = true}, 3e-6);
    compare({m, 50, 1100}, DType::f32, DType::f32, {.transpose_b = true, .alpha = -0.5F, .beta = 2.0F}, 3e-6);
    compare({m, 13, 1120}, DType::f32, DType::q4_1, {.transpose_b = true, .beta = 1.0F}, 3e-6);
    compare({m, 49, 768}, DType::bf16, DType::q6_k, {.transpose_b = true}, 3e-6);
  }
}

TEST(Product, ARowIsTheSameBitForBitWhateverStandsBesideIt) {
  for (const DType type :
       {DType::f32, DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
        DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k}) {
    // Columns that are one piece and several, and no whole vector where the type allows it; odd weight rows.
    for (const int64_t k : is_quantized(type) ? std::vector<int64_t>{256, 1792} : std::vector<int64_t>{61, 1555}) {
      Source source(static_cast<uint64_t>(k));
      const int64_t most = 131, n = 53;
      const Owned a = source.floats(most, k, 1, 3), b = source.of(type, n, k);
      const MatMul o{.transpose_b = true, .alpha = 0.7F, .beta = 0.5F, .batch_invariant = true};
      const Owned start = source.floats(most, n);
      Owned all = start;
      cpu().matmul(all, a, b, o);
      for (const int64_t m : {1, 2, 3, 4, 5, 7, 12, 31, 96, 97, 130}) {
        const int64_t first = most - m;
        Owned some = start;
        cpu().matmul(some->row_slice(first, most), a->row_slice(first, most), b, o);
        for (int64_t i = first; i < most; ++i) {
          ASSERT_EQ(0, std::memcmp(all->row<float>(i), some->row<float>(i), static_cast<size_t>(n) * 4))
              << dtype_name(type) << " k " << k << " m " << m << " row " << i;
        }
      }
    }
  }
}

TEST(Product, Bf16RoundsOperandsAndSumsInFloat) {
  if (!cpu().has_bf16()) GTEST_SKIP() << "skipped: no bf16 products on this machine or level";
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      Source source(7);
      const int64_t m = 65, n = 47, k = 300;
      const Owned a = transpose_a ? source.floats(k, m, 1, 5) : source.floats(m, k, 1, 5);
      const Owned b = transpose_b ? source.floats(n, k, 1, 1) : source.floats(k, n, 1, 1);
      Owned a_rounded(DType::bf16, a->rows, a->cols), b_rounded(DType::bf16, b->rows, b->cols);
      reference().copy(a_rounded, a);
      reference().copy(b_rounded, b);
      const Owned start = source.floats(m, n);
      Owned actual = start, mixed = start, expected = start;
      const MatMul o{transpose_a, transpose_b, 1.0F, 1.0F, Product::bf16};
      cpu().matmul(actual, a, b, o);
      cpu().matmul(mixed, a, b_rounded, o);
      reference().matmul(expected, a_rounded, b_rounded, o);
      expect_near(actual, expected, 2e-5, 2e-5);
      expect_near(mixed, expected, 2e-5, 2e-5);
    }
  }
}

TEST(Product, LargeOperandsAreConvertedInSlices) {
  // Each form makes another dimension the longest; 3 million converted values exceed a slice.
  const Product product = cpu().has_bf16() ? Product::bf16 : Product::f32;
  const double tolerance = cpu().has_bf16() ? 1e-2 : 1e-6;
  compare({12, 9000, 512}, DType::f32, DType::f16, {.transpose_b = true, .product = product}, tolerance);
  compare({12, 9000, 512}, DType::bf16, DType::q8_0, {.transpose_b = true, .product = product}, tolerance);
  compare({9000, 12, 512}, DType::bf16, DType::f32, {.transpose_a = true, .product = product}, tolerance);
  compare({9000, 12, 512}, DType::f32, DType::f16, {.product = product}, tolerance);
  compare({12, 512, 9000}, DType::f32, DType::f16, {.beta = 1.0F, .product = product}, tolerance);
  compare({12, 512, 9216}, DType::f32, DType::q8_0, {.transpose_b = true, .product = product}, tolerance);
}

TEST(Product, UnpacksToTheValuesOfDequantizeRow) {
  for (const DType type : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q2_k,
                           DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k}) {
    Source source(3);
    const Owned x = source.of(type, 3, 768);
    Owned expected(DType::f32, 3, 768), actual(DType::f32, 3, 768), half(DType::bf16, 3, 768),
        half_expected(DType::bf16, 3, 768);
    reference().copy(expected, x);
    reference().copy(half_expected, expected);
    cpu::unpack_rows(x, actual->data, false, 0, 3);
    cpu::unpack_rows(x, half->data, true, 0, 3);
    // Equal as numbers: the sign of a zero may differ.
    const auto a = actual->flat<float>(), e = expected->flat<float>();
    EXPECT_TRUE(std::equal(a.begin(), a.end(), e.begin())) << dtype_name(type);
    const auto h = half->flat<uint16_t>(), he = half_expected->flat<uint16_t>();
    EXPECT_TRUE(std::equal(h.begin(), h.end(), he.begin(), [](uint16_t x, uint16_t y) {
      return bf16_to_float(x) == bf16_to_float(y);
    })) << dtype_name(type);
  }
}

TEST(Product, SameCallSameBits) {
  Source source(5);
  const Owned a = source.floats(100, 300), b = source.floats(70, 300);
  Owned first(DType::f32, 100, 70), second(DType::f32, 100, 70);
  cpu().matmul(first, a, b, {.transpose_b = true});
  cpu().matmul(second, a, b, {.transpose_b = true});
  EXPECT_EQ(std::memcmp(first->data, second->data, 100 * 70 * 4), 0);
}

/// In the order of $FETTLE_CPU's words.
constexpr std::pair<const char*, const char*> levels[] = {
    {"baseline", "cpu baseline"}, {"avx2", "cpu avx2"}, {"avx512", "cpu avx512"}, {"bf16", "cpu avx512 bf16"}, {"amx", "cpu amx"}};

size_t level_of(std::string_view name) {
  const auto found = std::ranges::find_if(levels, [&](const auto& level) { return level.second == name; });
  return static_cast<size_t>(found - std::begin(levels));
}

TEST(Level, IsNoWiderThanTheEnvironmentSays) {
  ASSERT_LT(level_of(cpu().name()), std::size(levels));
  EXPECT_EQ(cpu().has_bf16(), level_of(cpu().name()) >= level_of("cpu avx512 bf16"));
  const char* forced = std::getenv("FETTLE_CPU");
  if (forced == nullptr) return;
  const auto asked = std::ranges::find_if(levels, [&](const auto& level) { return std::string_view(level.first) == forced; });
  ASSERT_NE(asked, std::end(levels)) << forced;
  EXPECT_LE(level_of(cpu().name()), static_cast<size_t>(asked - std::begin(levels)));
}

/// A process decides once, so each level gets one of its own; the machine's widest is what this one has, or its environment says.
TEST(Level, EachThatTheMachineHasCanBeForced) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (size_t i = 0; i <= level_of(cpu().name()); ++i) {
    const std::string call = fmt::format("FETTLE_CPU={} '{}' --gtest_filter=Level.IsNoWiderThanTheEnvironmentSays:Product.SameCallSameBits > /dev/null 2>&1",
                                         levels[i].first, self);
    EXPECT_EQ(std::system(call.c_str()), 0) << call;
  }
}

TEST(Level, CannotNarrowLater) {
  const std::string name(cpu().name());
  if (name == "cpu avx2" || name == "cpu baseline") GTEST_SKIP() << "skipped: nothing narrower to ask for";
  EXPECT_THROW(make_cpu_backend(CpuLevel::avx2), Error);
  EXPECT_EQ(make_cpu_backend()->name(), name);
}

}  // namespace
}  // namespace fettle
