#include "train/run_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/unfinished.h"

namespace fettle::train {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr int kFormat = 1;

}  // namespace

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

namespace {

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

namespace {

/// A config may name any folder: what stands there and was not written by a run is not written over.
void check_folder(const fs::path& folder) {
  if (!fs::is_directory(folder)) return;
  for (const char* own : {".lock", "state", "fettle.json"}) {
    if (fs::exists(fs::symlink_status(folder / own))) return;
  }
  for (const char* name : {"README.md", "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json",
                           "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
                           "chat_template.jinja", "metrics.jsonl", "eval.jsonl", "rejected.jsonl", "report.html", "best"}) {
    if (fs::exists(fs::symlink_status(folder / name)))
      fail((folder / name).string(), "was not written by a training run and would be written over; choose another `out`");
  }
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : folder_(folder) {
  check_folder(folder);
  make_folders(folder);
  const fs::path path = folder / ".lock";
  descriptor_ = Descriptor(open_retrying(path, O_RDWR | O_CREAT | O_NOFOLLOW));
  if (descriptor_.get() < 0) fail_io(path.string(), "cannot be opened");
  while (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) fail_io(path.string(), "cannot be locked");
    fail(folder.string(),
         "another process is training into this folder; wait for it or choose another `out`");
  }
}

FolderLock::~FolderLock() = default;

void FolderLock::check() const {
  if (!is_still_there(descriptor_.get(), folder_ / ".lock"))
    throw Error(Error::Kind::io, fmt::format("{}: was removed or replaced while it was written; what stands there now is not the whole run: "
                                             "start it again", folder_.string()));
}

RunStates::RunStates(fs::path out, int64_t keep) : root_(std::move(out) / "state"), keep_(keep) {}

fs::path RunStates::folder(int64_t step) const {
  return root_ / fmt::format("{}{:08}", kPrefix, step);
}

std::vector<int64_t> RunStates::steps() const {
  std::vector<int64_t> result;
  std::error_code problem;
  fs::directory_iterator entries(root_, problem);
  // Begun anew because the old states cannot be seen, a run would write over them.
  if (problem && problem != std::errc::no_such_file_or_directory)
    throw Error(Error::Kind::io, fmt::format("{}: cannot be looked into: {}", root_.string(), problem.message()));
  if (problem) return result;
  for (const auto& entry : entries) {
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
  for (const NamedTensor& tensor : tensors_of(model, optimizer)) state.restore(tensor.name, tensor.value, *model.backend);
}

void RunStates::remove_broken() const {
  std::error_code problem;
  std::vector<fs::path> broken;
  for (fs::directory_iterator at(root_, problem), end; !problem && at != end; at.increment(problem)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with(kPrefix) && at->is_directory() && !has_state(at->path())) broken.push_back(at->path());
    else if (name.starts_with(kPrefix) && name.find(".saving-") != std::string::npos) broken.push_back(at->path());
  }
  for (const fs::path& path : broken) fs::remove_all(path, problem);
  if (fs::is_directory(root_)) remove_unfinished(root_);
}

void RunStates::save(const RunPosition& position, TrainModel& model, const Optimizer& optimizer) const {
  Json json{
      {"format", kFormat}, {"step", position.step}, {"best", nullptr}, {"best_step", position.best_step}};
  if (position.best) json["best"] = *position.best;
  json["fingerprint"] = Json::parse(position.fingerprint.dump());
  json["arithmetic"] = Json::parse(position.arithmetic.dump());
  make_folders(root_);
  save_state(folder(position.step), tensors_of(model, optimizer), json, *model.backend);
  const std::vector<int64_t> all = steps();
  for (size_t i = static_cast<size_t>(keep_); i < all.size(); ++i) {
    // Not bit by bit under its name, where half of it might be left.
    std::error_code problem;
    const fs::path gone = unfinished_name(folder(all[i]));
    fs::rename(folder(all[i]), gone, problem);
    fs::remove_all(gone, problem);
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
