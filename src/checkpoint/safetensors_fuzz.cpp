#include "checkpoint/safetensors.h"

// Any bytes are a safetensors file or an Error; a file's tensors lie inside it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const fettle::Safetensors file = fettle::parse_safetensors(bytes, "fuzz");
    for (const fettle::StoredTensor& tensor : file.tensors.all()) {
      FETTLE_CHECK(tensor.bytes.empty() ||
                   (tensor.bytes.data() >= bytes.data() &&
                    tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + size));
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
