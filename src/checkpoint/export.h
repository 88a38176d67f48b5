#pragma once
// fettle export: an adapter merged into its base, in another container, and checked against what it was made
// from.
#include <optional>
#include <span>
#include <string>

#include "checkpoint/load.h"
#include "checkpoint/save.h"

namespace fettle {

struct ExportOptions {
  ModelFormat to = ModelFormat::hf;
  std::optional<DType> dtype;  ///< none: as the source stores it, or f32 where the format cannot hold that
  fs::path output;
  float adapter_factor = 1.0F;
  int64_t shard_bytes = 5'000'000'000;  ///< of a Hugging Face folder
};

/// Writes `model` with its adapter (if any) merged in f32 over the very weights it was trained on: a
/// quantised weight is unpacked, added to, and rounded once to the target type; a weight without an adapter
/// is copied or converted alone. Returns the dtype that was used.
DType export_model(const LoadedModel& model, const ExportOptions& options);

/// How far an exported model is from its source on one text.
struct ExportCheck {
  int64_t tokens = 0;          ///< scored
  double source_logp = 0.0;    ///< sum of log-probabilities of the text under the source with its adapter
  double exported_logp = 0.0;  ///< and under what was written
  double largest_difference = 0.0;  ///< of one token's log-probability
  double kl = 0.0;                  ///< KL(source || exported), mean over the tokens' distributions, in nats
  double same_best = 0.0;           ///< share of the tokens where both would choose the same next one
};

/// Opens `output` again and scores `tokens` (one sequence) with both.
ExportCheck check_export(LoadedModel& source, const fs::path& output, std::span<const int32_t> tokens,
                         const LoadOptions& options = {}, float adapter_factor = 1.0F);

}  // namespace fettle
