#pragma once
// OUT/rejected.jsonl: the rows that training could not use, with the reason.
#include "train/config.h"
#include "train/rows.h"

namespace fettle::train {

/// Writes it, rows of `config.data` before those of `config.eval`. A run that goes on finds it written: it is left alone as long as it
/// is the file that was written for the same data.
void write_rejected_rows(const TrainConfig& config, const TrainRows& rows, const TrainRows& eval);

}  // namespace fettle::train
