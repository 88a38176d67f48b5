#include "train/config.h"

#include <functional>

#include "base/error.h"
#include "base/yaml.h"
#include "train/config_value.h"
#include "train/losses/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace fettle::train {
namespace {

struct Key {
  std::string path;
  std::function<void(TrainConfig&, const ConfigValue&)> set;
  std::function<OrderedJson(const TrainConfig&)> get;
};

bool in_adapter(std::string_view path) {
  return path.substr(0, 8) == "adapter.";
}

/// A key whose value is the member that `member` gives, read and written by its type.
template <typename Member>
Key key(std::string path, Member member) {
  return {path, [member](TrainConfig& config, const ConfigValue& value) { read_value(value, member(config)); },
          [member](const TrainConfig& config) { return write_value(member(config)); }};
}

void read_auto(const ConfigValue& value, int64_t& to) {
  if (value.value == "auto") {
    to = 0;
  } else {
    read_value(value, to);
    if (to <= 0) value.wrong("auto or a number above 0");
  }
}

void read_keep_best(const ConfigValue& value, std::string& to) {
  const OrderedJson& v = value.value;
  if (v == false || v.is_null()) {
    to.clear();
  } else if (v == true) {
    to = "loss";
  } else if (v == "loss" || v == "reward_accuracy" || v == "reward_margin") {
    to = v.get<std::string>();
  } else {
    value.wrong("true | false | loss | reward_accuracy | reward_margin");
  }
}

void read_betas(const ConfigValue& value, OptimizerSettings& to) {
  if (!value.value.is_array() || value.value.size() != 2) value.wrong("a list of two numbers");
  read_value({value.value[0], value.key, value.place}, to.beta1);
  read_value({value.value[1], value.key, value.place}, to.beta2);
}

#define MEMBER(path, expression) \
  key(                           \
      path, [](auto& c) -> auto& { return expression; })

std::vector<Key> method_keys() {
  return {
      MEMBER("method", c.method),
      MEMBER("model", c.model),
      MEMBER("init", c.init),
      MEMBER("data", c.data),
      MEMBER("eval", c.eval),
      MEMBER("out", c.out),
      MEMBER("chat_template", c.chat_template),
      MEMBER("adapter.rank", c.adapter->config.rank),
      MEMBER("adapter.alpha", c.adapter->config.alpha),
      MEMBER("adapter.dropout", c.adapter->config.dropout),
      MEMBER("adapter.rslora", c.adapter->config.rslora),
      MEMBER("adapter.targets", c.adapter->config.targets),
      MEMBER("adapter.target_pattern", c.adapter->config.target_pattern),
      MEMBER("adapter.exclude", c.adapter->config.exclude),
      MEMBER("adapter.layers", c.adapter->config.layers),
      MEMBER("adapter.rank_pattern", c.adapter->config.rank_pattern),
      MEMBER("adapter.alpha_pattern", c.adapter->config.alpha_pattern),
      MEMBER("adapter.dora", c.adapter->config.dora),
      MEMBER("adapter.bias", c.adapter->config.bias),
      MEMBER("adapter.lora_bias", c.adapter->config.lora_bias),
      MEMBER("adapter.modules_to_save", c.adapter->config.modules_to_save),
      MEMBER("adapter.init", c.adapter->init),
      MEMBER("tokens.add", c.tokens.texts),
      MEMBER("tokens.init", c.tokens.init),
      MEMBER("tokens.special", c.tokens.special),
      MEMBER("beta", c.beta),
      MEMBER("gamma", c.gamma),
      MEMBER("label_smoothing", c.label_smoothing),
      MEMBER("desirable_weight", c.desirable_weight),
      MEMBER("undesirable_weight", c.undesirable_weight),
      MEMBER("class_weights", c.class_weights),
      MEMBER("balance_classes", c.balance_classes),
      MEMBER("per_sequence_loss", c.per_sequence_loss),
      MEMBER("router_loss_weight", c.router_loss_weight),
      MEMBER("max_length", c.max_length),
      MEMBER("truncate", c.truncate),
      MEMBER("train_on", c.train_on),
      MEMBER("raw", c.raw),
      MEMBER("split_turns", c.split_turns),
      MEMBER("template_variables", c.template_variables),
  };
}

std::vector<Key> loop_keys() {
  return {
      MEMBER("epochs", c.epochs),
      MEMBER("steps", c.steps),
      MEMBER("batch_size", c.batch_size),
      {"micro_tokens", [](TrainConfig& c, const ConfigValue& value) { read_auto(value, c.micro_tokens); },
       [](const TrainConfig& c) {
         return c.micro_tokens == 0 ? OrderedJson("auto") : OrderedJson(c.micro_tokens);
       }},
      MEMBER("learning_rate", c.learning_rate),
      MEMBER("schedule.name", c.schedule.name),
      MEMBER("schedule.warmup", c.schedule.warmup),
      MEMBER("schedule.decay", c.schedule.decay),
      MEMBER("schedule.final", c.schedule.final),
      MEMBER("optimizer.name", c.optimizer.name),
      {"optimizer.betas", [](TrainConfig& c, const ConfigValue& value) { read_betas(value, c.optimizer); },
       [](const TrainConfig& c) {
         return OrderedJson{c.optimizer.beta1, c.optimizer.beta2};
       }},
      MEMBER("optimizer.eps", c.optimizer.eps),
      MEMBER("optimizer.weight_decay", c.optimizer.weight_decay),
      MEMBER("optimizer.decay_all", c.optimizer.decay_all),
      MEMBER("optimizer.alpha", c.optimizer.alpha),
      MEMBER("optimizer.momentum", c.optimizer.momentum),
      MEMBER("max_grad_norm", c.max_grad_norm),
      MEMBER("shuffle", c.shuffle),
      MEMBER("seed", c.seed),
      MEMBER("device", c.device),
      MEMBER("dtype", c.dtype),
      MEMBER("master_weights", c.master_weights),
      MEMBER("recompute", c.recompute),
      {"memory_limit", [](TrainConfig& c, const ConfigValue& value) { c.memory_limit = read_bytes(value); },
       [](const TrainConfig& c) { return OrderedJson(c.memory_limit); }},
      MEMBER("force_memory", c.force_memory),
      MEMBER("token_cache", c.token_cache),
      MEMBER("save_every", c.save_every),
      MEMBER("keep", c.keep),
      MEMBER("eval_every", c.eval_every),
      {"keep_best", [](TrainConfig& c, const ConfigValue& value) { read_keep_best(value, c.keep_best); },
       [](const TrainConfig& c) {
         return c.keep_best.empty() ? OrderedJson(false) : OrderedJson(c.keep_best);
       }},
      MEMBER("save_dtype", c.save_dtype),
  };
}

#undef MEMBER

const std::vector<Key>& keys() {
  static const std::vector<Key> table = [] {
    std::vector<Key> all = method_keys(), loop = loop_keys();
    all.insert(all.end(), loop.begin(), loop.end());
    return all;
  }();
  return table;
}

const Key* find_key(std::string_view path) {
  for (const Key& key : keys())
    if (key.path == path) return &key;
  return nullptr;
}

bool is_section(std::string_view path) {
  const std::string prefix = std::string(path) + ".";
  for (const Key& key : keys())
    if (key.path.compare(0, prefix.size(), prefix) == 0) return true;
  return false;
}

/// The nearest key, also where the last part alone is near ("warmup" for "schedule.warmup").
std::string suggestion(std::string_view path) {
  std::vector<std::string> whole, last;
  for (const Key& key : keys()) {
    whole.push_back(key.path);
    last.push_back(key.path.substr(key.path.rfind('.') + 1));
  }
  std::string near = nearest_name(path, whole);
  if (near.empty()) {
    const std::string part = nearest_name(path.substr(path.rfind('.') + 1), last);
    for (size_t i = 0; i < last.size() && near.empty(); ++i)
      if (!part.empty() && last[i] == part) near = whole[i];
  }
  for (const char* section : {"adapter", "tokens", "schedule", "optimizer"})
    if (nearest_name(path, {section}) == section && near.empty()) near = section;
  return near;
}

/// Knows where each key stands.
using Place = std::function<std::string(const std::string& key)>;

void apply_section(TrainConfig& config, const OrderedJson& section, const std::string& prefix,
                   const Place& place);

void apply(TrainConfig& config, const OrderedJson& value, const std::string& path, const Place& place) {
  const ConfigValue at{value, path, place(path)};
  if (const Key* key = find_key(path)) {
    if (in_adapter(path) && !config.adapter) config.adapter.emplace();
    key->set(config, at);
  } else if (path == "adapter" && (value.is_null() || value == false)) {
    config.adapter.reset();
  } else if ((path == "schedule" || path == "optimizer") && value.is_string()) {
    apply(config, value, path + ".name", place);
  } else if (is_section(path)) {
    if (!value.is_object()) at.wrong("a mapping");
    if (path == "adapter" && !config.adapter) config.adapter.emplace();
    apply_section(config, value, path + ".", place);
  } else {
    const std::string near = suggestion(path);
    fail_usage("{}: there is no such key{}", at.place,
               near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
  }
}

void apply_section(TrainConfig& config, const OrderedJson& section, const std::string& prefix,
                   const Place& place) {
  for (const auto& [name, value] : section.items()) apply(config, value, prefix + name, place);
}

void apply_override(TrainConfig& config, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) fail_usage("--set: expected key=value, found '{}'", text);
  const OrderedJson value = parse_yaml_value(text.substr(equals + 1), "--set " + text.substr(0, equals));
  apply(config, value, text.substr(0, equals), [](const std::string& key) { return "--set: " + key; });
}

TrainConfig config_of(const OrderedJson& root, std::string_view where, const Place& place,
                      const std::vector<std::string>& overrides) {
  if (!root.is_object()) fail_usage("{}: expected a mapping of keys to values, such as 'method: sft'", where);
  TrainConfig config;
  apply_section(config, root, "", place);
  for (const std::string& text : overrides) apply_override(config, text);
  validate(config);
  return config;
}

void require(bool good, std::string_view key, std::string_view expected) {
  if (!good) fail_usage("{}: expected {}", key, expected);
}

void validate_loop(const TrainConfig& config) {
  require(config.max_length >= 2 && config.max_length <= std::numeric_limits<int32_t>::max(), "max_length",
          "at least 2 and below 2^31");
  require(config.steps >= 0, "steps", "0 or more");
  require(config.steps > 0 || config.epochs > 0.0, "epochs", "a number above 0, or steps");
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  require(config.batch_size >= 1 && config.batch_size <= most, "batch_size", "at least 1 and below 2^31");
  require(config.micro_tokens <= most, "micro_tokens", "auto, or a number below 2^31");
  require(config.learning_rate >= 0.0, "learning_rate", "0 or more");
  require(config.max_grad_norm >= 0.0, "max_grad_norm", "0 (no clipping) or more");
  require(config.save_every >= 0, "save_every", "0 (at the end alone) or more");
  require(config.keep >= 1, "keep", "at least 1");
  require(config.eval_every >= 0, "eval_every", "0 (each epoch) or more");
  require(config.save_dtype == "f32" || config.save_dtype == "f16" || config.save_dtype == "bf16",
          "save_dtype", "f32 | f16 | bf16");
  require(config.init == "weights" || config.init == "random", "init", "weights | random");
}

void validate_adapter(const TrainConfig& config) {
  if (!config.adapter) return;
  const AdapterConfig& adapter = config.adapter->config;
  require(config.master_weights, "master_weights", "true beside an adapter, which is f32");
  require(adapter.rank >= 1, "adapter.rank", "at least 1");
  require(adapter.alpha > 0.0F, "adapter.alpha", "a number above 0");
  require(adapter.dropout >= 0.0F && adapter.dropout < 1.0F, "adapter.dropout", "a probability below 1");
  require(!adapter.targets.empty() || !adapter.target_pattern.empty(), "adapter.targets",
          "at least one module name, or all-linear");
  require(!adapter.dora || !adapter.lora_bias, "adapter.lora_bias", "false beside dora");
  require(config.tokens.texts.empty() || config.adapter->init.empty(), "tokens.add",
          "no adapter.init, whose vocabulary is given");
  require(config.init == "weights", "init", "weights, since an adapter needs a trained model under it");
}

}  // namespace

void validate(const TrainConfig& config) {
  if (config.method.empty()) fail_usage("method: missing; say sft, dpo, …");
  const Method& method = method_from_name(config.method);
  if (config.model.empty() && config.model_path.empty())
    fail_usage("model: missing; a model folder, a .gguf or a built-in name");
  if (config.data.empty()) fail_usage("data: missing; a file of training rows");
  if (config.out.empty()) fail_usage("out: missing; the folder the trained model goes to");
  if (config.beta && method.beta == 0.0)
    fail_usage("beta: method {} has none; take the key out", config.method);
  if (config.router_loss_weight)
    require(*config.router_loss_weight >= 0.0, "router_loss_weight", "a number that is not negative");
  if (config.beta) require(*config.beta > 0.0, "beta", "a number above 0");
  require(config.label_smoothing >= 0.0 && config.label_smoothing < 0.5, "label_smoothing",
          "a share below 0.5");
  require(config.desirable_weight >= 0.0, "desirable_weight", "0 or more");
  require(config.undesirable_weight >= 0.0, "undesirable_weight", "0 or more");
  if (method.mismatched_kl)
    require(config.batch_size >= 2, "batch_size", "at least 2: kto estimates its KL across the batch");
  if (!config.keep_best.empty() && config.eval.empty())
    fail_usage("keep_best: needs eval: a file of held-out rows");
  if (config.keep_best.rfind("reward", 0) == 0 && !method.preference())
    fail_usage("keep_best: {} has no {}; say loss", config.method, config.keep_best);
  validate_loop(config);
  validate_adapter(config);
  validate(config.schedule);
  validate(config.optimizer);
}

TrainConfig parse_train_config(std::string_view yaml, std::string_view where,
                               const std::vector<std::string>& overrides) {
  YamlDocument document;
  try {
    document = parse_yaml(yaml, where);
  } catch (const Error& problem) {
    throw Error(Error::Kind::usage, problem.what());
  }
  return config_of(
      document.value, where, [&](const std::string& key) { return document.place(key) + ": " + key; },
      overrides);
}

TrainConfig load_train_config(const fs::path& path, const std::vector<std::string>& overrides) {
  return parse_train_config(read_file(path, uint64_t{16} << 20), path.string(), overrides);
}

TrainConfig train_config_from_json(const Json& config, std::string_view where) {
  const auto place = [&](const std::string& key) { return fmt::format("{}: {}", where, key); };
  return config_of(OrderedJson::parse(config.dump()), where, place, {});
}

OrderedJson to_json(const TrainConfig& config) {
  OrderedJson result;
  for (const Key& key : keys()) {
    if (in_adapter(key.path) && !config.adapter) continue;
    const size_t dot = key.path.find('.');
    OrderedJson& place = dot == std::string::npos ? result[key.path]
                                                  : result[key.path.substr(0, dot)][key.path.substr(dot + 1)];
    place = key.get(config);
  }
  return result;
}

}  // namespace fettle::train
