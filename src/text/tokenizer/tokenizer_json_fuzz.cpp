// The input is a tokenizer.json, and behind a zero byte a text for it.
#include "text/tokenizer/tokenizer_fuzz_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t zero = std::min(bytes.find('\0'), size);
  try {
    const auto tokenizer = fettle::Tokenizer::from_json(bytes.substr(0, zero), "fuzz");
    fettle::use_tokenizer(*tokenizer, bytes.substr(std::min(zero + 1, size)));
  } catch (const fettle::Error&) {
  }
  return 0;
}
