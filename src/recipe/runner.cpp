#include "recipe/runner.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "base/folder.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/open_file.h"
#include "base/progress.h"
#include "base/unfinished.h"
#include "verbs/verb.h"

namespace fettle {
namespace {

/// Hashes of input files, remembered by size and time of change so that a large file is read once.
class FileHashes {
 public:
  explicit FileHashes(fs::path path) : path_(std::move(path)) {
    if (path_.empty() || !fs::exists(path_)) return;
    known_ = read_json(path_);
    if (!known_.is_object()) known_ = Json::object();
  }
  std::string of(const fs::path& file) {
    const std::string stamp = stamp_of(file);
    const std::string name = fs::absolute(file).lexically_normal().string();
    if (const auto found = known_.find(name); found != known_.end() && found->is_array() && found->size() == 2 && (*found)[0] == stamp && (*found)[1].is_string()) return (*found)[1].get<std::string>();
    const std::string hash = hash_path(file);
    known_[name] = {stamp, hash};
    changed_ = true;
    return hash;
  }
  void save() {
    if (changed_ && !path_.empty()) write_file(path_, dump_json(known_));
    changed_ = false;
  }

 private:
  static std::string stamp_of(const fs::path& path) {
    if (fs::is_directory(path)) {
      Hasher hasher;
      for (const auto& file : files_below(path)) hasher.add(file.string()).add(stamp_of(file));
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
      if (!verbs::has_reference(value) && fs::exists(value)) files.insert(value);
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
  explicit RunLock(const fs::path& out) : file_(out / "run.lock") {
    make_folders(out);
    descriptor_ = Descriptor(open_retrying(file_, O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
    if (descriptor_.get() < 0) fail_io(file_.string(), "cannot create the lock");
    while (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) fail_io(file_.string(), "cannot be locked");
      fail(out.string(), "another run is writing here; wait for it or choose another --out");
    }
  }
  void check() const {
    if (!is_still_there(descriptor_.get(), file_))
      throw Error(Error::Kind::io, fmt::format("{}: was removed or replaced while the run wrote there; start it again", file_.parent_path().string()));
  }

 private:
  fs::path file_;
  Descriptor descriptor_;
};

bool is_run_folder(const fs::path& out) { return fs::is_regular_file(fs::symlink_status(out / "run.lock")); }

/// Throws when something that a run did not make stands under a name that the run would replace, or when a link would lead
/// what it writes elsewhere. A folder with run.lock is a run's own. To be called before the lock is there.
void check_out(const fs::path& out, const Recipe& recipe) {
  const bool is_run = is_run_folder(out);
  const auto refuse = [](const fs::path& path) { fail(path.string(), "was not made by a run and would be replaced; choose another --out"); };
  for (const char* name : {".gitignore", "hashes.json", "run.json", "report.html"}) {
    const auto status = fs::symlink_status(out / name);
    if (fs::exists(status) && (!is_run || !fs::is_regular_file(status))) refuse(out / name);
  }
  if (const auto status = fs::symlink_status(out / "steps"); fs::exists(status) && !fs::is_directory(status)) refuse(out / "steps");
  for (const auto& step : recipe.steps) {
    const fs::path link = out / step.name;
    const auto status = fs::symlink_status(link);
    const bool own = is_run && fs::is_symlink(status) && *fs::read_symlink(link).begin() == "steps";
    if (fs::exists(status) && !own) refuse(link);
  }
}

void make_current(const fs::path& out, const PlannedStep& planned) {
  const fs::path link = out / planned.step->name, fresh = unfinished_name(link);
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

/// In the place of what was thrown, which is what counts: that the lineage cannot be written either is said beside it.
void try_to_write_lineage(const Recipe& recipe, const RunOptions& options, const std::vector<PlannedStep>& plan) noexcept {
  try {
    write_lineage(recipe, options, plan);
  } catch (const std::exception& error) {
    try {
      log_warning("run.json is not written: {}", error.what());
    } catch (...) {
    }
  }
}

/// Throws the error of a step with the step's name in front.
[[noreturn]] void fail_step(const Step& step, std::exception_ptr thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("step '{}': {}", step.name, error.what()));
  } catch (const Json::exception& error) {
    fail_usage("{}: step '{}': a parameter has the wrong type: {}", step.place, step.name, error.what());
  } catch (const std::bad_alloc&) {
    throw Error(Error::Kind::io, fmt::format("step '{}': out of memory", step.name));
  } catch (const fs::filesystem_error& error) {
    throw Error(Error::Kind::io, fmt::format("step '{}': {}: {}", step.name, error.path1().string(), error.code().message()));
  } catch (const std::exception& error) {
    throw Error(Error::Kind::io, fmt::format("step '{}': {}", step.name, error.what()));
  }
}

/// Outputs that lie in the step's folder are written relative to it, so that a run's folder can be moved.
void finish(const PlannedStep& planned, double seconds) {
  OrderedJson outputs = OrderedJson::object();
  for (const auto& [name, path] : planned.outputs) {
    if (!fs::exists(path)) throw Error(Error::Kind::io, fmt::format("step '{}': {}: was written and is gone", planned.step->name, path));
    const fs::path relative = fs::path(path).lexically_relative(planned.folder);
    outputs[name] = relative.empty() || *relative.begin() == ".." ? path : relative.string();
  }
  write_file(planned.folder / "step.json",
             dump_json(OrderedJson{{"step", planned.step->name}, {"do", planned.step->kind}, {"key", planned.key}, {"needs", planned.step->needs},
                                   {"params", planned.step->params}, {"outputs", outputs}, {"seconds", seconds},
                                   {"version", FETTLE_VERSION}}, 1));
}

/// What a run that was killed was writing; the run's lock says that nobody writes there now. A link would lead what the step
/// writes out of its folder.
void remove_temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  for (fs::recursive_directory_iterator at(folder), end; at != end; ++at) {
    if (at->is_symlink()) fail(at->path().string(), "is a link, and a step writes no links; remove it, or the step's folder");
    if (!is_half_written(at->path())) continue;
    found.push_back(at->path());
    at.disable_recursion_pending();
  }
  for (const auto& path : found) fs::remove_all(path);
}

}  // namespace

std::vector<PlannedStep> plan_recipe(const Recipe& recipe, const RunOptions& options, bool with_estimates) {
  const auto wanted = wanted_steps(recipe, options.only);
  FileHashes hashes(is_run_folder(options.out) ? options.out / "hashes.json" : fs::path());
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
  if (is_run_folder(options.out)) hashes.save();
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
  check_out(options.out, recipe);
  const RunLock lock(options.out);
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(options.out)) {
    if (is_half_written(entry.path())) left.push_back(entry.path());
  }
  for (const auto& path : left) fs::remove_all(path);
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
    if (fs::is_symlink(planned.folder)) fail(planned.folder.string(), "is a link, and a step's folder is none; remove it");
    make_folders(planned.folder);
    remove_temporaries(planned.folder);
    const auto start = std::chrono::steady_clock::now();
    try {
      const StepContext context{*planned.step, resolved_params(*planned.step, earlier), planned.folder, fs::absolute(options.out), recipe};
      planned.outputs = find_step_kind(planned.step->kind)->run(context);
    } catch (...) {
      try_to_write_lineage(recipe, options, plan);
      fail_step(*planned.step, std::current_exception());
    }
    lock.check();
    finish(planned, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    make_current(options.out, planned);
  }
  write_lineage(recipe, options, plan);
  lock.check();
  return plan;
}

}  // namespace fettle
