#include "checkpoint/load.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/mapped_file.h"
#include "base/open_file.h"
#include "checkpoint/gguf.h"
#include "checkpoint/llama2c.h"
#include "checkpoint/peft.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weights.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr const char* config_name = "config.json";
constexpr const char* weights_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

void add_eos(std::vector<int32_t>& eos, int32_t id) {
  if (id >= 0 && std::find(eos.begin(), eos.end(), id) == eos.end()) eos.push_back(id);
}

void add_eos(std::vector<int32_t>& eos, const Json& generation_config) {
  const auto found = generation_config.find("eos_token_id");
  if (found == generation_config.end()) return;
  for (const Json& id : found->is_array() ? *found : Json::array({*found})) {
    const auto number = whole_number<int32_t>(id);
    if (!number && !id.is_null()) fail("generation_config.json", "eos_token_id must be token ids, found {}", id.dump().substr(0, 60));
    if (number) add_eos(eos, *number);
  }
}

/// What ends an answer, in the order of how explicitly it was said.
void collect_eos(LoadedModel& model) {
  add_eos(model.eos, model.generation_config);
  for (const int32_t id : model.config.eos) add_eos(model.eos, id);
  if (model.tokenizer != nullptr) add_eos(model.eos, model.tokenizer->eos());
  std::erase_if(model.eos, [&](int32_t id) { return id >= model.config.vocab_size; });
}

/// The type that holds most elements among the matrices.
DType most_common_dtype(const Parameters& parameters) {
  std::array<int64_t, 32> elements{};
  for (const auto& parameter : parameters.all()) {
    if (parameter->value.rows > 1)
      elements[static_cast<size_t>(parameter->value.dtype)] += parameter->value.size();
  }
  return static_cast<DType>(std::max_element(elements.begin(), elements.end()) - elements.begin());
}

bool has_tokenizer_files(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "vocab.json"}) {
    if (fs::exists(folder / name)) return true;
  }
  return false;
}

void take_tokenizer_folder(LoadedModel& model, const fs::path& folder) {
  model.tokenizer = Tokenizer::from_folder(folder);
  model.tokenizer_folder = folder;
}

/// What a folder holds instead of the weights that were looked for.
std::string weights_hint(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("pytorch_model") || name.ends_with(".pt") || name.ends_with(".pth")) {
      return fmt::format("'{}' is a Python pickle, which can run code; convert the model to safetensors",
                         name);
    }
    if (name.ends_with(".gguf")) return fmt::format("give '{}' itself", entry.path().string());
  }
  return "is the download complete?";
}

Safetensors open_folder_weights(const fs::path& folder) {
  if (fs::exists(folder / index_name)) return open_sharded_safetensors(folder / index_name);
  if (fs::exists(folder / weights_name)) return open_safetensors(folder / weights_name);
  fail(folder.string(), "has no {} and no {}; {}", weights_name, index_name, weights_hint(folder));
}

/// A lying number of layers must not make the list of what to look for longer than any file.
void check_layers(const ModelConfig& config, const TensorSet& tensors, std::string_view where) {
  if (static_cast<size_t>(config.layers) > tensors.all().size()) {
    fail(where, "has {} tensors, too few for the {} layers of its config", tensors.all().size(),
         config.layers);
  }
}

/// A config may say that embedding and head are one matrix beside a file that holds two: the file is what was trained.
void untie_other_head(ModelConfig& config, const Safetensors& weights) {
  if (!config.tied_embeddings) return;
  const StoredTensor *embed = nullptr, *head = nullptr;
  const WeightMap map = hf_weights_with_head(config);
  for (const WeightEntry& entry : map.entries) {
    const StoredTensor* found = find_published(weights.tensors, map, entry.published);
    if (entry.parts[0].name == "embed.weight") embed = found;
    if (entry.parts[0].name == "head.weight") head = found;
  }
  if (embed == nullptr || head == nullptr ||
      same_values(embed->view(weights.where), head->view(weights.where)))
    return;
  config.tied_embeddings = false;
  log_warning(
      "{}: tie_word_embeddings is true, but '{}' is not '{}': the model is taken as untied, each matrix as it stands",
      weights.where, head->name, embed->name);
}

LoadedModel load_hf(const fs::path& folder, const LoadOptions& options) {
  LoadedModel model;
  model.format = ModelFormat::hf;
  const fs::path config = folder / config_name;
  model.source_config = read_json(config);
  model.config = config_from_hf(model.source_config, config.string());
  if (const fs::path file = folder / "generation_config.json"; fs::exists(file)) {
    model.generation_config = read_json(file);
    if (!model.generation_config.is_object()) fail(file.string(), "an object was expected");
  }
  if (options.weights) {
    const Safetensors weights = open_folder_weights(folder);
    check_layers(model.config, weights.tensors, weights.where);
    untie_other_head(model.config, weights);
    model.parameters = read_weights(hf_weights(model.config), weights.tensors, weights.where);
  }
  if (options.tokenizer.empty() && has_tokenizer_files(folder)) take_tokenizer_folder(model, folder);
  return model;
}

}  // namespace

ModelConfig gguf_config(const Gguf& gguf) {
  const Json metadata = gguf.scalars();
  // A file of the vocabulary alone (for tests of tokenizers) has no weights to run.
  const StoredTensor& embed = gguf.tensors.require("token_embd.weight", gguf.where);
  if (embed.rows() > INT32_MAX)
    fail(gguf.where, "tensor '{}' has the impossible shape {}", embed.name, shape_text(embed.shape));
  const auto has_tensor = [&](std::string_view name) { return gguf.tensors.find(name) != nullptr; };
  ModelConfig config = config_from_gguf(metadata, static_cast<int32_t>(embed.rows()), has_tensor, gguf.where);
  if (const StoredTensor* factors = gguf.tensors.find("rope_freqs.weight")) {
    if (factors->dtype != DType::f32)
      fail(gguf.where, "tensor 'rope_freqs.weight' should be F32, found {}", factors->type);
    const Tensor view = factors->view(gguf.where);
    apply_gguf_rope_factors(config, {static_cast<const float*>(view.data), static_cast<size_t>(view.size())},
                            gguf.where);
  }
  check_layers(config, gguf.tensors, gguf.where);
  return config;
}

namespace {

LoadedModel load_gguf(const fs::path& file, const LoadOptions& options) {
  LoadedModel model;
  model.format = ModelFormat::gguf;
  const Gguf gguf = open_gguf(file);
  model.config = gguf_config(gguf);
  if (options.weights) model.parameters = read_weights(gguf_weights(model.config), gguf.tensors, gguf.where);
  if (!options.tokenizer.empty()) return model;
  if (const auto vocabulary = gguf_vocabulary(gguf))
    model.tokenizer = Tokenizer::from_gguf(*vocabulary, gguf.where);
  return model;
}

/// tokenizer.bin, or llama2.c's own name for a vocabulary of this size, beside the checkpoint.
fs::path llama2c_tokenizer(const fs::path& file, int32_t vocab_size) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  for (const std::string& name :
       {fmt::format("tok{}.bin", vocab_size), std::string("tokenizer.bin"), std::string("tokenizer.model")}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return {};
}

LoadedModel load_llama2c(const fs::path& file, const LoadOptions& options) {
  LoadedModel model;
  model.format = ModelFormat::llama2c;
  auto map = std::make_shared<MappedFile>(file);
  model.config = llama2c_config(map->bytes(), file.string());
  if (options.weights) {
    model.parameters = llama2c_parameters(map->bytes(), model.config, file.string());
    check_mapped(*map);
    model.parameters.keep_alive(std::move(map));
  }
  const fs::path beside = llama2c_tokenizer(file, model.config.vocab_size);
  if (options.tokenizer.empty() && !beside.empty()) model.tokenizer = Tokenizer::open(beside);
  return model;
}

/// The one GGUF of a folder that is no Hugging Face folder.
fs::path only_gguf(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  }
  return found.size() == 1 ? found[0] : fs::path();
}

LoadedModel load_weights(const fs::path& path, const LoadOptions& options) {
  if (!fs::exists(path))
    fail(path.string(), "there is no such file or folder; a model is a folder, a .gguf or a llama2.c .bin");
  if (!fs::is_directory(path)) open_regular(path);
  const auto format = detect_format(path);
  if (!format) {
    if (fs::is_directory(path))
      fail(path.string(), "has no {}: it is no model folder; {}", config_name, weights_hint(path));
    fail(path.string(),
         "is no model: neither GGUF nor a llama2.c checkpoint of version 0 (give a folder for safetensors)");
  }
  const fs::path file = *format == ModelFormat::gguf && fs::is_directory(path) ? only_gguf(path) : path;
  LoadedModel model = *format == ModelFormat::hf     ? load_hf(file, options)
                      : *format == ModelFormat::gguf ? load_gguf(file, options)
                                                     : load_llama2c(file, options);
  model.path = file;
  return model;
}

fs::path base_of_adapter(const fs::path& folder, const LoadOptions& options) {
  const std::string name = adapter_base_model(folder);
  const std::string where = (folder / "adapter_config.json").string();
  if (name.empty()) fail(where, "names no base model; give the base as the model and this as the adapter");
  for (const fs::path& candidate : {fs::path(name), folder / name}) {
    if (fs::exists(candidate)) return candidate;
  }
  std::string reason = "which is not there";
  try {
    // A file says it, not the caller: it may name a model of the hub, and set no other program to work.
    if (name.starts_with("wheel:")) fail(name, "an adapter may not ask for a wheel; fetch it yourself");
    if (options.resolve) return options.resolve(name);
  } catch (const Error& error) {
    reason = fmt::format("which is not to be had ({})", error.what());
  }
  fail(where, "names the base model '{}', {}; give the base as the model and this folder as the adapter",
       name, reason);
}

}  // namespace

std::string_view format_name(ModelFormat format) {
  constexpr std::array<std::string_view, 3> names{"hf", "gguf", "llama2c"};
  return names[static_cast<size_t>(format)];
}

bool is_adapter_folder(const fs::path& path) {
  return fs::exists(path / "adapter_config.json");
}

std::optional<ModelFormat> detect_format(const fs::path& path) {
  if (fs::is_directory(path)) {
    if (fs::exists(path / config_name)) return ModelFormat::hf;
    return only_gguf(path).empty() ? std::nullopt : std::optional(ModelFormat::gguf);
  }
  if (!fs::is_regular_file(path)) return std::nullopt;
  const std::string first = read_start(path, sizeof(Llama2cHeader));
  if (first.starts_with("GGUF")) return ModelFormat::gguf;
  if (is_llama2c(std::as_bytes(std::span(first)), fs::file_size(path))) return ModelFormat::llama2c;
  // A damaged checkpoint should be told what is wrong with it rather than that it is nothing.
  return path.extension() == ".bin" ? std::optional(ModelFormat::llama2c) : std::nullopt;
}

namespace {

/// Published models pad their vocabulary by some hundred tokens, or name a few that they have no rows for; a
/// tokenizer that is far from the model's size is another model's.
void check_tokenizer(const LoadedModel& model, const fs::path& given) {
  if (model.tokenizer == nullptr) return;
  const int64_t has = model.tokenizer->size(), wanted = model.config.vocab_size;
  if (std::abs(wanted - has) < 4096 || std::min(has, wanted) * 4 > std::max(has, wanted) * 3) return;
  fail((given.empty() ? model.path : given).string(),
       "the tokenizer has {} tokens, the model {}: they do not belong together; name the model's own tokenizer",
       has, wanted);
}

/// The base's tables with as many rows as the adapter's, which stand in their place.
void take_vocabulary(LoadedModel& model, const Adapter& adapter, const fs::path& folder) {
  const int64_t wanted = adapter.vocab_size();
  Parameters resized;
  for (const auto& parameter : model.parameters.all()) {
    const bool table = parameter->name == "embed.weight" || parameter->name == "head.weight";
    const Parameter* instead = table ? find_replacement(adapter, parameter->name, false) : nullptr;
    if (parameter->name == "head.bias" || (table && instead == nullptr)) {
      fail(folder.string(), "has {} tokens and the model {}, but it has no '{}' of that size", wanted,
           model.config.vocab_size, parameter->name);
    }
    resized.add(parameter->name, table ? instead->value : parameter->value);
  }
  resized.keep_alive(std::make_shared<Parameters>(std::move(model.parameters)));
  log_info("{}: the adapter has {} tokens, its base {}; the adapter's embedding and head are used", folder.string(), wanted,
           model.config.vocab_size);
  model.parameters = std::move(resized);
  model.config.vocab_size = static_cast<int32_t>(wanted);
}

/// Tokens that were added before the adapter was trained stand in its own tokenizer, whether or not the model
/// had rows to spare for them. The ids that end an answer are that tokenizer's too.
void take_grown_tokenizer(LoadedModel& model, const fs::path& folder) {
  auto tokenizer = Tokenizer::from_folder(folder);
  if (model.tokenizer != nullptr && tokenizer->size() == model.tokenizer->size()) return;
  if (model.tokenizer != nullptr)
    log_info("{}: its tokenizer has {} tokens, the base's {}; the adapter's is used", folder.string(),
             tokenizer->size(), model.tokenizer->size());
  model.tokenizer = std::move(tokenizer);
  model.tokenizer_folder = folder;
  check_tokenizer(model, folder);
  collect_eos(model);
}

}  // namespace

void attach_adapter(LoadedModel& model, const fs::path& folder, bool keep_tokenizer) {
  FETTLE_CHECK(!model.adapter);
  Adapter adapter = read_adapter(folder, model.config);
  if (adapter.vocab_size() != 0 && adapter.vocab_size() != model.config.vocab_size)
    take_vocabulary(model, adapter, folder);
  if (!keep_tokenizer && has_tokenizer_files(folder)) take_grown_tokenizer(model, folder);
  model.adapter = std::move(adapter);
  model.adapter_path = folder;
}

LoadedModel load_model(const fs::path& path, const LoadOptions& options) {
  const bool adapter = fs::is_directory(path) && is_adapter_folder(path) && !fs::exists(path / config_name);
  LoadedModel model = load_weights(adapter ? base_of_adapter(path, options) : path, options);
  if (adapter) {
    model.adapter_path = path;
    if (options.weights) attach_adapter(model, path, !options.tokenizer.empty());
    if (options.tokenizer.empty() && has_tokenizer_files(path)) take_tokenizer_folder(model, path);
  }
  if (!options.tokenizer.empty()) {
    model.tokenizer = Tokenizer::open(options.tokenizer);
    model.tokenizer_folder = fs::is_directory(options.tokenizer) ? options.tokenizer : fs::path();
  }
  check_tokenizer(model, options.tokenizer);
  model.dtype = options.weights ? most_common_dtype(model.parameters) : DType::f32;
  collect_eos(model);
  return model;
}

}  // namespace fettle
