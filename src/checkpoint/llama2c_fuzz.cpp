#include "checkpoint/llama2c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    fettle::is_llama2c(bytes.first(std::min<size_t>(size, 28)), size);
    const fettle::ModelConfig config = fettle::llama2c_config(bytes, "fuzz");
    double sum = 0;
    const fettle::Parameters parameters = fettle::llama2c_parameters(bytes, config, "fuzz");
    for (const auto& parameter : parameters.all()) {
      for (const float value : parameter->value.flat<float>()) sum += value;
    }
    const volatile double sink = sum;
    static_cast<void>(sink);
  } catch (const fettle::Error&) {
  }
  return 0;
}
