#include "recipe/runner.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"

namespace fettle {
namespace {

/// Hashes of input files, remembered by size and time of change so that a large file is read once.
class FileHashes {
 public:
  explicit FileHashes(fs::path path) : path_(std::move(path)) {
    if (fs::exists(path_)) known_ = read_json(path_);
  }
  std::string of(const fs::path& file) {
    const std::string stamp = stamp_of(file);
    const std::string name = fs::absolute(file).lexically_normal().string();
    if (const auto found = known_.find(name); found != known_.end() && (*found)[0] == stamp) return (*found)[1].get<std::string>();
    const std::string hash = hash_path(file);
    known_[name] = {stamp, hash};
    changed_ = true;
    return hash;
  }
  void save() {
    if (changed_) write_file(path_, dump_json(known_));
    changed_ = false;
  }

 private:
  static std::string stamp_of(const fs::path& path) {
    if (fs::is_directory(path)) {
      Hasher hasher;
      std::vector<fs::path> files;
      for (const auto& entry : fs::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
      std::sort(files.begin(), files.end());
      for (const auto& file : files) hasher.add(file.string()).add(stamp_of(file));
      return hasher.hex();
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) fail_io(path.string(), "cannot look at it");
    return fmt::format("{} {}.{:09}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  }
  fs::path path_;
  Json known_ = Json::object();
  bool changed_ = false;
};

/// Hash of what decides the step's output. Files are told by content, earlier steps by key: never by where they lie.
std::string key_of(const Step& step, const std::map<std::string, const PlannedStep*>& earlier, FileHashes& hashes) {
  const StepKind& kind = *find_step_kind(step.kind);
  OrderedJson relevant = step.params;
  for (const auto& key : kind.irrelevant_params()) relevant.erase(key);
  std::set<std::string> files;
  for (const auto& path : kind.file_params()) {
    std::vector<std::string> values;
    collect_texts(relevant, path, values);
    for (const auto& value : values) {
      if (!has_reference(value) && fs::exists(value)) files.insert(value);
    }
  }
  const OrderedJson addressed = replace_references(relevant, [&](const Reference& reference) {
    return fmt::format("${{{}:{}}}", earlier.at(reference.step)->key, reference.output);
  });
  // Json, not OrderedJson: the order in which keys were written must not matter.
  Hasher hasher;
  hasher.add(step.kind).add(std::to_string(kind.version())).add(kind.content(relevant));
  std::string text = Json::parse(dump_json(addressed)).dump();
  for (const auto& file : files) {
    const std::string quoted = OrderedJson(file).dump(), hashed = "\"file:" + hashes.of(file) + "\"";
    for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at + hashed.size())) text.replace(at, quoted.size(), hashed);
  }
  return hasher.add(text).hex().substr(0, 16);
}

/// The finished step's outputs, if they are all still there.
bool read_finished(PlannedStep& planned) {
  const fs::path marker = planned.folder / "step.json";
  if (!fs::exists(marker)) return false;
  const Json done = read_json(marker);
  for (const auto& [name, path] : done.at("outputs").items()) planned.outputs[name] = (planned.folder / path.get<std::string>()).string();
  return std::all_of(planned.outputs.begin(), planned.outputs.end(), [](const auto& output) { return fs::exists(output.second); });
}

std::set<std::string> wanted_steps(const Recipe& recipe, const std::string& only) {
  std::set<std::string> wanted;
  if (only.empty()) {
    for (const auto& step : recipe.steps) wanted.insert(step.name);
    return wanted;
  }
  std::vector<std::string> open{recipe.step(only).name};
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    if (!wanted.insert(name).second) continue;
    for (const auto& need : recipe.step(name).needs) open.push_back(need);
  }
  return wanted;
}

OrderedJson resolved_params(const Step& step, const std::map<std::string, const PlannedStep*>& earlier) {
  return replace_references(step.params, [&](const Reference& reference) -> std::string {
    const PlannedStep& source = *earlier.at(reference.step);
    if (source.outputs.empty()) return fmt::format("${{{}{}{}}}", reference.step, reference.output.empty() ? "" : ".", reference.output);
    const auto found = source.outputs.find(reference.output);
    if (found != source.outputs.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [name, path] : source.outputs) {
      if (!name.empty()) names.push_back(name);
    }
    fail_usage("{}: step '{}' has no output '{}'; it has {}", step.place, reference.step, reference.output, fmt::join(names, ", "));
  });
}

/// Held while a run writes into OUT.
class RunLock {
 public:
  explicit RunLock(const fs::path& out) {
    fs::create_directories(out);
    descriptor_ = ::open((out / "run.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor_ < 0) fail_io(out.string(), "cannot create its lock");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) fail(out.string(), "another run is writing here; wait for it or choose another --out");
  }
  ~RunLock() { ::close(descriptor_); }
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_;
};

void make_current(const fs::path& out, const PlannedStep& planned) {
  const fs::path link = out / planned.step->name, fresh = out / (planned.step->name + ".new");
  std::error_code ignored;
  fs::remove(fresh, ignored);
  fs::create_directory_symlink(fs::relative(planned.folder, out), fresh);
  fs::rename(fresh, link);
  find_step_kind(planned.step->kind)->publish(planned.outputs, out);
}

void write_lineage(const Recipe& recipe, const RunOptions& options, const std::vector<PlannedStep>& plan) {
  OrderedJson steps = OrderedJson::array();
  for (const auto& planned : plan) {
    steps.push_back({{"name", planned.step->name}, {"do", planned.step->kind}, {"key", planned.key}, {"params", planned.step->params},
                     {"needs", planned.step->needs}, {"finished", !planned.outputs.empty()}, {"outputs", planned.outputs}});
  }
  write_file(options.out / "run.json", dump_json(OrderedJson{{"recipe", recipe.name}, {"setting", recipe.setting},
                                                             {"version", FETTLE_VERSION}, {"source", recipe.source}, {"steps", steps}}, 1));
}

/// Outputs that lie in the step's folder are written relative to it, so that a run's folder can be moved.
void finish(const PlannedStep& planned, double seconds) {
  OrderedJson outputs = OrderedJson::object();
  for (const auto& [name, path] : planned.outputs) {
    const fs::path relative = fs::path(path).lexically_relative(planned.folder);
    outputs[name] = relative.empty() || *relative.begin() == ".." ? path : relative.string();
  }
  write_file(planned.folder / "step.json",
             dump_json(OrderedJson{{"step", planned.step->name}, {"do", planned.step->kind}, {"key", planned.key}, {"needs", planned.step->needs},
                                   {"params", planned.step->params}, {"outputs", outputs}, {"seconds", seconds},
                                   {"version", FETTLE_VERSION}}, 1));
}

/// What AtomicFile left of a run that was killed; the run's lock says that nobody writes there now.
void remove_temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && is_half_written(entry.path())) found.push_back(entry.path());
  }
  for (const auto& path : found) fs::remove(path);
}

}  // namespace

std::vector<PlannedStep> plan_recipe(const Recipe& recipe, const RunOptions& options, bool with_estimates) {
  const auto wanted = wanted_steps(recipe, options.only);
  FileHashes hashes(options.out / "hashes.json");
  std::vector<PlannedStep> plan;
  plan.reserve(recipe.steps.size());
  std::map<std::string, const PlannedStep*> earlier;
  for (const auto& step : recipe.steps) {
    if (wanted.count(step.name) == 0) continue;
    PlannedStep planned{&step, key_of(step, earlier, hashes), {}, false, false, {}, {}};
    planned.folder = fs::absolute(options.out / "steps" / (step.name + "-" + planned.key)).lexically_normal();
    planned.started = fs::exists(planned.folder);
    planned.cached = read_finished(planned);
    if (!planned.cached) {
      planned.outputs.clear();
      check_inputs(step);
    }
    if (with_estimates && !planned.cached) planned.estimate = find_step_kind(step.kind)->estimate(resolved_params(step, earlier));
    plan.push_back(std::move(planned));
    earlier[step.name] = &plan.back();
  }
  if (fs::exists(options.out)) hashes.save();
  return plan;
}

std::string describe_plan(const std::vector<PlannedStep>& plan) {
  std::string text = fmt::format("{:<14} {:<8} {:<18} {:<10} {:>10} {:>12}  {}\n", "step", "do", "key", "state", "memory", "time", "needs");
  for (const auto& planned : plan) {
    const auto& estimate = planned.estimate;
    text += fmt::format("{:<14} {:<8} {:<18} {:<10} {:>10} {:>12}  {}\n", planned.step->name, planned.step->kind, planned.key,
                        planned.cached ? "finished" : planned.started ? "goes on" : "to run",
                        estimate.bytes < 0 ? "" : human_bytes(estimate.bytes), estimate.seconds < 0 ? "" : "~" + human_seconds(estimate.seconds),
                        fmt::join(planned.step->needs, ", "));
  }
  for (const auto& planned : plan) {
    if (!planned.estimate.text.empty()) text += fmt::format("\n{}:\n{}\n", planned.step->name, planned.estimate.text);
  }
  return text;
}

std::vector<PlannedStep> run_recipe(const Recipe& recipe, const RunOptions& options, const std::function<void(const PlannedStep&)>& on_step) {
  const RunLock lock(options.out);
  auto plan = plan_recipe(recipe, options);
  write_file(options.out / ".gitignore", "*\n");
  std::map<std::string, const PlannedStep*> earlier;
  for (auto& planned : plan) {
    earlier[planned.step->name] = &planned;
    if (planned.cached) {
      make_current(options.out, planned);
      continue;
    }
    throw_if_interrupted();
    if (on_step) on_step(planned);
    fs::create_directories(planned.folder);
    remove_temporaries(planned.folder);
    const auto start = std::chrono::steady_clock::now();
    try {
      const StepContext context{*planned.step, resolved_params(*planned.step, earlier), planned.folder, fs::absolute(options.out), recipe};
      planned.outputs = find_step_kind(planned.step->kind)->run(context);
    } catch (const Error& error) {
      write_lineage(recipe, options, plan);
      throw Error(error.kind(), fmt::format("step '{}': {}", planned.step->name, error.what()));
    } catch (const Json::exception& error) {
      write_lineage(recipe, options, plan);
      fail_usage("{}: step '{}': a parameter has the wrong type: {}", planned.step->place, planned.step->name, error.what());
    }
    finish(planned, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    make_current(options.out, planned);
  }
  write_lineage(recipe, options, plan);
  return plan;
}

}  // namespace fettle
