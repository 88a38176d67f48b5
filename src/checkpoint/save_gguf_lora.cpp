// LoRA alone in a GGUF, as llama.cpp's --lora takes it (convert_lora_to_gguf.py): tensors named after the
// base's with .lora_a [rank, in] and .lora_b [out, rank] behind; of the embedding, lora_a is [vocabulary,
// rank].
#include <algorithm>

#include "checkpoint/gguf.h"
#include "checkpoint/save.h"
#include "checkpoint/weights.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr std::string_view weight_suffix = ".weight";

/// peft saves the embedding or head that LoRA stands beside with it, as they were.
bool is_as_in(const Parameters& base, const Parameter& parameter) {
  const Parameter* own = base.find(parameter.name);
  if (own == nullptr && parameter.name == "head.weight") own = base.find("embed.weight");
  // A table that grew stands in the place of the base's own.
  return own != nullptr && own->value.data != parameter.value.data &&
         same_values(own->value, parameter.value);
}

void check_plain(const ModelConfig& config, const Parameters& base, const Adapter& adapter,
                 const fs::path& file) {
  for (const auto& parameter : adapter.parameters.all()) {
    const std::string& name = parameter->name;
    if (name.ends_with(".lora_a") || name.ends_with(".lora_b") || is_as_in(base, *parameter)) continue;
    fail(file.string(),
         "a LoRA of GGUF holds the matrices of LoRA alone, not '{}' ({}); export the merged model with --to "
         "gguf",
         name,
         name.ends_with(".magnitude")   ? "DoRA"
         : name.ends_with(".lora_bias") ? "a bias of B"
         : name.ends_with(".rows")      ? "trained rows of the vocabulary"
                                        : "a module that was trained or resized whole");
  }
  if (config.tied_embeddings && adapter.separates_head())
    fail(file.string(),
         "it adapts the embedding or the head of a tied model apart, for which a GGUF has one tensor; export "
         "the merged model with --to gguf");
}

/// B with llama.cpp's one scale for all modules, alpha / rank, in it.
std::vector<float> scaled_b(const Adapter& adapter, const WeightEntry& entry, const LoraPair& first,
                            int64_t rows) {
  const int64_t rank = first.b->value.cols;
  const float ratio = first.scale * static_cast<float>(rank) / adapter.config.alpha;
  std::vector<float> result(static_cast<size_t>(rows * rank));
  for (const WeightPart& part : entry.parts) {
    const LoraPair lora = find_lora(adapter, part.name.substr(0, part.name.size() - weight_suffix.size()));
    if (lora.a != first.a)
      fail(entry.published, "its parts have adapters of their own, which a GGUF's fused weight cannot hold");
    int64_t ours = 0;
    const bool embedding = part.name == "embed.weight";
    const std::vector<RowRun> all{{0, lora.b->value.rows, 1}};
    for (const RowRun& run : embedding ? all : part.runs) {
      for (int64_t i = 0; i < run.count; ++i, ++ours)
        for (int64_t r = 0; r < rank; ++r)
          result[static_cast<size_t>((run.begin + i * run.step) * rank + r)] =
              ratio * lora.b->value.row<float>(ours)[r];
    }
  }
  return result;
}

}  // namespace

void save_gguf_lora(const fs::path& file, const ModelConfig& config, const Parameters& base,
                    const Adapter& adapter, DType dtype) {
  check_plain(config, base, adapter, file);
  const Json keys = config_to_gguf(config);
  const GgufMetadata metadata{{"general.architecture", GgufValue::text(keys["general.architecture"])},
                              {"general.type", GgufValue::text("adapter")},
                              {"adapter.type", GgufValue::text("lora")},
                              {"adapter.lora.alpha", GgufValue::f32(adapter.config.alpha)}};
  ModelConfig untied = config;
  untied.tied_embeddings = false;
  std::vector<TensorToWrite> tensors;
  std::vector<std::vector<float>> owned;
  const WeightMap map = gguf_weights(untied);
  owned.reserve(map.entries.size());
  for (const WeightEntry& entry : map.entries) {
    const std::string& ours = entry.parts[0].name;
    if (!ours.ends_with(weight_suffix)) continue;
    const LoraPair lora = find_lora(adapter, ours.substr(0, ours.size() - weight_suffix.size()));
    if (lora.b == nullptr) continue;
    if (entry.shape.size() != 2)
      fail(file.string(), "an adapter inside experts ('{}') cannot be written as a LoRA of GGUF; export the merged model with "
           "--to gguf", ours);
    const int64_t rank = lora.b->value.cols,
                  rows = ours == "embed.weight" ? lora.b->value.rows : entry.shape[0];
    tensors.push_back(tensor_to_write(entry.published + ".lora_a", lora.a->value, dtype));
    owned.push_back(scaled_b(adapter, entry, lora, rows));
    tensors.push_back(
        tensor_to_write(entry.published + ".lora_b", {owned.back().data(), DType::f32, rows, rank}, dtype));
  }
  write_gguf(file, metadata, tensors);
}

}  // namespace fettle
