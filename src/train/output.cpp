#include "train/output.h"

#include <cmath>

#include "base/hash.h"
#include "base/progress.h"
#include "base/unfinished.h"
#include "checkpoint/peft.h"
#include "checkpoint/save.h"
#include "model/device.h"
#include "train/metrics.h"
#include "train/report.h"

namespace fettle::train {
namespace {

DType save_dtype(const TrainConfig& config) {
  return *dtype_from_name(config.save_dtype);
}

std::string base_name(const TrainConfig& config, const TrainModel& model) {
  return fs::exists(model.loaded.path) ? fs::absolute(model.loaded.path).lexically_normal().string()
                                       : config.model;
}

/// YAML front matter as the Hugging Face hub reads it.
std::string front_matter(const TrainConfig& config, const TrainModel& model) {
  std::string text = "---\nlibrary_name: " + std::string(model.adapter ? "peft" : "transformers") + "\n";
  text += fmt::format("base_model: {}\npipeline_tag: text-generation\ntags:\n- fettle\n- {}\n",
                      dump_json(Json(config.model)), config.method);
  if (model.adapter) text += "- lora\n";
  return text + "---\n\n";
}

std::string figures(const TrainResult& result) {
  std::string text =
      "| | step | loss | reward accuracy | reward margin |\n| --- | ---: | ---: | ---: | ---: |\n";
  const auto row = [&](const char* what, int64_t step, double loss,
                       const std::optional<StepMetrics::Preference>& preference) {
    text += fmt::format("| {} | {} | {:.4f} |", what, step, loss);
    text += preference ? fmt::format(" {:.3f} |", preference->reward_accuracy) : " |";
    text += preference && !std::isnan(preference->reward_margin) ? fmt::format(" {:.3f} |\n", preference->reward_margin) : " |\n";
  };
  if (!result.steps.empty()) {
    row("first training step", result.steps.front().step, result.steps.front().loss,
        result.steps.front().preference);
    row("last training step", result.steps.back().step, result.steps.back().loss,
        result.steps.back().preference);
  }
  for (const EvalMetrics& eval : result.evals) row("held-out rows", eval.step, eval.loss, eval.preference);
  return text;
}

std::string model_card(const FinishedRun& run, const TrainModel& model) {
  const TrainConfig& config = run.config;
  const std::string name = fs::absolute(config.out).lexically_normal().filename().string();
  std::string text = front_matter(config, model);
  text += fmt::format("# {}\n\n{} of `{}` by {}, trained with fettle.\n\n", name,
                      model.adapter ? "A LoRA adapter" : "A fine-tuned copy", config.model, config.method);
  text += fmt::format("## Data\n\n{}\n\n", run.rows.summary);
  if (run.eval.size() > 0) text += fmt::format("Held out:\n{}\n\n", run.eval.summary);
  text += fmt::format("## Figures\n\n{}\n", figures(run.result));
  if (!run.result.steps.empty())
    text +=
        fmt::format("{} optimiser steps. The curves are in `report.html`.\n\n", run.result.steps.back().step);
  text += fmt::format("## Recipe\n\n```json\n{}\n```\n", dump_json(to_json(config), 2));
  return text;
}

OrderedJson lineage(const FinishedRun& run, const TrainModel& model) {
  OrderedJson json;
  json["fettle"] = FETTLE_VERSION;
  json["kind"] = model.adapter ? "adapter" : "model";
  json["config"] = to_json(run.config);
  json["inputs"]["model"] = {{"path", base_name(run.config, model)}, {"hash", model.hash}};
  json["inputs"]["data"] = run.rows.report;
  json["inputs"]["data"]["rows_hash"] = run.rows.hash;
  if (run.eval.size() > 0) {
    json["inputs"]["eval"] = run.eval.report;
    json["inputs"]["eval"]["rows_hash"] = run.eval.hash;
  }
  json["fingerprint"] = run.fingerprint;
  json["backend"] = run.result.plan.backend;
  json["steps"] = run.result.plan.steps;
  if (!run.result.steps.empty()) json["last_step"] = to_json(run.result.steps.back());
  if (!run.result.evals.empty()) json["last_eval"] = to_json(run.result.evals.back());
  return json;
}

}  // namespace

void save_model_files(const fs::path& folder, const TrainConfig& config, const TrainModel& model) {
  make_folders(folder);
  ModelToSave save = to_save(model.loaded);
  if (model.adapter) {
    write_adapter(folder, model.loaded.config, on_host(*model.adapter, *model.backend), base_name(config, model), save_dtype(config));
    write_tokenizer_files(folder, save);
  } else {
    const Parameters weights = on_host(model.loaded.parameters, *model.backend);
    save.weights.parameters = &weights;
    write_hf_files(folder, save, save_dtype(config));
  }
  if (!model.chat_source.empty()) write_file(folder / "chat_template.jinja", model.chat_source);
}

void replace_model_folder(const fs::path& folder, const TrainConfig& config, const TrainModel& model) {
  UnfinishedFolder made(folder);
  save_model_files(made.path(), config, model);
  made.commit();
}

void save_descriptions(const FinishedRun& run, const TrainModel& model) {
  const fs::path& out = run.config.out;
  write_file(out / "README.md", model_card(run, model));
  write_file(out / "report.html", report_page(run));
  write_file(out / "fettle.json", dump_json(lineage(run, model), 2) + "\n");
}

bool is_finished(const fs::path& out, const OrderedJson& fingerprint) {
  if (!fs::exists(out / "fettle.json")) return false;
  const Json json = read_json(out / "fettle.json");
  return json.contains("fingerprint") && json["fingerprint"] == Json::parse(fingerprint.dump());
}

}  // namespace fettle::train
