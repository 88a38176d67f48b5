// A device without a device: what the host may do with its memory, and what ends it.
#include "kernels/reference/guarded_memory.h"

#include "kernels/backends.h"
#include "kernels/test_support.h"

namespace fettle {
namespace {

TEST(Guarded, MovesAndComputesWhatTheBackendBehindItDoes) {
  const auto device = make_backend("reference");
  EXPECT_FALSE(device->memory().is_host());
  const Buffer memory(32 * 4, device->memory());
  const Tensor x(memory.data(), DType::f32, 4, 8);
  std::vector<float> values(32), back(32);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  device->copy_from_host(x, values.data());
  device->scale(x.row_slice(1, 3), 2.0F);
  device->copy_to_host(back.data(), x);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(back[i], values[i] * (i >= 8 && i < 24 ? 2.0F : 1.0F));
}

TEST(GuardedDeathTest, TheHostCannotTouchItsMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto device = make_backend("reference:cpu");
  const Buffer memory(64, device->memory());
  const Tensor x(memory.data(), DType::f32, 4, 4);
  EXPECT_DEATH(EXPECT_EQ(x.row<float>(1)[0], 0.0F), "");
  EXPECT_DEATH(x.row<float>(1)[0] = 1.0F, "");
}

TEST(GuardedDeathTest, ItsKernelsTakeNoOtherMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto device = make_backend("reference");
  std::vector<float> host(16);
  EXPECT_DEATH(device->fill(Tensor(host.data(), DType::f32, 4, 4), 1.0F), "broken invariant");
  Tensor released;
  {
    const Buffer memory(64, device->memory());
    EXPECT_DEATH(device->fill(Tensor(memory.data(), DType::f32, 5, 4), 1.0F), "broken invariant");
    released = Tensor(memory.data(), DType::f32, 4, 4);
  }
  EXPECT_DEATH(device->fill(released, 1.0F), "broken invariant");
}

TEST(Device, NamesAreOfBackendsOrOfErrors) {
  EXPECT_TRUE(make_backend("auto")->memory().is_host());
  EXPECT_TRUE(make_backend("cpu")->memory().is_host());
  for (const char* name : {"cuda", "cuda:0", "tpu", ""}) {
    try {
      make_backend(name);
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::usage);
      EXPECT_NE(std::string(error.what()).find(std::string(name).starts_with("cuda") ? "no CUDA backend" : "cpu"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace fettle
