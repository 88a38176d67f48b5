#include "base/error.h"
#include "checkpoint/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fettle::parse_torch_file({reinterpret_cast<const std::byte*>(data), size}, "adapter_model.bin");
  } catch (const fettle::Error&) {
  }
  return 0;
}
