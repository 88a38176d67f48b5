#include "tensor/dtype.h"

#include <array>

#include "base/error.h"

namespace fettle {
namespace {

struct Row {
  std::string_view name;
  BlockLayout layout;
};
constexpr std::array<Row, 16> table{{{"f32", {1, 4}},      {"f16", {1, 2}},      {"bf16", {1, 2}},     {"i32", {1, 4}},
                                     {"u8", {1, 1}},       {"i8", {1, 1}},       {"q8_0", {32, 34}},   {"q4_0", {32, 18}},
                                     {"q4_1", {32, 20}},   {"q5_0", {32, 22}},   {"q5_1", {32, 24}},   {"q2_k", {256, 84}},
                                     {"q3_k", {256, 110}}, {"q4_k", {256, 144}}, {"q5_k", {256, 176}}, {"q6_k", {256, 210}}}};

const Row& row_of(DType dtype) { return table[static_cast<size_t>(dtype)]; }

}  // namespace

BlockLayout block_layout(DType dtype) { return row_of(dtype).layout; }

int64_t row_bytes(DType dtype, int64_t elements) {
  const auto layout = block_layout(dtype);
  FETTLE_CHECK(elements % layout.elements == 0);
  return elements / layout.elements * layout.bytes;
}

std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (table[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace fettle
