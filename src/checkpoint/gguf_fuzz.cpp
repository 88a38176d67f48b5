#include "checkpoint/gguf.h"
#include "checkpoint/load.h"
#include "checkpoint/weights.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace {

/// Everything that opening a file does with its contents, to the values of its weights.
void open(const fettle::Gguf& gguf) {
  if (const auto vocabulary = fettle::gguf_vocabulary(gguf)) {
    fettle::Tokenizer::from_gguf(*vocabulary, gguf.where)->encode("The file, 12 漢字é <s>", {true, true});
  }
  const fettle::ModelConfig config = fettle::gguf_config(gguf);
  const fettle::Parameters parameters =
      fettle::read_weights(fettle::gguf_weights(config), gguf.tensors, gguf.where);
  for (const auto& parameter : parameters.all()) {
    std::vector<float> row(static_cast<size_t>(parameter->value.cols));
    for (int64_t i = 0; i < parameter->value.rows; ++i) {
      const fettle::Tensor view = parameter->value.row_slice(i, i + 1);
      if (view.dtype != fettle::DType::i32 && view.dtype != fettle::DType::u8 &&
          view.dtype != fettle::DType::i8) {
        fettle::dequantize_row(view.dtype, view.data, row.data(), view.cols);
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    open(fettle::parse_gguf({reinterpret_cast<const std::byte*>(data), size}, "fuzz"));
  } catch (const fettle::Error&) {
  }
  return 0;
}
