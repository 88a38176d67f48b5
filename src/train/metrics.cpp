#include "train/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>

#include "base/error.h"
#include "base/open_file.h"
#include "base/ordered_json.h"

namespace fettle::train {
namespace {

void put(OrderedJson& row, const StepMetrics::Preference& preference) {
  const auto put_known = [&](const char* key, double value) {
    if (!std::isnan(value)) row[key] = value;
  };
  put_known("reward_chosen", preference.reward_chosen);
  put_known("reward_rejected", preference.reward_rejected);
  put_known("reward_margin", preference.reward_margin);
  put_known("reward_accuracy", preference.reward_accuracy);
  put_known("logp_chosen", preference.logp_chosen);
  put_known("logp_rejected", preference.logp_rejected);
  if (preference.kl) row["kl"] = *preference.kl;
}

std::optional<StepMetrics::Preference> preference_from_json(const Json& row, std::string_view where) {
  if (!row.contains("reward_accuracy")) return std::nullopt;
  const auto number = [&](const char* key) { return json_get_or<double>(row, key, std::nan(""), where); };
  StepMetrics::Preference result{number("reward_chosen"),
                                 number("reward_rejected"),
                                 number("reward_margin"),
                                 number("reward_accuracy"),
                                 number("logp_chosen"),
                                 number("logp_rejected"),
                                 std::nullopt};
  if (row.contains("kl")) result.kl = number("kl");
  return result;
}

}  // namespace

OrderedJson to_json(const StepMetrics& metrics) {
  OrderedJson row;
  row["step"] = metrics.step;
  row["loss"] = metrics.loss;
  row["tokens"] = metrics.tokens;
  row["supervised_tokens"] = metrics.supervised_tokens;
  row["seconds"] = metrics.seconds;
  row["tokens_per_second"] = metrics.tokens_per_second;
  row["learning_rate"] = metrics.learning_rate;
  row["grad_norm"] = metrics.grad_norm;
  row["peak_memory_bytes"] = metrics.peak_memory_bytes;
  if (metrics.router_loss) row["router_loss"] = *metrics.router_loss;
  if (metrics.preference) put(row, *metrics.preference);
  return row;
}

OrderedJson to_json(const EvalMetrics& metrics) {
  OrderedJson row;
  row["step"] = metrics.step;
  row["rows"] = metrics.rows;
  row["loss"] = metrics.loss;
  if (metrics.preference) {
    put(row, *metrics.preference);
    row["reward_accuracy_error"] = metrics.reward_accuracy_error;
  }
  return row;
}

StepMetrics step_metrics_from_json(const Json& row, std::string_view where) {
  return {.step = json_get<int64_t>(row, "step", where),
          .loss = json_get<double>(row, "loss", where),
          .tokens = json_get<int64_t>(row, "tokens", where),
          .supervised_tokens = json_get<int64_t>(row, "supervised_tokens", where),
          .seconds = json_get<double>(row, "seconds", where),
          .tokens_per_second = json_get<double>(row, "tokens_per_second", where),
          .learning_rate = json_get<double>(row, "learning_rate", where),
          .grad_norm = json_get<double>(row, "grad_norm", where),
          .peak_memory_bytes = json_get<int64_t>(row, "peak_memory_bytes", where),
          .router_loss = row.contains("router_loss") ? std::optional(json_get<double>(row, "router_loss", where))
                                                     : std::nullopt,
          .preference = preference_from_json(row, where)};
}

EvalMetrics eval_metrics_from_json(const Json& row, std::string_view where) {
  return {.step = json_get<int64_t>(row, "step", where),
          .rows = json_get<int64_t>(row, "rows", where),
          .loss = json_get<double>(row, "loss", where),
          .preference = preference_from_json(row, where),
          .reward_accuracy_error = json_get_or<double>(row, "reward_accuracy_error", 0.0, where)};
}

StepLog::StepLog(fs::path path, int64_t last_step) : path_(std::move(path)) {
  std::string kept_text;
  if (last_step >= 0 && fs::exists(path_)) {
    const std::string text = read_file(path_);
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const Json row = json_or_none(std::string_view(text).substr(begin, end - begin)).value_or(nullptr);
      const bool numbered = row.is_object() && row.contains("step") && row["step"].is_number();
      if (!numbered || row["step"].get<int64_t>() > last_step) break;
      kept_.push_back(row);
    }
    kept_text = text.substr(0, begin);
  }
  descriptor_ = open_retrying(path_, O_WRONLY | O_CREAT | O_NOFOLLOW);
  if (descriptor_ < 0) fail_io(path_.string(), "cannot be opened for writing");
  if (::ftruncate(descriptor_, static_cast<off_t>(kept_text.size())) != 0 ||
      ::lseek(descriptor_, 0, SEEK_END) < 0)
    fail_io(path_.string(), "cannot be cut back to the saved step");
}

StepLog::~StepLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void StepLog::append(const OrderedJson& row) {
  const std::string line = row.dump() + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t count = ::write(descriptor_, line.data() + done, line.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path_.string(), "cannot be written");
    done += static_cast<size_t>(count);
  }
}

void StepLog::flush() {
  if (!flush_retrying(descriptor_)) fail_io(path_.string(), "cannot be flushed to the disk");
  if (!is_still_there(descriptor_, path_))
    throw Error(Error::Kind::io, fmt::format("{}: was removed or replaced while it was written; is the output folder gone?", path_.string()));
}

}  // namespace fettle::train
