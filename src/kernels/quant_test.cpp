#include "kernels/quant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "base/json.h"
#include "kernels/half.h"

namespace fettle {
namespace {

std::string from_base64(const std::string& text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = digits.find(c);
    if (digit == std::string_view::npos) continue;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8) & 0xFFU));
  }
  return bytes;
}

std::vector<float> floats(const std::string& base64) {
  const std::string bytes = from_base64(base64);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

const Json& golden() {
  static const Json json = read_json("tests/golden/kernels/quant.json");
  return json;
}

std::string quantized(DType dtype, const std::vector<float>& values) {
  std::string row(static_cast<size_t>(row_bytes(dtype, static_cast<int64_t>(values.size()))), '\xAA');
  quantize_row(dtype, values.data(), row.data(), static_cast<int64_t>(values.size()));
  return row;
}

TEST(Quant, BytesEqualGgmls) {
  const auto values = floats(golden()["values"]);
  ASSERT_EQ(values.size(), 1280U);
  for (const auto& [name, bytes] : golden()["bytes"].items()) {
    const DType dtype = dtype_from_name(name).value();
    EXPECT_TRUE(can_quantize(dtype));
    const std::string expected = from_base64(bytes), found = quantized(dtype, values);
    ASSERT_EQ(found.size(), expected.size()) << name;
    const auto block = static_cast<size_t>(block_layout(dtype).bytes);
    for (size_t i = 0; i < found.size(); ++i)
      ASSERT_EQ(found[i], expected[i]) << name << " block " << i / block << " byte " << i % block;
  }
}

TEST(Quant, ValuesOfAnyBlockEqualTheGgufPackages) {
  for (const auto& [name, bytes] : golden()["random"].items()) {
    const std::string row = from_base64(bytes);
    const auto expected = floats(golden()["decoded"][name]);
    std::vector<float> found(expected.size());
    dequantize_row(dtype_from_name(name).value(), row.data(), found.data(),
                   static_cast<int64_t>(found.size()));
    for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], expected[i]) << name << " value " << i;
  }
}

TEST(Quant, HalvesRoundLikeNumpysAndGgmls) {
  const auto values = floats(golden()["values"]);
  EXPECT_EQ(quantized(DType::f16, values), from_base64(golden()["f16"]));
  EXPECT_EQ(quantized(DType::bf16, values), from_base64(golden()["bf16"]));
}

TEST(Quant, EveryHalfComesBackAndEveryMidpointGoesToEven) {
  for (uint32_t half = 0; half < 0x7C00; ++half) {
    const float value = f16_to_float(static_cast<uint16_t>(half));
    ASSERT_EQ(value, std::ldexp(static_cast<float>(half < 0x400 ? half : (half & 0x3FF) | 0x400),
                                static_cast<int>(half < 0x400 ? 1 : half >> 10) - 25));
    ASSERT_EQ(float_to_f16(value), half);
    ASSERT_EQ(float_to_f16(-value), half | 0x8000U);
    const float next = half == 0x7BFF ? 65536.0F : f16_to_float(static_cast<uint16_t>(half + 1));
    const float middle = (value + next) / 2;
    ASSERT_EQ(float_to_f16(middle), half + (half & 1U)) << half;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 0.0F)), half);
    ASSERT_EQ(float_to_f16(std::nextafter(middle, next)), half + 1);
  }
  EXPECT_TRUE(std::isinf(f16_to_float(0x7C00)));
  EXPECT_TRUE(std::isnan(f16_to_float(0x7E00)));
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::quiet_NaN()) & 0x7FFFU, 0x7E00U);
  EXPECT_EQ(float_to_f16(1e30F), 0x7C00U);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7F800001U)))));
  EXPECT_EQ(bf16_to_float(float_to_bf16(3.4e38F)), std::numeric_limits<float>::infinity());
}

TEST(Quant, AMultipleOfTheTypesOwnValuesIsKept) {
  // Rounding what was already rounded must change nothing: an export of an untouched Q8_0 weight is that
  // weight.
  std::vector<float> values(256);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 37 % 255) - 127) * 0.0078125F;
  for (size_t block = 0; block < 8; ++block) values[block * 32] = 127 * 0.0078125F;
  std::vector<float> back(values.size());
  dequantize_row(DType::q8_0, quantized(DType::q8_0, values).data(), back.data(), 256);
  EXPECT_EQ(back, values);
}

TEST(Quant, ErrorShrinksWithTheBits) {
  const auto values = floats(golden()["values"]);
  const auto error = [&](DType dtype) {
    std::vector<float> back(values.size());
    dequantize_row(dtype, quantized(dtype, values).data(), back.data(), static_cast<int64_t>(back.size()));
    double sum = 0;
    for (size_t i = 0; i < 256; ++i) sum += std::pow(back[i] - values[i], 2);
    return std::sqrt(sum / 256) / 0.05;
  };
  EXPECT_LT(error(DType::q4_0), 0.12);
  EXPECT_LT(error(DType::q4_k), 0.09);
  EXPECT_LT(error(DType::q5_k), 0.045);
  EXPECT_LT(error(DType::q6_k), 0.025);
  EXPECT_LT(error(DType::q8_0), 0.007);
  EXPECT_LT(error(DType::bf16), 0.003);
  EXPECT_LT(error(DType::f16), 0.0005);
}

TEST(Quant, ValuesThatAreNotFiniteAreHarmless) {
  std::vector<float> values(256, 0.5F);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[40] = std::numeric_limits<float>::infinity();
  values[200] = -std::numeric_limits<float>::max();
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k,
                            DType::q5_k, DType::q6_k}) {
    EXPECT_EQ(static_cast<int64_t>(quantized(dtype, values).size()), row_bytes(dtype, 256));
  }
}

}  // namespace
}  // namespace fettle
