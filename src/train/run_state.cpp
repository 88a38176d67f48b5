#include "train/run_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"

namespace fettle::train {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr int kFormat = 1;

std::vector<NamedTensor> tensors_of(TrainModel& model, const Optimizer& optimizer) {
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : model.trained().all()) {
    if (!parameter->trainable) continue;  // an adapter carries along what its file holds
    tensors.push_back({"parameter." + parameter->name, parameter->value});
  }
  for (const Optimizer::State& state : optimizer.states())
    tensors.push_back({"optimizer." + state.name, state.value});
  return tensors;
}

OrderedJson ordered(const Json& value) {
  return OrderedJson::parse(dump_json(value));
}

void collect_differences(const OrderedJson& saved, const OrderedJson& now, const std::string& path,
                         std::vector<std::string>& to) {
  if (saved == now) return;
  if (saved.is_object() && now.is_object()) {
    const auto inner = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
    for (const auto& [key, value] : now.items())
      collect_differences(saved.contains(key) ? saved[key] : OrderedJson(nullptr), value, inner(key), to);
    for (const auto& [key, value] : saved.items())
      if (!now.contains(key)) collect_differences(value, OrderedJson(nullptr), inner(key), to);
    return;
  }
  to.push_back(fmt::format("{} (was {}, is {})", path, saved.dump(), now.dump()));
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  std::error_code problem;
  fs::create_directories(folder, problem);
  const fs::path path = folder / ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_io(path.string(), "cannot be opened");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    fail(folder.string(),
         "another process is training into this folder; wait for it or choose another `out`");
  }
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

RunStates::RunStates(fs::path out, int64_t keep) : root_(std::move(out) / "state"), keep_(keep) {}

fs::path RunStates::folder(int64_t step) const {
  return root_ / fmt::format("{}{:08}", kPrefix, step);
}

std::vector<int64_t> RunStates::steps() const {
  std::vector<int64_t> result;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(root_, problem)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, kPrefix.size(), kPrefix) != 0) continue;
    int64_t step = 0;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
    if (error == std::errc() && at == end && has_state(entry.path())) result.push_back(step);
  }
  std::sort(result.rbegin(), result.rend());
  return result;
}

std::optional<RunPosition> RunStates::newest() const {
  for (const int64_t step : steps()) {
    try {
      const SavedState state(folder(step));
      const std::string where = folder(step).string();
      const Json& json = state.json();
      if (json_get<int>(json, "format", where) != kFormat)
        fail(where, "written by another version of fettle");
      RunPosition position{.step = json_get<int64_t>(json, "step", where),
                           .fingerprint = ordered(json_get<Json>(json, "fingerprint", where)),
                           .arithmetic = ordered(json_get<Json>(json, "arithmetic", where)),
                           .best_step = json_get<int64_t>(json, "best_step", where)};
      if (!json_get<Json>(json, "best", where).is_null()) position.best = json_get<double>(json, "best", where);
      return position;
    } catch (const Error& damaged) {
      log_warning("{}; the state before it is taken", damaged.what());
    }
  }
  return std::nullopt;
}

void RunStates::restore(int64_t step, TrainModel& model, Optimizer& optimizer) const {
  const SavedState state(folder(step));
  for (const NamedTensor& tensor : tensors_of(model, optimizer)) state.restore(tensor.name, tensor.value);
}

void RunStates::save(const RunPosition& position, TrainModel& model, const Optimizer& optimizer) const {
  Json json{
      {"format", kFormat}, {"step", position.step}, {"best", nullptr}, {"best_step", position.best_step}};
  if (position.best) json["best"] = *position.best;
  json["fingerprint"] = Json::parse(position.fingerprint.dump());
  json["arithmetic"] = Json::parse(position.arithmetic.dump());
  fs::create_directories(root_);
  save_state(folder(position.step), tensors_of(model, optimizer), json);
  const std::vector<int64_t> all = steps();
  for (size_t i = static_cast<size_t>(keep_); i < all.size(); ++i) {
    std::error_code problem;
    fs::remove_all(folder(all[i]), problem);
  }
}

void check_fingerprint(const OrderedJson& saved, const OrderedJson& now, const fs::path& out) {
  std::vector<std::string> differences;
  collect_differences(saved, now, "", differences);
  if (differences.empty()) return;
  fail(out.string(),
       "holds a run that was started differently: {}; go on with that config, choose another `out`, or "
       "remove {}",
       fmt::join(differences, "; "), (out / "state").string());
}

}  // namespace fettle::train
