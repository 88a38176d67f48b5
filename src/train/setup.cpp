#include "train/setup.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "checkpoint/peft.h"
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

void train_everything(TrainModel& model) {
  if (model.loaded.adapter) {
    Parameters weights = to_f32(model.loaded.parameters);
    merge_adapter(weights, *model.loaded.adapter);
    model.loaded.parameters = std::move(weights);
    model.loaded.adapter.reset();
  } else {
    model.loaded.parameters = to_f32(model.loaded.parameters);
  }
}

Adapter choose_adapter(const TrainConfig& config, TrainModel& model) {
  const AdapterSettings& settings = *config.adapter;
  if (model.loaded.adapter) {
    if (!settings.init.empty())
      fail_usage(
          "adapter.init: the model {} is an adapter already; name its base as the model, or leave init out",
          config.path_of_model().string());
    Adapter adapter = std::move(*model.loaded.adapter);
    model.loaded.adapter.reset();
    return adapter;
  }
  if (!settings.init.empty()) return read_adapter(settings.init, model.loaded.config);
  return make_adapter(model.loaded.config, settings.config, config.seed);
}

std::string hash_of_files(const TrainConfig& config, const TrainModel& model) {
  Hasher hasher;
  if (config.init == "random") {
    hasher.add(model.loaded.source_config.dump());
    return hasher.hex();
  }
  hasher.add(hash_path(model.loaded.path));
  if (!model.loaded.adapter_path.empty()) hasher.add(hash_path(model.loaded.adapter_path));
  if (config.adapter && !config.adapter->init.empty()) hasher.add(hash_path(config.adapter->init));
  return hasher.hex();
}

}  // namespace

std::unique_ptr<TrainModel> open_train_model(const TrainConfig& config) {
  auto model = std::make_unique<TrainModel>();
  model->loaded = config.init == "random" ? load_untrained(config) : load_model(config.path_of_model());
  if (!model->loaded.tokenizer)
    fail(config.path_of_model().string(),
         "there is no tokenizer beside the model; put tokenizer.json or tokenizer.model into its folder");
  model->hash = hash_of_files(config, *model);
  choose_template(config, *model);
  model->backend = make_cpu_backend();
  if (config.adapter) {
    model->adapter.emplace(choose_adapter(config, *model));
    model->adapter->config.dropout = config.adapter->config.dropout;
  } else if (config.init != "random") {
    train_everything(*model);
  }
  for (auto& parameter : model->loaded.parameters.all()) parameter->trainable = !model->adapter;
  if (model->adapter)
    for (auto& parameter : model->adapter->parameters.all()) parameter->trainable = true;

  const bool bf16 = model->backend->has_bf16();
  if (config.dtype == Precision::bf16 && !bf16)
    log_warning("dtype: this machine has no bf16 products in hardware; training in f32");
  model->product = config.dtype != Precision::f32 && bf16 ? Product::bf16 : Product::f32;
  return model;
}

}  // namespace fettle::train
