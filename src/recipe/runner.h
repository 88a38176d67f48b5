#pragma once
// Runs a recipe: what is finished never runs again, what was killed goes on.
//
// OUT/steps/NAME-KEY/ is a step's folder; its step.json, written last, says that it is finished. KEY is a hash of the step's
// kind and version, its parameters, the content of the files they name, and the keys of the steps they speak of. OUT/NAME is
// a link to the newest. OUT/run.json is the lineage of the last run.
#include <functional>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "recipe/steps.h"

namespace fettle {

struct RunOptions {
  fs::path out;
  std::string only;  ///< this step and what it needs; empty: all
};

/// A step with its address.
struct PlannedStep {
  const Step* step;
  std::string key;       ///< 16 hexadecimal digits
  fs::path folder;
  bool cached = false;   ///< finished, nothing to do
  bool started = false;  ///< its folder is there: a killed run goes on in it
  Outputs outputs;       ///< when cached
  Estimate estimate;     ///< when not cached and asked for
};

/// Addresses of every step, with what is finished. Reads files to hash them, writes nothing but the cache of hashes.
std::vector<PlannedStep> plan_recipe(const Recipe& recipe, const RunOptions& options, bool with_estimates = false);

/// The plan as a table for people.
std::string describe_plan(const std::vector<PlannedStep>& plan);

/// Runs what is not finished, in order. on_step is called before each step that runs. Throws what a step throws, with the
/// step's name in front; everything before it stays. One process at a time per OUT: a second one gets an Error.
std::vector<PlannedStep> run_recipe(const Recipe& recipe, const RunOptions& options,
                                    const std::function<void(const PlannedStep&)>& on_step = {});

}  // namespace fettle
