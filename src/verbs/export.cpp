#include "checkpoint/export.h"

#include "base/error.h"
#include "base/log.h"
#include "verbs/model_argument.h"
#include "verbs/verb.h"

namespace fettle::verbs {
namespace {

enum class Target { hf, gguf, gguf_lora, llama2c };

struct Export {
  std::string model, adapter, dtype, output, tokenizer;
  Target to = Target::hf;
  bool check = true;
  uint64_t shard_bytes = 5'000'000'000;
};

const std::vector<std::pair<std::string, Target>> target_names{
    {"hf", Target::hf}, {"gguf", Target::gguf}, {"gguf-lora", Target::gguf_lora}, {"llama2c", Target::llama2c}};

KeyTable<Export> export_keys() {
  KeyTable<Export> keys;
  keys.add("model", "The model: a folder, .gguf, .bin, or a name", [](auto& o) -> auto& { return o.model; }).input().required();
  keys.add("adapter", "A PEFT adapter to merge", [](auto& o) -> auto& { return o.adapter; }).input();
  keys.add("tokenizer", "A tokenizer instead of the model's own", [](auto& o) -> auto& { return o.tokenizer; }).input();
  keys.choice<Target>("to", "The format; gguf-lora: the adapter alone", target_names, [](auto& o) -> auto& { return o.to; });
  keys.add("dtype", "f32, f16, bf16; for gguf also q8_0, q4_0, q4_1, q4_k, q6_k", [](auto& o) -> auto& { return o.dtype; })
      .by_default("as stored");
  keys.add("output", "The folder or file to write", [](auto& o) -> auto& { return o.output; }).output("model").required();
  keys.size("shard_size", "Split an hf model's weights into files of this size, as 2GB", [](auto& o) -> auto& { return o.shard_bytes; })
      .by_default("5GB");
  keys.add("check", "Open the result again and compare log-probabilities", [](auto& o) -> auto& { return o.check; });
  return keys;
}

/// Ordinary English, so that the check looks at what the model is for.
constexpr std::string_view check_text =
    "The river rises in the hills, turns twice around the old town, and reaches the sea after three days. People have lived on its "
    "banks for as long as anybody can remember; they fish, they build boats, and in winter they tell stories by the fire.";

OrderedJson check_json(const ExportCheck& check) {
  return {{"tokens", check.tokens}, {"source_logp", check.source_logp}, {"exported_logp", check.exported_logp},
          {"largest_difference", check.largest_difference}, {"kl", check.kl}, {"same_best", check.same_best}};
}

/// What `dtype` names; nothing where it is not given.
std::optional<DType> dtype_of(const Export& given, const KeyValues& values) {
  if (given.dtype.empty()) return std::nullopt;
  const auto dtype = dtype_from_name(given.dtype);
  const std::string place = values.style().where + values.shown("dtype");
  if (!dtype)
    fail_usage("{} {}: no such type; there are f32, f16, bf16, and for gguf q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k", place, given.dtype);
  if (given.to == Target::gguf_lora && dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16)
    fail_usage("{} {}: a LoRA is f32, f16 or bf16", place, given.dtype);
  return dtype;
}

void check_export_keys(const Export& given, const KeyValues& values) { dtype_of(given, values); }

LoadedModel open_source(const Export& given, const KeyValues& values) {
  LoadOptions load;
  load.tokenizer = given.tokenizer;
  load.resolve = resolve_model;
  LoadedModel model = load_model(resolve_model(given.model), load);
  if (!given.adapter.empty()) {
    if (model.adapter) fail_usage("export: {} is an adapter already; export it first, then add the second one", given.model);
    attach_adapter(model, given.adapter, !given.tokenizer.empty());
  }
  if (given.to == Target::gguf_lora && !model.adapter)
    fail_usage("export: gguf-lora writes an adapter; {} has none, name one with {}", given.model, values.shown("adapter"));
  return model;
}

Report report_of(const Export& given, const KeyValues& values, DType dtype) {
  const std::string to = values.has("to") ? values.values()["to"].get<std::string>() : "hf";
  return {{{"output", given.output}, {"format", to}, {"dtype", dtype_name(dtype)}}, given.output, {}, {}};
}

Report run_export(Export& given, const KeyValues& values) {
  LoadedModel model = open_source(given, values);
  if (given.to == Target::gguf_lora) {
    const DType dtype = dtype_of(given, values).value_or(DType::f32);
    save_gguf_lora(given.output, model.config, model.parameters, *model.adapter, dtype);
    return report_of(given, values, dtype);
  }
  ExportOptions options;
  options.to = given.to == Target::gguf ? ModelFormat::gguf : given.to == Target::llama2c ? ModelFormat::llama2c : ModelFormat::hf;
  options.output = given.output;
  options.shard_bytes = static_cast<int64_t>(given.shard_bytes);
  options.dtype = dtype_of(given, values);
  Report report = report_of(given, values, export_model(model, options));
  if (given.check && model.tokenizer) {
    LoadOptions reload;
    reload.tokenizer = given.tokenizer;
    const auto check = check_export(model, given.output, model.tokenizer->encode(check_text, {true, false}), reload);
    report.json["check"] = check_json(check);
    log_info("check over {} tokens: log-probability {:.4f} in the source, {:.4f} exported; KL {:.3g} nats a token; same first choice {:.1f} %",
             check.tokens, check.source_logp, check.exported_logp, check.kl, 100 * check.same_best);
  }
  return report;
}

Place place_of_export(const KeyValues& values, const fs::path& folder) {
  const std::string to = values.has("to") ? values.values()["to"].get<std::string>() : "hf";
  const fs::path path = folder / (to == "hf" ? "model" : to == "gguf" ? "model.gguf" : to == "gguf-lora" ? "lora.gguf" : "model.bin");
  return {path, path};
}

}  // namespace

const Verb& export_verb() {
  static const Verb verb =
      make_verb({.name = "export",
                 .summary = "Write a model for other tools, its adapter merged, and check the result",
                 .examples = "  $ fettle export --model runs/dpo --to gguf --dtype q4_k --output model.gguf\n"
                             "  $ fettle export --model base.gguf --adapter runs/lora --to hf --dtype bf16 --output merged\n"
                             "  $ fettle export --model runs/lora --to gguf-lora --output lora.gguf\n"
                             "  $ fettle export --model starter --to llama2c --output starter.bin",
                 .place = place_of_export},
                export_keys(), check_export_keys, run_export);
  return verb;
}

}  // namespace fettle::verbs
