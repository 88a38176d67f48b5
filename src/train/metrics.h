#pragma once
// metrics.jsonl and eval.jsonl: rows appended and flushed as they come, cut back to a step on resume.
#include <vector>

#include "base/json.h"
#include "train/trainer.h"

namespace fettle::train {

OrderedJson to_json(const StepMetrics& metrics);
OrderedJson to_json(const EvalMetrics& metrics);
StepMetrics step_metrics_from_json(const Json& row, std::string_view where);
EvalMetrics eval_metrics_from_json(const Json& row, std::string_view where);

/// A file of JSON lines with an increasing "step". One writer.
class StepLog {
 public:
  /// Opens or makes `path`, and keeps the whole rows up to and including `last_step` (none when negative): a
  /// torn last line goes.
  StepLog(fs::path path, int64_t last_step);
  ~StepLog();
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;

  const std::vector<Json>& kept() const { return kept_; }
  void append(const OrderedJson& row);
  /// To the disk, so that a state that is saved afterwards finds its rows.
  void flush();

 private:
  fs::path path_;
  int descriptor_ = -1;
  std::vector<Json> kept_;
};

}  // namespace fettle::train
