#include "checkpoint/export.h"

#include "base/log.h"
#include "cli/command.h"
#include "cli/model_argument.h"

namespace fettle::cli {
namespace {

struct ExportState {
  std::string model, adapter, to = "hf", dtype, output, tokenizer;
  bool check = true;
  uint64_t shard_bytes = 5'000'000'000;
};

/// Ordinary English, so that the check looks at what the model is for.
constexpr std::string_view check_text =
    "The river rises in the hills, turns twice around the old town, and reaches the sea after three days. People have lived on its "
    "banks for as long as anybody can remember; they fish, they build boats, and in winter they tell stories by the fire.";

OrderedJson check_json(const ExportCheck& check) {
  return {{"tokens", check.tokens}, {"source_logp", check.source_logp}, {"exported_logp", check.exported_logp},
          {"largest_difference", check.largest_difference}, {"kl", check.kl}, {"same_best", check.same_best}};
}

/// The adapter by itself, for llama.cpp beside its base.
void export_lora(const ExportState& state, const LoadedModel& model) {
  if (!model.adapter) fail_usage("export: --to gguf-lora writes an adapter; {} has none, name one with --adapter", state.model);
  const auto dtype = state.dtype.empty() ? std::optional(DType::f32) : dtype_from_name(state.dtype);
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16)
    fail_usage("export: --dtype {}: a LoRA is f32, f16 or bf16", state.dtype);
  save_gguf_lora(state.output, model.config, model.parameters, *model.adapter, *dtype);
  print_report({{"output", state.output}, {"format", state.to}, {"dtype", dtype_name(*dtype)}}, state.output);
}

void run_export(ExportState& state) {
  LoadOptions load;
  load.tokenizer = state.tokenizer;
  load.resolve = resolve_model;
  LoadedModel model = load_model(resolve_model(state.model), load);
  if (!state.adapter.empty()) {
    if (model.adapter) fail_usage("export: {} is an adapter already; export it first, then add the second one", state.model);
    attach_adapter(model, state.adapter, !state.tokenizer.empty());
  }
  if (state.to == "gguf-lora") {
    export_lora(state, model);
    return;
  }
  ExportOptions options;
  options.to = state.to == "gguf" ? ModelFormat::gguf : state.to == "llama2c" ? ModelFormat::llama2c : ModelFormat::hf;
  options.output = state.output;
  options.shard_bytes = static_cast<int64_t>(state.shard_bytes);
  if (!state.dtype.empty()) {
    options.dtype = dtype_from_name(state.dtype);
    if (!options.dtype) fail_usage("export: --dtype {}: no such type; there are f32, f16, bf16, and for gguf q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k", state.dtype);
  }
  const DType dtype = export_model(model, options);
  OrderedJson report{{"output", state.output}, {"format", state.to}, {"dtype", dtype_name(dtype)}};
  if (state.check && model.tokenizer) {
    LoadOptions reload;
    reload.tokenizer = state.tokenizer;
    auto ids = model.tokenizer->encode(check_text, {true, false});
    const auto check = check_export(model, state.output, ids, reload);
    report["check"] = check_json(check);
    log_info("check over {} tokens: log-probability {:.4f} in the source, {:.4f} exported; KL {:.3g} nats a token; same first choice {:.1f} %",
             check.tokens, check.source_logp, check.exported_logp, check.kl, 100 * check.same_best);
  }
  print_report(report, state.output);
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto& command = add_command(app, "export", "Write a model for other tools, its adapter merged, and check the result",
                              "  $ fettle export --model runs/dpo --to gguf --dtype q4_k --output model.gguf\n"
                              "  $ fettle export --model base.gguf --adapter runs/lora --to hf --dtype bf16 --output merged\n"
                              "  $ fettle export --model runs/lora --to gguf-lora --output lora.gguf\n"
                              "  $ fettle export --model starter --to llama2c --output starter.bin");
  auto state = std::make_shared<ExportState>();
  command.add_option("--model", state->model, "The model: a folder, .gguf, .bin, or a name")->required();
  command.add_option("--adapter", state->adapter, "A PEFT adapter to merge");
  command.add_option("--tokenizer", state->tokenizer, "A tokenizer instead of the model's own");
  command.add_option("--to", state->to, "hf | gguf | gguf-lora (the adapter alone) | llama2c")->check(CLI::IsMember({"hf", "gguf", "gguf-lora", "llama2c"}))->capture_default_str();
  command.add_option("--dtype", state->dtype, "f32, f16, bf16; for gguf also q8_0, q4_0, q4_1, q4_k, q6_k (default: as stored)");
  command.add_option("--output", state->output, "The folder or file to write")->required();
  command.add_option("--shard-size", state->shard_bytes, "Split an hf model's weights into files of this size, as 2GB")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("5GB");
  command.add_flag("!--no-check", state->check, "Do not open the result again to compare log-probabilities");
  on_run(command, state, run_export);
}

}  // namespace fettle::cli
