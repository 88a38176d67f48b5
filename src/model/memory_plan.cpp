#include "model/decoder.h"

namespace fettle {
namespace {

std::string in_units(int64_t bytes) {
  constexpr double mebi = 1024.0 * 1024.0;
  const auto value = static_cast<double>(bytes);
  if (value >= 1024.0 * mebi) return fmt::format("{:.2f} GiB", value / (1024.0 * mebi));
  return fmt::format("{:.1f} MiB", value / mebi);
}

}  // namespace

int64_t MemoryPlan::total() const {
  return weights + shadow_weights + adapter + gradients + optimizer + activations + head + workspace + program;
}

int64_t MemoryPlan::on_device() const {
  return device.empty() ? total() : total() - program;
}

std::string MemoryPlan::describe() const {
  const std::pair<const char*, int64_t> rows[] = {{"weights", weights},     {"bf16 copies", shadow_weights},
                                                  {"adapter", adapter},     {"gradients", gradients},
                                                  {"optimizer", optimizer}, {"activations", activations},
                                                  {"head", head},           {"workspace", workspace}};
  std::string text = device.empty() ? "" : fmt::format("in the memory of {}\n", device);
  for (const auto& [name, bytes] : rows) {
    if (bytes > 0) text += fmt::format("{:<12} {:>12}\n", name, in_units(bytes));
  }
  if (!device.empty()) {
    text += fmt::format("{:<12} {:>12}\nin the host's\n", "total", in_units(on_device()));
    return text + fmt::format("{:<12} {:>12}\n", "program", in_units(program));
  }
  if (program > 0) text += fmt::format("{:<12} {:>12}\n", "program", in_units(program));
  return text + fmt::format("{:<12} {:>12}\n", "total", in_units(total()));
}

}  // namespace fettle
