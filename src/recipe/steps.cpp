#include "recipe/steps.h"

#include <algorithm>

namespace fettle {
namespace {

const std::vector<const StepKind*>& kinds() {
  static const std::vector<const StepKind*> list{&pull_step(),   &data_step(),   &train_step(), &score_step(),
                                                 &sample_step(), &export_step(), &report_step(), &clean_step(), &filter_step(),
                                                 &dedupe_step(), &convert_step(), &data_stats_step()};
  return list;
}

}  // namespace

const StepKind* find_step_kind(std::string_view name) {
  const auto found = std::find_if(kinds().begin(), kinds().end(), [&](const StepKind* kind) { return kind->name() == name; });
  return found == kinds().end() ? nullptr : *found;
}

std::vector<std::string> step_kind_names() {
  std::vector<std::string> names;
  for (const auto* kind : kinds()) names.emplace_back(kind->name());
  return names;
}

void check_params(const Step& step, const std::vector<std::string>& known, const std::vector<std::string>& required) {
  for (const auto& [key, value] : step.params.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    fail_usage("{}: step '{}' (do: {}) does not know '{}'{}", step.place, step.name, step.kind, key,
               near.empty() ? fmt::format("; it knows {}", fmt::join(known, ", ")) : fmt::format("; did you mean '{}'?", near));
  }
  for (const auto& key : required) {
    if (!step.params.contains(key)) fail_usage("{}: step '{}' (do: {}) needs '{}'", step.place, step.name, step.kind, key);
  }
}

}  // namespace fettle
