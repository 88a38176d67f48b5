#include "recipe/steps.h"

#include <algorithm>

#include "data/files/paths.h"
#include "data/files/reader.h"
#include "verbs/verb.h"

namespace fettle {

const std::vector<const StepKind*>& step_kinds() {
  static const auto list = [] {
    std::vector<const StepKind*> all{&pull_step(), &data_step(), &train_step(), &pair_scores_step(), &sample_step(), &report_step()};
    for (const auto* verb : verb_steps()) all.push_back(verb);
    return all;
  }();
  return list;
}

const StepKind* find_step_kind(std::string_view name) {
  const auto& kinds = step_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const StepKind* kind) { return kind->name() == name; });
  return found == kinds.end() ? nullptr : *found;
}

std::vector<std::string> step_kind_names() {
  std::vector<std::string> names;
  for (const auto* kind : step_kinds()) names.emplace_back(kind->name());
  return names;
}

void collect_texts(const OrderedJson& value, std::string_view path, std::vector<std::string>& out) {
  if (path.empty()) {
    if (value.is_string()) out.push_back(value.get<std::string>());
    return;
  }
  const size_t dot = path.find('.');
  const std::string key(path.substr(0, dot));
  const std::string_view rest = dot == std::string::npos ? std::string_view() : path.substr(dot + 1);
  if (key == "*") {
    if (!value.is_structured()) return collect_texts(value, rest, out);
    for (const auto& item : value) collect_texts(item, rest, out);
  } else if (value.is_object() && value.contains(key)) {
    collect_texts(value[key], rest, out);
  }
}

void check_inputs(const Step& step) {
  for (const auto& key : find_step_kind(step.kind)->input_params()) {
    std::vector<std::string> paths;
    collect_texts(step.params, key, paths);
    for (const auto& path : paths) {
      if (path.empty() || path == "-" || verbs::has_reference(path) || fs::exists(path)) continue;
      const std::string name = key.substr(0, key.find('.'));
      if (path.find_first_of("*?[") != std::string::npos) {
        try {
          data::expand_paths({path});
          continue;
        } catch (const Error& error) {
          fail_usage("{}: step '{}': {}: {}", step.place, step.name, name, error.what());
        }
      }
      fail_usage("{}: step '{}': {}: there is no file or folder {}{}", step.place, step.name, name, path,
                 name == "model" ? "; a model that has to be fetched is a step of its own: base: {do: pull, source: NAME}, "
                                   "and here model: ${base}"
                                 : "");
    }
  }
}

}  // namespace fettle
