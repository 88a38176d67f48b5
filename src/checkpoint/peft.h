#pragma once
// LoRA adapters as `peft` keeps them: adapter_config.json and adapter_model.safetensors, with names such as
// base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "model/adapter.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace fettle {

/// Opens `folder` for `model`. rank_pattern and alpha_pattern are honoured: every module gets the largest
/// rank, filled up with zeros, and its own scale goes into its B. Throws Error for what fettle has no
/// arithmetic for (other PEFT types, DoRA, modules_to_save, trained biases, …), for tensors that are missing,
/// of the wrong shape or match no module of the model.
Adapter read_adapter(const fs::path& folder, const ModelConfig& model);

/// The same from the parsed adapter_config.json (`where` names it) and the weights.
Adapter parse_adapter(const Json& config, const Safetensors& weights, const ModelConfig& model,
                      std::string_view where);

/// base_model_name_or_path of an adapter's folder, empty when it names none.
std::string adapter_base_model(const fs::path& folder);

/// Writes adapter_config.json and adapter_model.safetensors into `folder` (made if need be; other files in it
/// stay), each file whole or not at all. `dtype` is f32, f16 or bf16. `peft` opens the result.
void write_adapter(const fs::path& folder, const ModelConfig& model, const Adapter& adapter,
                   const std::string& base_model, DType dtype = DType::f32);

}  // namespace fettle
