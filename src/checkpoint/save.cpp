#include "checkpoint/save.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/log.h"
#include "base/unfinished.h"
#include "checkpoint/llama2c.h"
#include "checkpoint/safetensors.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr std::array<const char*, 8> tokenizer_files{"tokenizer.json",
                                                     "tokenizer.model",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "vocab.json",
                                                     "merges.txt",
                                                     "chat_template.jinja"};

/// Keys of an earlier config.json that would contradict what is written.
constexpr std::array<std::string_view, 6> dropped_keys{"quantization_config",  "auto_map",    "_name_or_path",
                                                       "transformers_version", "torch_dtype", "dtype"};

std::string_view torch_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    default:
      fail_usage("a Hugging Face folder holds f32, f16 or bf16, not {}; export to gguf for quantised weights",
                 dtype_name(dtype));
  }
}

/// 1e-05 rather than 9.999999747378752e-06: the shortest number that is the same float.
Json tidy(const Json& value) {
  if (value.is_structured()) {
    Json result = value;
    for (Json& item : result) item = tidy(item);
    return result;
  }
  if (!value.is_number_float()) return value;
  const auto number = value.get<double>();
  const auto rounded = static_cast<float>(number);
  return static_cast<double>(rounded) == number && std::isfinite(number)
             ? Json(std::stod(fmt::format("{}", rounded)))
             : value;
}

OrderedJson folder_config(const ModelToSave& model, DType dtype) {
  Json config = config_to_hf(*model.config);
  config["dtype"] = config["torch_dtype"] = torch_name(dtype);
  for (const auto& [key, value] : model.source_config.items()) {
    const bool dropped = std::find(dropped_keys.begin(), dropped_keys.end(), key) != dropped_keys.end();
    if (!dropped && !config.contains(key)) config[key] = value;
  }
  OrderedJson ordered = {{"architectures", config["architectures"]}, {"model_type", config["model_type"]}};
  for (const auto& [key, value] : config.items()) ordered[key] = tidy(value);
  return ordered;
}

}  // namespace

void write_tokenizer_files(const fs::path& folder, const ModelToSave& model) {
  bool copied = false;
  const fs::path named = model.tokenizer_folder / "additional_chat_templates";
  if (!model.tokenizer_folder.empty() && fs::is_directory(named) && !fs::exists(folder / named.filename()))
    fs::copy(named, folder / named.filename());
  for (const char* name : tokenizer_files) {
    if (model.tokenizer_folder.empty() || !fs::exists(model.tokenizer_folder / name)) continue;
    if (fs::exists(folder / name) && fs::equivalent(model.tokenizer_folder / name, folder / name)) return;
    write_file(folder / name, read_file(model.tokenizer_folder / name));
    copied = true;
  }
  if (copied || model.tokenizer == nullptr) return;
  write_file(folder / "tokenizer.json", model.tokenizer->to_json());
  write_file(folder / "tokenizer_config.json",
             dump_json(OrderedJson(model.tokenizer->config_json()), 2) + "\n");
  if (!model.tokenizer->chat_template().empty())
    write_file(folder / "chat_template.jinja", model.tokenizer->chat_template());
}

ModelToSave to_save(const LoadedModel& model) {
  ModelToSave save;
  save.config = &model.config;
  save.weights.parameters = &model.parameters;
  save.tokenizer = model.tokenizer.get();
  save.tokenizer_folder = model.tokenizer_folder;
  save.source_config = model.source_config;
  save.generation_config = model.generation_config;
  save.name = model.path.stem().string();
  if (save.generation_config.empty() && !model.eos.empty())
    save.generation_config["eos_token_id"] = model.eos;
  return save;
}

void write_hf_files(const fs::path& folder, const ModelToSave& model, DType dtype, int64_t shard_bytes) {
  const OrderedJson config = folder_config(model, dtype);
  std::vector<TensorToWrite> tensors;
  for (const WeightEntry& entry : hf_weights(*model.config).entries)
    tensors.push_back(weight_to_write(entry, model.weights, dtype));
  fs::create_directories(folder);
  write_tokenizer_files(folder, model);
  if (!model.generation_config.empty()) {
    write_file(folder / "generation_config.json", dump_json(OrderedJson(model.generation_config), 2) + "\n");
  }
  write_file(folder / "config.json", dump_json(config, 2) + "\n");
  write_model_safetensors(folder, std::move(tensors), shard_bytes);
}

void save_hf(const fs::path& folder, const ModelToSave& model, DType dtype, int64_t shard_bytes) {
  const fs::path target = folder.has_filename() ? folder : folder.parent_path();
  if (fs::exists(target) && !fs::is_directory(target))
    fail(target.string(), "is a file, a folder should be written there");
  if (fs::exists(target) && !fs::is_empty(target) && !fs::exists(target / "config.json"))
    fail(target.string(), "holds files, and no model that this one may replace; name a new folder, or a model's");
  UnfinishedFolder made(target);
  write_hf_files(made.path(), model, dtype, shard_bytes);
  made.commit();
}

void save_llama2c(const fs::path& file, const ModelToSave& model) {
  std::optional<GgufVocabulary> vocabulary;
  try {
    if (model.tokenizer != nullptr) vocabulary = model.tokenizer->to_gguf();
  } catch (const Error& error) {
    log_warning("no tokenizer.bin is written: {}", error.what());
  }
  write_llama2c(file, *model.config, model.weights);
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  if (vocabulary && vocabulary->model == "llama") {
    write_llama2c_tokenizer(folder / "tokenizer.bin", *vocabulary);
  } else if (vocabulary) {
    log_warning(
        "no tokenizer.bin is written: llama2.c reads SentencePiece tokenizers alone, this one is '{}'",
        vocabulary->model);
  }
}

}  // namespace fettle
