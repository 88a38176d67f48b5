#include "train/setup.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "kernels/backends.h"
#include "kernels/quant.h"
#include "model/device.h"
#include "model/families/families.h"
#include "train/losses/loss.h"

namespace fettle::train {
namespace {

/// Weights that have no values yet, by the config beside them.
LoadedModel load_untrained(const TrainConfig& config) {
  LoadOptions options;
  options.weights = false;
  LoadedModel model = load_model(config.path_of_model(), options);
  model.parameters = random_parameters(model.config, config.seed);
  return model;
}

void choose_template(const TrainConfig& config, TrainModel& model) {
  if (config.raw) return;
  if (!config.chat_template.empty()) {
    model.chat.emplace(ChatTemplate::of(*model.loaded.tokenizer, config.chat_template));
    model.chat_source = model.chat->source();
    return;
  }
  try {
    model.chat.emplace(ChatTemplate::of(*model.loaded.tokenizer));
  } catch (const Error&) {
    // Plain texts need none; conversations do, and say so themselves.
    if (method_from_name(config.method).rows != RowKind::texts) throw;
  }
}

/// Without master weights matrices are bf16 from the start.
void train_everything(const TrainConfig& config, TrainModel& model) {
  LoadedModel& loaded = model.loaded;
  const DType matrices = config.master_weights ? DType::f32 : DType::bf16;
  if (loaded.adapter) loaded.parameters = merge_adapter(loaded.config, loaded.parameters, *loaded.adapter);
  if (!loaded.adapter || matrices != DType::f32) loaded.parameters = to_trainable(loaded.parameters, matrices);
  loaded.adapter.reset();
}

/// What is trained becomes f32; what is carried along stays as it is stored.
void unpack_trained(Adapter& adapter) {
  for (const auto& parameter : adapter.parameters.all()) {
    if (!parameter->trainable) continue;
    const Tensor from = parameter->value;
    auto buffer = std::make_shared<Buffer>(row_bytes(DType::f32, from.size()));
    parameter->value = Tensor(buffer->data(), DType::f32, from.rows, from.cols);
    for (int64_t row = 0; row < from.rows; ++row)
      read_row(from, row, parameter->value.row<float>(row));
    check_mapped(from.data);
    adapter.parameters.keep_alive(std::move(buffer));
  }
}

/// Rows of the new tokens are trained beside the adapter, unless their whole table is; a vocabulary that grew goes with it,
/// as peft saves it.
Adapter new_adapter(const TrainConfig& config, TrainModel& model) {
  LoadedModel& loaded = model.loaded;
  AdapterConfig settings = config.adapter->config;
  for (const AdapterEntry& entry : adaptable_modules(loaded.config)) {
    const bool tied_head = !entry.embedding && loaded.config.tied_embeddings;
    if (entry.layer >= 0 || tied_head || model.new_tokens.empty()) continue;
    if (!is_saved_module(settings, entry.published))
      settings.token_indices.emplace_back(entry.published.substr(entry.published.rfind('.') + 1), model.new_tokens);
    for (const AdapterEntry& lora : adapter_entries(loaded.config, settings)) {
      if (lora.published == entry.published)
        fail_usage("tokens.add: adapter.targets chooses '{}', whose new rows are trained alone; take it out, or name it in "
                   "adapter.modules_to_save", entry.published);
    }
  }
  Adapter adapter = make_adapter(loaded.config, settings, config.seed, &loaded.parameters);
  if (loaded.config.vocab_size == model.base_vocabulary) return adapter;
  for (const char* name : {"embed.weight", "head.weight"}) {
    const Parameter* table = loaded.parameters.find(name);
    if (table != nullptr && adapter.parameters.find(name) == nullptr) adapter.parameters.add(name, table->value);
  }
  const bool trained = adapter.parameters.find("embed.weight")->trainable;
  if (loaded.config.tied_embeddings && trained && adapter.parameters.find("head.weight") == nullptr)
    adapter.parameters.add("head.weight", loaded.parameters.find("embed.weight")->value);  // which stays as it was
  adapter.ties_head = loaded.config.tied_embeddings && !trained;
  return adapter;
}

/// Before anything is asked of the tokenizer, which the adapter may have grown.
void attach_init(const TrainConfig& config, TrainModel& model) {
  if (!config.adapter || config.adapter->init.empty()) return;
  if (model.loaded.adapter)
    fail_usage(
        "adapter.init: the model {} is an adapter already; name its base as the model, or leave init out",
        config.path_of_model().string());
  attach_adapter(model.loaded, config.adapter->init);
}

Adapter choose_adapter(const TrainConfig& config, TrainModel& model) {
  LoadedModel& loaded = model.loaded;
  if (!loaded.adapter) return new_adapter(config, model);
  Adapter adapter = std::move(*loaded.adapter);
  loaded.adapter.reset();
  unpack_trained(adapter);
  return adapter;
}

/// An adapter that is not trained on is merged before its model's vocabulary grows.
void grow(const TrainConfig& config, TrainModel& model) {
  LoadedModel& loaded = model.loaded;
  if (loaded.adapter && config.adapter)
    fail_usage("tokens.add: {} is an adapter, whose vocabulary is given; export it first, then add tokens to the merged model",
               config.path_of_model().string());
  if (loaded.adapter) loaded.parameters = merge_adapter(loaded.config, loaded.parameters, *loaded.adapter);
  loaded.adapter.reset();
  model.new_tokens = add_tokens(loaded, config.tokens, config.seed);
  log_info("{} new tokens, {} to {}; the model has rows for {} tokens, and had {}", model.new_tokens.size(),
           model.new_tokens.front(), model.new_tokens.back(), loaded.config.vocab_size, model.base_vocabulary);
}

/// Hash of the files that a model is read from: reports, states and logs beside them may change.
std::string hash_of_model(const fs::path& path) {
  if (!fs::is_directory(path)) return hash_path(path);
  static const std::set<std::string> endings{".safetensors", ".gguf", ".bin", ".pt", ".pth", ".model", ".jinja"};
  static const std::set<std::string> names{"config.json", "generation_config.json", "adapter_config.json", "tokenizer.json",
                                           "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
                                           "merges.txt", "model.safetensors.index.json"};
  std::vector<fs::path> files;
  for (const fs::path& folder : {path, path / "additional_chat_templates"}) {
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const fs::path name = entry.path().filename();
      if (entry.is_regular_file() && !is_half_written(name) && (endings.contains(name.extension().string()) || names.contains(name.string())))
        files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  Hasher hasher;
  for (const fs::path& file : files) hasher.add(fs::relative(file, path).generic_string()).add(hash_path(file));
  return hasher.hex();
}

std::string hash_of_files(const TrainConfig& config, const TrainModel& model) {
  Hasher hasher;
  if (config.init == "random") {
    hasher.add(model.loaded.source_config.dump());
    return hasher.hex();
  }
  hasher.add(hash_of_model(model.loaded.path));
  if (!model.loaded.adapter_path.empty()) hasher.add(hash_of_model(model.loaded.adapter_path));
  return hasher.hex();
}

}  // namespace

std::unique_ptr<TrainModel> open_train_model(const TrainConfig& config) {
  auto model = std::make_unique<TrainModel>();
  model->loaded = config.init == "random" ? load_untrained(config) : load_model(config.path_of_model());
  if (!model->loaded.tokenizer)
    fail(config.path_of_model().string(),
         "there is no tokenizer beside the model; put tokenizer.json or tokenizer.model into its folder");
  attach_init(config, *model);
  model->base_vocabulary = model->loaded.config.vocab_size;
  model->hash = hash_of_files(config, *model);
  if (!config.tokens.texts.empty()) grow(config, *model);
  choose_template(config, *model);
  model->backend = make_backend(config.device);
  if (config.adapter) {
    model->adapter.emplace(choose_adapter(config, *model));
    model->adapter->config.dropout = config.adapter->config.dropout;
  } else if (config.init != "random" || !config.master_weights) {
    train_everything(config, *model);
  }
  for (auto& parameter : model->loaded.parameters.all()) parameter->trainable = !model->adapter;
  // The adapter first: tables that it carries along are views of the base's memory.
  if (model->adapter) move_to(model->adapter->parameters, *model->backend);
  move_to(model->loaded.parameters, *model->backend);

  const bool bf16 = model->backend->has_bf16();
  if (config.dtype == Precision::bf16 && !bf16)
    log_warning("dtype: this machine has no bf16 products in hardware; they are computed in f32");
  model->product = config.dtype != Precision::f32 && bf16 ? Product::bf16 : Product::f32;
  model->activations = config.dtype == Precision::bf16 ? DType::bf16 : DType::f32;
  return model;
}

}  // namespace fettle::train
