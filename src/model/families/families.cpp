#include "model/families/families.h"

#include <array>

#include "model/families/family.h"

namespace fettle {

std::span<const Family* const> all_families() {
  static const std::array families{&llama_family, &mistral_family,  &qwen2_family,       &qwen3_family,
                                   &gemma_family, &gemma3_family,   &mixtral_family, &gpt2_family,        &gpt_neox_family,
                                   &mpt_family,   &gpt_bigcode_family, &phi_family};
  return families;
}

const Family& family_named(std::string_view model_type) {
  for (const Family* family : all_families()) {
    if (family->model_type == model_type) return *family;
  }
  fail("model config", "'{}' is no model family that fettle knows", model_type);
}

ModelConfig config_from_hf(const Json& config, std::string_view where) {
  if (!config.is_object()) fail(where, "expected a JSON object with key 'model_type'");
  const auto type = json_get<std::string>(config, "model_type", where);
  std::vector<std::string> known;
  for (const Family* family : all_families()) {
    if (family->model_type == type) {
      ModelConfig out = family->from_hf(config, where);
      out.family = type;
      out.validate(where);
      return out;
    }
    known.emplace_back(family->model_type);
  }
  const std::string near = nearest_name(type, known);
  fail(where, "key 'model_type': '{}' is not supported{}; known are {}", type,
       near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near), fmt::join(known, ", "));
}

Json config_to_hf(const ModelConfig& config) {
  const Family& family = family_named(config.family);
  Json out;
  out["model_type"] = family.model_type;
  out["architectures"] = Json::array({family.architecture});
  out["dtype"] = out["torch_dtype"] = "float32";
  out["tie_word_embeddings"] = config.tied_embeddings;
  out["use_cache"] = true;
  const auto token = [](int32_t id) { return id >= 0 ? Json(id) : Json(nullptr); };
  out["bos_token_id"] = token(config.bos);
  out["pad_token_id"] = token(config.pad);
  out["eos_token_id"] = config.eos.empty()       ? Json(nullptr)
                        : config.eos.size() == 1 ? Json(config.eos[0])
                                                 : Json(config.eos);
  family.to_hf(config, out);
  return out;
}

}  // namespace fettle
