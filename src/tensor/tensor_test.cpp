#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include "tensor/memory.h"

namespace fettle {
namespace {

TEST(DType, NamesRoundTripAndBlocksHaveTheirSizes) {
  for (int i = 0; i <= static_cast<int>(DType::q6_k); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(row_bytes(DType::q4_k, 512), 288);
  EXPECT_EQ(row_bytes(DType::q4_1, 576), 360);
  EXPECT_FALSE(dtype_from_name("q7"));
}

TEST(Tensor, SlicesAreViews) {
  Buffer buffer(6 * 4 * 4);
  Tensor tensor(buffer.data(), DType::f32, 6, 4);
  tensor.row<float>(3)[2] = 7;
  const Tensor part = tensor.row_slice(2, 5).col_slice(1, 3);
  EXPECT_EQ(part.rows, 3);
  EXPECT_EQ(part.cols, 2);
  EXPECT_FALSE(part.contiguous());
  EXPECT_EQ(part.row<float>(1)[1], 7);
}

TEST(Arena, MeasuresThenDeals) {
  Arena arena;
  const auto plan = [&] {
    arena.take(3, 5);
    ArenaScope scope(arena);
    return arena.take(DType::bf16, 10, 10);
  };
  EXPECT_TRUE(plan().empty());
  EXPECT_EQ(arena.peak(), 64 + 256);
  arena.reserve(arena.peak());
  EXPECT_FALSE(plan().empty());
  EXPECT_EQ(arena.used(), 64);
  EXPECT_THROW(arena.take(100, 100), Error);
}

TEST(Memory, Reports) {
  EXPECT_GT(resident_bytes(), 0);
  EXPECT_GE(peak_resident_bytes(), resident_bytes() / 2);
  EXPECT_GT(available_bytes(), 0);
}

}  // namespace
}  // namespace fettle
