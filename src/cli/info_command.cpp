#include <algorithm>
#include <map>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/open_file.h"
#include "base/progress.h"
#include "checkpoint/load.h"
#include "checkpoint/peft.h"
#include "cli/command.h"
#include "verbs/model_argument.h"
#include "data/files/reader.h"
#include "data/rows/example.h"

namespace fettle::cli {
namespace {

struct InfoState {
  std::string path, tokenizer;
};

struct Report {
  OrderedJson json = OrderedJson::object();
  std::string text;
  /// A row in both forms.
  void add(const std::string& key, const OrderedJson& value, const std::string& shown = "") {
    json[key] = value;
    const std::string plain = value.is_string() ? value.get<std::string>() : value.dump();
    text += fmt::format("{:<24} {}\n", key, shown.empty() ? plain : shown);
  }
};

std::string_view position_name(PositionKind kind) {
  switch (kind) {
    case PositionKind::rope:
      return "rotary";
    case PositionKind::alibi:
      return "ALiBi";
    case PositionKind::learned:
      return "learned";
    default:
      return "none";
  }
}

/// Weights, gradients and AdamW's two moments, all f32, without activations.
double full_training_bytes(int64_t parameters) { return 16.0 * static_cast<double>(parameters); }

void describe_adapter(const Adapter& adapter, Report& report) {
  const int64_t count = adapter.parameters.count();
  const AdapterConfig& config = adapter.config;
  const std::string kind = config.dora ? "DoRA" : "LoRA";
  std::string text = fmt::format("{} of rank {}, alpha {}, on {}", kind, config.rank, config.alpha,
                                 config.target_pattern.empty() ? fmt::format("{}", fmt::join(config.targets, ", ")) : config.target_pattern);
  if (!config.modules_to_save.empty()) text += fmt::format("; {} trained whole", fmt::join(config.modules_to_save, ", "));
  for (const auto& [name, ids] : config.token_indices) text += fmt::format("; {} rows of {}", ids.size(), name);
  if (adapter.vocab_size() > 0) text += fmt::format("; brings a vocabulary of {}", adapter.vocab_size());
  report.add("adapter", kind, text);
  report.add("adapter_rank", adapter.config.rank);
  report.add("adapter_alpha", adapter.config.alpha);
  report.add("adapter_parameters", count, human_count(static_cast<double>(count)));
}

/// What only some layers or models have.
void add_layers(Report& report, const ModelConfig& config) {
  int32_t window = 0, windowed = 0;
  for (int32_t i = 0; i < config.layers; ++i) {
    window = std::max(window, config.layer(i).sliding_window);
    windowed += config.layer(i).sliding_window > 0 ? 1 : 0;
  }
  if (window > 0) report.add("sliding_window", window, fmt::format("{} in {} of {} layers", window, windowed, config.layers));
  if (config.expert_count() == 0) return;
  report.add("experts", config.experts, fmt::format("{}, {} for each token", config.experts, config.experts_per_token));
}

void describe_model(const fs::path& path, const std::string& tokenizer, Report& report) {
  LoadOptions options;
  options.tokenizer = tokenizer;
  options.resolve = verbs::resolve_model;
  const LoadedModel model = load_model(path, options);
  const ModelConfig& config = model.config;
  const int64_t count = config.parameter_count();
  report.add("kind", "model", fmt::format("model, {}", format_name(model.format)));
  report.add("format", format_name(model.format));
  report.add("family", config.family);
  report.add("parameters", count, fmt::format("{} ({})", count, human_count(static_cast<double>(count))));
  report.add("dtype", dtype_name(model.dtype));
  report.add("layers", config.layers);
  report.add("hidden_size", config.hidden_size);
  report.add("intermediate_size", config.intermediate_size);
  report.add("heads", config.heads, fmt::format("{} of {} columns, {} for keys and values", config.heads, config.head_dim, config.kv_heads));
  report.add("kv_heads", config.kv_heads);
  report.add("vocab_size", config.vocab_size);
  report.add("context_length", config.context_length);
  report.add("position", position_name(config.position));
  report.add("tied_embeddings", config.tied_embeddings);
  add_layers(report, config);
  if (model.tokenizer) {
    report.add("tokens", model.tokenizer->size());
    report.add("chat_template", !model.tokenizer->chat_template().empty());
  }
  report.add("eos", model.eos);
  const auto weights = static_cast<double>(model.parameters.value_bytes());
  report.add("load_bytes", weights, human_bytes(weights) + " of weights");
  report.add("train_full_bytes", full_training_bytes(count), human_bytes(full_training_bytes(count)) + " and activations (AdamW, f32)");
  AdapterConfig lora;
  lora.targets = {"all-linear"};
  const Adapter fresh = make_adapter(config, lora, 0);
  const double lora_bytes = weights + full_training_bytes(fresh.parameters.count());
  report.add("train_lora_bytes", lora_bytes, human_bytes(lora_bytes) + " and activations (rank 16, every linear layer)");
  if (model.adapter) describe_adapter(*model.adapter, report);
}

void describe_data(const std::string& path, Report& report) {
  data::RejectedRows rejected;
  data::RowReader reader({path}, rejected);
  std::map<std::string, int64_t> formats;
  OrderedJson first;
  std::vector<data::Row> batch;
  std::vector<OrderedJson> values;
  while (reader.next(batch, values)) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (first.is_null()) first = values[i];
      try {
        ++formats[std::string(data::format_name(data::detect_format(values[i], {}, batch[i].where())))];
      } catch (const Error& error) {
        rethrow_unless_of_input(error);
        ++formats["unknown"];
      }
    }
  }
  report.add("kind", "data");
  report.add("rows", reader.report().rows);
  report.add("bytes", reader.report().bytes, human_bytes(static_cast<double>(reader.report().bytes)));
  std::string shown;
  for (const auto& [name, count] : formats) shown += fmt::format("{}{}: {}", shown.empty() ? "" : ", ", name, count);
  report.add("formats", formats, shown);
  report.add("rejected", rejected.count());
  for (const auto& rejection : rejected.first()) report.text += fmt::format("  {}:{}: {}: {}\n", rejection.file, rejection.line, rejection.reason, rejection.detail);
  OrderedJson keys = OrderedJson::array();
  for (const auto& [key, value] : first.items()) keys.push_back(key);
  report.add("keys", keys);
}

void describe_run(const fs::path& path, Report& report) {
  const Json run = read_json(path / "run.json");
  report.add("kind", "run");
  report.add("recipe", json_get<std::string>(run, "recipe", path.string()));
  report.add("setting", json_get_or<std::string>(run, "setting", "", path.string()));
  OrderedJson steps = OrderedJson::array();
  for (const auto& step : run.at("steps")) {
    steps.push_back({{"name", step.at("name")}, {"do", step.at("do")}, {"finished", step.at("finished")}});
    report.text += fmt::format("  {:<14} {:<8} {}\n", step.at("name").get<std::string>(), step.at("do").get<std::string>(),
                               step.at("finished").get<bool>() ? "finished" : "not finished");
  }
  report.json["steps"] = steps;
}

/// What looks like no model inside is then refused as one, and not shown as data without rows.
bool is_named_as_model(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".gguf" || extension == ".safetensors" || fs::exists(path / "config.json");
}

void run_info(InfoState& state) {
  const fs::path path = state.path == "-" ? fs::path("-") : verbs::resolve_model(state.path);
  if (path != "-" && !fs::is_directory(path)) open_regular(path);
  Report report;
  report.add("path", path.string());
  if (fs::exists(path / "run.json")) {
    describe_run(path, report);
  } else if (is_adapter_folder(path) || detect_format(path) || is_named_as_model(path)) {
    describe_model(path, state.tokenizer, report);
  } else {
    describe_data(path.string(), report);
  }
  report.text.pop_back();
  print_report(report.json, report.text);
}

}  // namespace

void add_info_command(CLI::App& app) {
  auto& command = add_command(app, "info", "Say what a model, adapter, data file or run is",
                              "  $ fettle info smollm2-135m-instruct\n"
                              "  $ fettle info runs/starter\n"
                              "  $ fettle --json info pairs.jsonl");
  auto state = std::make_shared<InfoState>();
  command.add_option("PATH", state->path, "A model folder or file, an adapter, a data file, a run's folder, or a name")->required();
  command.add_option("--tokenizer", state->tokenizer, "A tokenizer instead of the model's own");
  on_run(command, state, run_info);
}

}  // namespace fettle::cli
