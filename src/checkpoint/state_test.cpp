#include "checkpoint/state.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <numeric>

#include "checkpoint/test_support.h"
#include "kernels/backends.h"

namespace fettle {
namespace {

Backend& host() {
  static const auto backend = make_cpu_backend();
  return *backend;
}

std::vector<float> numbers(size_t count, float first) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST(State, GoesToADeviceAndBack) {
  const TemporaryFolder folder;
  const auto device = make_backend("reference");
  const Buffer memory(160, device->memory());
  const Tensor m(memory.data(), DType::f32, 4, 10);
  const auto values = numbers(40, 0.1F);
  device->copy_from_host(m, values.data());
  save_state(folder.path() / "state", {{"m", m}}, {{"step", 1}}, *device);
  device->fill(m, 0.0F);
  const SavedState saved(folder.path() / "state");
  saved.restore("m", m, *device);
  std::vector<float> back(40);
  device->copy_to_host(back.data(), m);
  EXPECT_EQ(back, values);
}

TEST(State, ComesBackBitForBit) {
  const TemporaryFolder folder;
  auto m = numbers(40, 0.1F);
  std::vector<uint8_t> moments{7, 8, 9};
  const fs::path path = folder.path() / "out" / "state";
  EXPECT_FALSE(has_state(path));
  save_state(path, {{"m", {m.data(), DType::f32, 4, 10}}, {"v8", {moments.data(), DType::u8, 1, 3}}},
             {{"step", 12}, {"loss", 0.1 + 0.2}}, host());
  EXPECT_TRUE(has_state(path));
  const SavedState saved(path);
  EXPECT_EQ(saved.json()["step"], 12);
  EXPECT_EQ(saved.json()["loss"].get<double>(), 0.1 + 0.2);
  std::vector<float> back(40);
  saved.restore("m", {back.data(), DType::f32, 4, 10}, host());
  EXPECT_EQ(back, m);
  EXPECT_NE(error_text([&] {
              saved.restore("m", {back.data(), DType::f32, 10, 4}, host());
            }).find("configuration"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              saved.restore("n", {back.data(), DType::f32, 4, 10}, host());
            }).find("'n' is missing"),
            std::string::npos);
}

TEST(State, AnEarlierStateStaysReadableWhileItIsReplaced) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "state";
  auto old_values = numbers(8, 1), new_values = numbers(8, 100);
  save_state(path, {{"x", {old_values.data(), DType::f32, 1, 8}}}, {{"step", 1}}, host());
  const SavedState before(path);
  save_state(path, {{"x", {new_values.data(), DType::f32, 1, 8}}}, {{"step", 2}}, host());
  std::vector<float> back(8);
  before.restore("x", {back.data(), DType::f32, 1, 8}, host());
  EXPECT_EQ(back, old_values);
  EXPECT_EQ(SavedState(path).json()["step"], 2);
}

TEST(State, DamageIsNoticed) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "state";
  auto values = numbers(8, 1);
  const auto save = [&] { save_state(path, {{"x", {values.data(), DType::f32, 1, 8}}}, {{"step", 1}}, host()); };
  const auto error = [&] { return error_text([&] { SavedState state(path); }); };
  save();
  std::string bytes = read_file(path / "state.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(path / "state.safetensors", bytes);
  EXPECT_NE(error().find("checksum"), std::string::npos);
  save();
  fs::remove(path / "state.safetensors");
  EXPECT_NE(error().find("missing"), std::string::npos);
  save();
  std::string json = read_file(path / "state.json");
  json.replace(json.find("step"), 4, "stop");
  write_file(path / "state.json", json);
  EXPECT_NE(error().find("checksum"), std::string::npos);
  write_file(path / "state.json", "{\"format\": 99}");
  EXPECT_NE(error().find("format 99"), std::string::npos);
  write_file(path / "state.json", "[");
  EXPECT_NE(error(), "");
}

TEST(State, AKillAtAnyMomentLeavesAWholeState) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "state";
  std::vector<float> values(1 << 16);
  const auto save = [&](int step) {
    std::fill(values.begin(), values.end(), static_cast<float>(step));
    save_state(path, {{"x", {values.data(), DType::f32, 256, 256}}}, {{"step", step}}, host());
  };
  save(0);
  int last = 0;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int step = last + 1;; ++step) save(step);
    }
    ::usleep(static_cast<useconds_t>(2000 + round * 1700));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const SavedState saved(path);
    const int step = saved.json()["step"].get<int>();
    EXPECT_GE(step, last);
    saved.restore("x", {values.data(), DType::f32, 256, 256}, host());
    EXPECT_EQ(values.front(), static_cast<float>(step));
    EXPECT_EQ(values.back(), static_cast<float>(step));
    last = step;
  }
  save(last + 1);
  for (const auto& entry : fs::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "state") << "left behind";
}

}  // namespace
}  // namespace fettle
