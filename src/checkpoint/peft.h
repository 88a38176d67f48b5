#pragma once
// Adapters as `peft` keeps them: adapter_config.json and adapter_model.safetensors (or adapter_model.bin), with names
// such as base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/stored_tensor.h"
#include "model/adapter.h"
#include "model/config.h"
#include "tensor/dtype.h"

namespace fettle {

/// Opens `folder` for `model`. Every tensor of the file and every module that the config speaks of must find the other:
/// throws Error for what is missing, of the wrong shape, or belongs to no module of the model, and for what fettle has
/// no arithmetic for (other PEFT types, bases that the initialisation changed, …), by name. An embedding or head of
/// another vocabulary is read as it is: Adapter::vocab_size().
Adapter read_adapter(const fs::path& folder, const ModelConfig& model);

/// The same from the text of adapter_config.json (`where` names it) and the weights (`file` names them).
Adapter parse_adapter(const OrderedJson& config, const TensorSet& tensors, std::string_view file,
                      const ModelConfig& model, std::string_view where);

/// adapter_config.json as an AdapterConfig. Throws Error naming the key that has a value fettle cannot honour.
AdapterConfig parse_adapter_config(const OrderedJson& config, const ModelConfig& model, std::string_view where);

/// base_model_name_or_path of an adapter's folder, empty when it names none.
std::string adapter_base_model(const fs::path& folder);

/// Writes adapter_config.json and adapter_model.safetensors into `folder` (made if need be; other files in it
/// stay), each file whole or not at all. `dtype` is f32, f16 or bf16. `peft` opens the result.
void write_adapter(const fs::path& folder, const ModelConfig& model, const Adapter& adapter,
                   const std::string& base_model, DType dtype = DType::f32);

}  // namespace fettle
