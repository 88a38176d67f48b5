#pragma once
// The kinds of step a recipe is made of. Adding one: a file step_X.cpp with its class, and a line in steps.cpp.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/keys.h"
#include "recipe/recipe.h"

namespace fettle {

/// What a step made: paths by name; "" is the main one, what ${step} means.
using Outputs = std::map<std::string, std::string>;

struct StepContext {
  const Step& step;
  OrderedJson params;  ///< references replaced by paths
  fs::path folder;     ///< the step's own, kept when the run is killed: a step may go on from what it finds there
  fs::path out;        ///< the recipe's output folder
  const Recipe& recipe;
};

/// Memory and time a step will take, for --dry-run. Negative: not known.
struct Estimate {
  double bytes = -1, seconds = -1;
  std::string text;  ///< a line or a table for people
};

/// Stateless; safe to use from many threads.
class StepKind {
 public:
  virtual ~StepKind() = default;
  virtual std::string_view name() const = 0;
  /// The step's result changes with it: part of the key. Raise it when the same parameters give another output.
  virtual int version() const { return 1; }
  virtual std::string_view summary() const = 0;
  /// What it takes; empty: what another page lists.
  virtual const std::vector<KeyInfo>& keys() const = 0;
  /// The outputs beside the main one.
  virtual std::vector<std::string> further_outputs() const { return {}; }
  /// `params` under the keys' own names. Throws Error(usage) with the nearest name when one is unknown, and when one is missing,
  /// of the wrong type or without effect beside the others.
  virtual OrderedJson canonical(const OrderedJson& params) const { return KeyValues(keys(), params, {}).values(); }
  /// Throws Error(usage) for what else can be known to be wrong before anything runs. `step` holds what canonical() gave.
  virtual void check(const Step& step) const = 0;
  /// Parameters (key paths) that are files or folders: their content is part of the key. A path may end in ".*": every item
  /// of that list.
  virtual std::vector<std::string> file_params() const { return {}; }
  /// Those of file_params that must be there before the first step runs, unless an earlier step makes them.
  virtual std::vector<std::string> input_params() const { return file_params(); }
  /// What else decides the output and stands in no parameter and no file; part of the key.
  virtual std::string content(const OrderedJson& params) const { return {}; }
  /// Parameters that change how the step runs and not what it makes.
  virtual std::vector<std::string> irrelevant_params() const { return {}; }
  /// Does the work inside context.folder; returns the outputs. Called again after a kill with what is in the folder.
  virtual Outputs run(const StepContext& context) const = 0;
  /// Called whenever the step's outputs are the current ones, run or found finished: what is to stand in OUT itself.
  virtual void publish(const Outputs& outputs, const fs::path& out) const {}
  /// `params` with references replaced; those of steps that have not run are left as they are.
  virtual Estimate estimate(const OrderedJson& params) const { return {}; }
};

/// The texts at a key path of `value`; ".*" steps through a list, and a value that is no list counts as a list of itself.
void collect_texts(const OrderedJson& value, std::string_view path, std::vector<std::string>& out);
/// Throws Error(usage) naming step, key and path for the first of input_params that is not there.
void check_inputs(const Step& step);

/// Every kind, those of verbs/ last.
const std::vector<const StepKind*>& step_kinds();
const StepKind* find_step_kind(std::string_view name);
std::vector<std::string> step_kind_names();

// One a file. Every verb of verbs/ is a kind too.
const StepKind& pull_step();
const StepKind& data_step();
const StepKind& train_step();
const StepKind& pair_scores_step();
const StepKind& sample_step();
const StepKind& report_step();
std::vector<const StepKind*> verb_steps();

}  // namespace fettle
