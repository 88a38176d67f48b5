// Any bytes as a SentencePiece model.
#include "text/tokenizer/tokenizer_fuzz_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    fettle::use_tokenizer(*fettle::Tokenizer::from_sentencepiece(bytes, "fuzz"), bytes.substr(size / 2));
  } catch (const fettle::Error&) {
  }
  return 0;
}
