#pragma once
// A recipe: named steps whose parameters may speak of the outputs of earlier steps. docs/recipes.md is the user's page.
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/yaml.h"

namespace fettle {

/// A step as written. `${name}` in a string parameter is the main output of step `name`, `${name.output}` a further one.
struct Step {
  std::string name;
  std::string kind;     ///< the value of `do:`
  OrderedJson params;   ///< everything but `do:`
  std::vector<std::string> needs;  ///< steps that its parameters speak of, each once, in order
  std::string place;    ///< "file:line"
};

struct Recipe {
  std::string name, description;
  std::string setting;      ///< which of `settings:` was applied; empty if none
  std::vector<Step> steps;  ///< in an order where each comes after what it needs
  OrderedJson source;       ///< the document after the setting and the overrides, for the lineage

  const Step& step(std::string_view name) const;
};

/// Parses a recipe:
///
///   name: zephyr
///   description: …
///   setting: handbook                 # which of the settings below holds; may be left out
///   settings:
///     paper: {dpo.beta: 0.1}          # key paths below `steps`
///     handbook: {dpo.beta: 0.01}
///   steps:
///     base: {do: pull, source: smollm2-135m-instruct}
///     dpo: {do: train, model: "${base}", …}
///
/// Overrides are `step.key=value`, or `setting=name`; they win over the setting. Throws Error(usage) for an unknown step in
/// an override or a reference (with the nearest name), a cycle, an unknown `do:`, an unknown key.
Recipe parse_recipe(std::string_view yaml, std::string_view where, const std::vector<std::string>& overrides = {});
Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides = {});

/// A reference inside a string.
struct Reference {
  std::string step, output;  ///< output is empty for the main one
};
/// Replaces every `${…}` in the strings of `value` by what `replace` gives.
OrderedJson replace_references(const OrderedJson& value, const std::function<std::string(const Reference&)>& replace);

}  // namespace fettle
