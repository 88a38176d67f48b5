#include "verbs/generation.h"

#include <algorithm>

#include "base/log.h"
#include "kernels/backends.h"
#include "verbs/model_argument.h"

namespace fettle::verbs {

const KeyTable<ModelChoice>& model_keys() {
  static const auto table = [] {
    KeyTable<ModelChoice> keys;
    keys.add("model", "The model: a folder, .gguf, .bin, or a name", [](auto& o) -> auto& { return o.model; }).input().required();
    keys.add("adapter", "A PEFT adapter's folder", [](auto& o) -> auto& { return o.adapter; }).input();
    keys.add("tokenizer", "A tokenizer instead of the model's own (llama2.c models have none)", [](auto& o) -> auto& { return o.tokenizer; })
        .input();
    keys.add("device", fmt::format("Where it is computed: {}", device_names), [](auto& o) -> auto& { return o.device; }).for_speed();
    keys.choice<Product>("dtype", "What products multiply in: f32, or bf16 where the machine has it in hardware",
                         {{"f32", Product::f32}, {"bf16", Product::bf16}}, [](auto& o) -> auto& { return o.product; });
    return keys;
  }();
  return table;
}

std::unique_ptr<OpenModel> ModelChoice::open() const {
  OpenModelOptions options;
  options.adapter = adapter;
  options.tokenizer = tokenizer;
  options.device = device;
  options.product = product;
  options.resolve = resolve_model;
  return std::make_unique<OpenModel>(resolve_model(model), options);
}

const KeyTable<SamplingChoice>& sampling_keys() {
  static const auto table = [] {
    constexpr const char* model = "the model's";
    KeyTable<SamplingChoice> keys;
    keys.add("max_tokens", "Most tokens of an answer; 0: to the end of the context", [](auto& o) -> auto& { return o.max_tokens; })
        .at_least(0)
        .by_default("512");
    keys.add("temperature", "0: always the most likely token (the model's: as its generation_config.json says, else 0)",
             [](auto& o) -> auto& { return o.temperature; })
        .at_least(0)
        .by_default(model);
    keys.add("top_p", "Draw from the fewest tokens whose probabilities reach this", [](auto& o) -> auto& { return o.top_p; })
        .between(1e-9, 1)
        .by_default(model);
    keys.add("top_k", "Draw from this many tokens; 0: all", [](auto& o) -> auto& { return o.top_k; }).at_least(0).by_default(model);
    keys.add("min_p", "Draw from tokens at least this likely, relative to the most likely", [](auto& o) -> auto& { return o.min_p; })
        .between(0, 1)
        .by_default(model);
    keys.add("repetition_penalty", "Divides the logits of tokens that stand in the text already",
             [](auto& o) -> auto& { return o.repetition_penalty; })
        .above(0)
        .by_default(model);
    keys.add("presence_penalty", "Subtracted from tokens that the answer holds", [](auto& o) -> auto& { return o.presence_penalty; });
    keys.add("frequency_penalty", "Subtracted each time the answer holds the token", [](auto& o) -> auto& { return o.frequency_penalty; });
    keys.add("seed", "Same seed, same request: same answer", [](auto& o) -> auto& { return o.seed; });
    keys.add("stop", "End before this text; may be given several times", [](auto& o) -> auto& { return o.stop; }).repeated();
    return keys;
  }();
  return table;
}

SamplingOptions SamplingChoice::over(const SamplingDefaults& defaults) const {
  for (const std::string& key : defaults.ignored)
    log_warning("generation_config.json: {} has no effect here", key);
  SamplingOptions sampling = defaults.sampling;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = presence_penalty;
  sampling.frequency_penalty = frequency_penalty;
  sampling.seed = seed;
  return sampling;
}

int64_t SamplingChoice::limit(int64_t prompt, int64_t context) const {
  if (max_tokens) return *max_tokens;
  return std::max<int64_t>(1, std::min<int64_t>(512, context - prompt));
}

const KeyTable<EngineChoice>& engine_keys() {
  static const auto table = [] {
    KeyTable<EngineChoice> keys;
    keys.choice<DType>("kv_dtype", "What keys and values are kept as", {{"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}},
                       [](auto& o) -> auto& { return o.kv_dtype; });
    keys.add("kv_memory", "Memory for keys and values, in GB", [](auto& o) -> auto& { return o.kv_gigabytes; })
        .above(0)
        .for_speed()
        .by_default("what `parallel` answers need");
    keys.add("parallel", "Answers computed at once", [](auto& o) -> auto& { return o.parallel; }).between(1, 4096).for_speed();
    return keys;
  }();
  return table;
}

EngineOptions EngineChoice::options() const {
  EngineOptions options;
  options.kv_dtype = kv_dtype;
  options.kv_bytes = static_cast<int64_t>(kv_gigabytes * 1e9);
  options.max_running = parallel;
  options.step_tokens = std::max(options.step_tokens, parallel + options.page_rows);
  return options;
}

}  // namespace fettle::verbs
