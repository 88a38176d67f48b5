#include "parallel/process_group.h"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace fettle::parallel {
namespace {

class Alone final : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int on_this_machine() const override { return 1; }
  bool leads_machine() const override { return true; }
  std::string name(int) const override { return "the only process"; }
  void barrier() override {}
  void all_reduce(std::span<const FlatBuffer>) override {}
  void reduce_scatter(FlatBuffer from, FlatBuffer to) override { copy(from, to); }
  void all_gather(FlatBuffer from, FlatBuffer to) override { copy(from, to); }
  void broadcast(std::span<const FlatBuffer>, int) override {}
  std::vector<std::string> gather(std::string_view bytes, int) override { return {std::string(bytes)}; }
  std::vector<std::string> all_gather(std::string_view bytes) override { return {std::string(bytes)}; }
  std::vector<std::string> all_to_all(std::vector<std::string> to) override { return to; }
  [[noreturn]] void abort(int status) override { std::_Exit(status); }

 private:
  static void copy(FlatBuffer from, FlatBuffer to) {
    FETTLE_CHECK(from.bytes() == to.bytes());
    if (from.data != to.data && from.bytes() > 0) std::memmove(to.data, from.data, static_cast<size_t>(from.bytes()));
  }
};

float from_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

/// To the nearest, ties to even; NaN stays NaN.
uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace

int64_t bytes_of(Element element) {
  switch (element) {
    case Element::f32: return 4;
    case Element::bf16: return 2;
    case Element::u8: return 1;
  }
  return 1;
}

ProcessGroup& alone() {
  static Alone group;
  return group;
}

void sum_in_order(FlatBuffer to, std::span<const std::byte* const> parts) {
  FETTLE_CHECK(to.element != Element::u8);
  for (int64_t i = 0; i < to.count; ++i) {
    float sum = 0.0F;
    for (size_t part = 0; part < parts.size(); ++part) {
      float value = 0.0F;
      if (to.element == Element::f32) {
        std::memcpy(&value, parts[part] + 4 * i, 4);
      } else {
        uint16_t bits = 0;
        std::memcpy(&bits, parts[part] + 2 * i, 2);
        value = from_bf16(bits);
      }
      sum = part == 0 ? value : sum + value;
    }
    if (to.element == Element::f32) {
      std::memcpy(static_cast<std::byte*>(to.data) + 4 * i, &sum, 4);
    } else {
      const uint16_t bits = to_bf16(sum);
      std::memcpy(static_cast<std::byte*>(to.data) + 2 * i, &bits, 2);
    }
  }
}

}  // namespace fettle::parallel
