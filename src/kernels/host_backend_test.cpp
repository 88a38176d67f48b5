// What backends on host memory share: groups of rows equal one group after the other, rounding keeps the mean.
#include "kernels/host_backend.h"

#include "kernels/test_support.h"

namespace fettle {
namespace {

using testing::cpu;
using testing::expect_near;
using testing::Owned;
using testing::reference;
using testing::Source;

TEST(ScatterRows, WritesRowsOfAnyType) {
  Source source(1);
  for (Backend* backend : {&cpu(), &reference()}) {
    for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
      const Owned x = source.floats(3, 40, 1.0F, 2), dst = source.of(type, 7, 40);
      Owned rows(DType::i32, 1, 3), wanted(DType::f32, 7, 40), found(DType::f32, 7, 40), rounded(type, 3, 40);
      backend->copy(rounded, x);
      backend->copy(wanted, dst);
      const int32_t places[3] = {5, 0, 6};
      for (int i = 0; i < 3; ++i) {
        rows->as<int32_t>()[i] = places[i];
        backend->copy(wanted->row_slice(places[i], places[i] + 1), rounded->row_slice(i, i + 1));
      }
      backend->scatter_rows(dst, x, rows);
      backend->copy(found, dst);
      expect_near(found, wanted, 0, 0);
    }
  }
}

/// Rows 0…2 belong to group 0, none to group 1, rows 3…7 to group 2.
Owned bounds() {
  Owned begin(DType::i32, 1, 4);
  const int32_t values[4] = {0, 3, 3, 8};
  std::copy_n(values, 4, begin->as<int32_t>());
  return begin;
}

TEST(Groups, PicksAreSortedByExpertThenByPlace) {
  Owned picks(DType::i32, 4, 2), begin(DType::i32, 1, 4), order(DType::i32, 1, 8), tokens(DType::i32, 1, 8),
      counts(DType::i32, 1, 3);
  const int32_t chosen[8] = {2, 0, 0, 2, 2, 0, 2, 2};
  std::copy_n(chosen, 8, picks->as<int32_t>());
  counts->as<int32_t>()[1] = 4;
  cpu().group_picks(begin, order, tokens, counts, picks);
  const auto words = [](const Owned& x) { return std::vector<int32_t>(x->as<int32_t>(), x->as<int32_t>() + x->size()); };
  EXPECT_EQ(words(begin), (std::vector<int32_t>{0, 3, 3, 8}));
  EXPECT_EQ(words(order), (std::vector<int32_t>{1, 2, 5, 0, 3, 4, 6, 7}));
  EXPECT_EQ(words(tokens), (std::vector<int32_t>{0, 1, 2, 0, 1, 2, 3, 3}));
  EXPECT_EQ(words(counts), (std::vector<int32_t>{3, 4, 5}));
}

TEST(Groups, ProductsUseTheFirstColumnsOfEachGroup) {
  Source source(2);
  const Owned a = source.floats(8, 12), begin = bounds(), first = source.floats(5, 12), last = source.floats(7, 10);
  for (Backend* backend : {&cpu(), &reference()}) {
    Owned c = source.floats(8, 7), expected = c;
    const std::vector<GroupMatrix> b{{first, 2.0F}, {}, {last, 1.0F}};
    backend->grouped_matmul(c, a, b, begin, {.transpose_b = true, .beta = 1.0F});
    backend->matmul(expected->row_slice(0, 3).col_slice(0, 5), a->row_slice(0, 3), first,
                    {.transpose_b = true, .alpha = 2.0F, .beta = 1.0F});
    backend->matmul(expected->row_slice(3, 8), a->row_slice(3, 8).col_slice(0, 10), last,
                    {.transpose_b = true, .beta = 1.0F});
    expect_near(c, expected, 0, 0);

    Owned db = source.floats(7, 10), db_expected = db;
    const std::vector<GroupMatrix> gradients{{}, {}, {db, 0.5F}};
    backend->grouped_matmul_gradient(gradients, c, a, begin, Product::f32);
    backend->matmul(db_expected, c->row_slice(3, 8), a->row_slice(3, 8).col_slice(0, 10),
                    {.transpose_a = true, .alpha = 0.5F, .beta = 1.0F});
    expect_near(db, db_expected, 0, 0);
  }
}

TEST(Groups, FactorsSumsAndDropoutKeepToTheirRows) {
  Source source(3);
  const Owned begin = bounds(), x = source.floats(8, 6), factors = source.floats(1, 6);
  Owned scaled = x, sums(DType::f32, 1, 6), dropped = x, alone = x;
  cpu().grouped_multiply(scaled, std::vector<Tensor>{Tensor(), Tensor(), factors}, begin);
  cpu().grouped_column_sums(std::vector<Tensor>{sums, Tensor(), Tensor()}, x, begin);
  cpu().grouped_dropout(dropped, 0.5F, 7, std::vector<uint64_t>{0, 9, 11}, begin);
  cpu().dropout(alone->row_slice(3, 8), 0.5F, 7, 11);
  expect_near(dropped, alone, 0, 0);
  for (int64_t j = 0; j < 6; ++j) {
    EXPECT_EQ(scaled.at(2, j), x.at(2, j));
    EXPECT_EQ(scaled.at(3, j), x.at(3, j) * factors.at(0, j));
    EXPECT_NEAR(sums.at(0, j), x.at(0, j) + x.at(1, j) + x.at(2, j), 1e-6);
  }
}

TEST(StochasticRounding, GivesANeighbourAndKeepsTheMean) {
  constexpr int64_t count = 40000;
  Owned x(DType::f32, 1, count), y(DType::bf16, 1, count), again = y;
  const float value = 1.0F + 3.0F / 1024.0F;  // between 1 and 1 + 8/1024
  for (int64_t i = 0; i < count; ++i) x.at(0, i) = i % 2 == 0 ? value : -value;
  cpu().round_stochastically(y, x, 5, 6);
  cpu().round_stochastically(again, x, 5, 6);
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const float rounded = bf16_to_float(y->as<uint16_t>()[i]);
    ASSERT_TRUE(std::abs(rounded) == 1.0F || std::abs(rounded) == 1.0F + 8.0F / 1024.0F) << rounded;
    ASSERT_EQ(y->as<uint16_t>()[i], again->as<uint16_t>()[i]);
    sum += double{std::abs(rounded)};
  }
  EXPECT_NEAR(sum / count, double{value}, 4.0 * 0.004 / std::sqrt(static_cast<double>(count)));
  x.at(0, 0) = std::numeric_limits<float>::infinity();
  x.at(0, 1) = std::numeric_limits<float>::quiet_NaN();
  x.at(0, 2) = 0.0F;
  cpu().round_stochastically(y, x, 5, 7);
  EXPECT_EQ(bf16_to_float(y->as<uint16_t>()[0]), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(bf16_to_float(y->as<uint16_t>()[1])));
  EXPECT_EQ(bf16_to_float(y->as<uint16_t>()[2]), 0.0F);
}

}  // namespace
}  // namespace fettle
