#pragma once
// `fettle data binarize`.
// Rows stream from files to a file, in the files' order, the same for any number of threads. Errors: usage for options that
// make no sense, input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.

#include "data/passes/pass.h"
#include "data/rows/binarize.h"

namespace fettle::data {

/// UltraFeedback rows → {"id", "prompt", "prompt_id" (SHA-256 of the prompt), "chosen", "rejected"
/// (conversations), "score_chosen", "score_rejected", "model_chosen", "model_rejected"}. The report's
/// "binarize" holds ties and repairs.
PassReport binarize_rows(const PassFiles& files, const BinarizeOptions& options, const Columns& columns = {});

}  // namespace fettle::data
