#pragma once
// What training leaves behind: a folder that other tools open as a model or a PEFT adapter, with its card and
// lineage.
#include "train/rows.h"
#include "train/setup.h"
#include "train/trainer.h"

namespace fettle::train {

/// All that the card, the lineage and the report speak of.
struct FinishedRun {
  const TrainConfig& config;
  const TrainRows& rows;
  const TrainRows& eval;
  const TrainResult& result;
  OrderedJson fingerprint;
};

/// The trained weights (or adapter), config, tokenizer and chat template into `folder`; other files in it
/// stay.
void save_model_files(const fs::path& folder, const TrainConfig& config, const TrainModel& model);

/// The same as a fresh folder that replaces `folder` in one step.
void replace_model_folder(const fs::path& folder, const TrainConfig& config, const TrainModel& model);

/// README.md, report.html and, last of all, fettle.json: where it stands, the run is complete.
void save_descriptions(const FinishedRun& run, const TrainModel& model);

/// Whether fettle.json stands there for a run with this fingerprint.
bool is_finished(const fs::path& out, const OrderedJson& fingerprint);

}  // namespace fettle::train
