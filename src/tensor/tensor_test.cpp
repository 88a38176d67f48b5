#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <limits>

#include "base/file.h"
#include "tensor/memory.h"
#include "tensor/process_memory.h"

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
  EXPECT_FALSE(plan().allocated());
  EXPECT_EQ(arena.peak(), 64 + 256);
  arena.reserve(arena.peak());
  EXPECT_TRUE(plan().allocated());
  EXPECT_EQ(arena.used(), 64);
  EXPECT_THROW(arena.take(100, 100), Error);
}

TEST(Tensor, AbsentIsNotUnallocated) {
  EXPECT_TRUE(Tensor().absent());
  const Tensor planned = Arena().take(3, 5);
  EXPECT_FALSE(planned.absent());
  EXPECT_FALSE(planned.allocated());
  const Tensor part = planned.row_slice(1, 3).col_slice(2, 4);
  EXPECT_FALSE(part.allocated());
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 2);
  EXPECT_EQ(part.stride, 5);
}

TEST(Memory, Reports) {
  EXPECT_GT(resident_bytes(), 0);
  EXPECT_GE(peak_resident_bytes(), resident_bytes() / 2);
  EXPECT_GT(available_bytes(), 0);
  EXPECT_LE(anonymous_bytes(), resident_bytes());
}

class ControlGroups : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& file, const std::string& text) {
    fs::create_directories((folder_ / file).parent_path());
    write_file(folder_ / file, text);
  }
  int64_t room() { return control_group_room(folder_ / "cgroup", folder_ / "sys"); }
  fs::path folder_ = fs::temp_directory_path() / fmt::format("fettle-groups-{}", ::getpid());
};

TEST_F(ControlGroups, TheLeastOfAllGroupsAboveCounts) {
  put("cgroup", "0::/a/b\n");
  EXPECT_EQ(room(), std::numeric_limits<int64_t>::max());
  put("sys/a/b/memory.max", "max\n");
  put("sys/a/b/memory.current", "100\n");
  EXPECT_EQ(room(), std::numeric_limits<int64_t>::max());
  put("sys/a/memory.max", "1000\n");
  put("sys/a/memory.current", "400\n");
  put("sys/a/memory.stat", "anon 5\ninactive_file 150\n");
  EXPECT_EQ(room(), 750);
  put("sys/a/b/memory.max", "90\n");
  EXPECT_EQ(room(), 0);
}

TEST_F(ControlGroups, VersionOne) {
  put("cgroup", "12:cpu,memory:/job\n3:pids:/job\n0::/\n");
  put("sys/memory/job/memory.limit_in_bytes", "500\n");
  put("sys/memory/job/memory.usage_in_bytes", "200\n");
  EXPECT_EQ(room(), 300);
}

}  // namespace
}  // namespace fettle
