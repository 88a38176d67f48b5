#include "recipe/recipe.h"

#include <algorithm>
#include <set>

#include "recipe/steps.h"

namespace fettle {
namespace {

std::vector<std::string> keys_of(const OrderedJson& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  const std::string near = nearest_name(word, names);
  return near.empty() ? fmt::format("; known are: {}", fmt::join(names, ", ")) : fmt::format("; did you mean '{}'?", near);
}

/// "dpo.beta=…" must name a step that is there: a mistyped override would otherwise be a new step, or nothing.
void apply_override(OrderedJson& steps, const std::string& assignment, const std::string& flag) {
  const size_t end = std::min(assignment.find('.'), assignment.find('='));
  const std::string step = assignment.substr(0, end);
  if (!steps.contains(step)) fail_usage("{}{}: there is no step '{}'{}", flag, assignment, step, suggestion(step, keys_of(steps)));
  if (end == std::string::npos || assignment[end] != '.') fail_usage("{}{}: write step.key=value", flag, assignment);
  set_by_path(steps, assignment);
}

std::string apply_settings(OrderedJson& document, const std::vector<std::string>& overrides, std::string_view where) {
  std::string chosen = document.contains("setting") && document["setting"].is_string() ? document["setting"].get<std::string>() : "";
  for (const auto& assignment : overrides) {
    if (assignment.starts_with("setting=")) chosen = assignment.substr(8);
  }
  if (!chosen.empty()) {
    const OrderedJson settings = document.value("settings", OrderedJson::object());
    if (!settings.contains(chosen)) fail_usage("{}: there is no setting '{}'{}", where, chosen, suggestion(chosen, keys_of(settings)));
    for (const auto& [path, value] : settings[chosen].items()) {
      apply_override(document["steps"], path + "=" + dump_json(value), fmt::format("{}: setting {}: ", where, chosen));
    }
  }
  for (const auto& assignment : overrides) {
    if (!assignment.starts_with("setting=")) apply_override(document["steps"], assignment, "--set ");
  }
  return chosen;
}

/// "${a.b}" at `begin` of `text`; sets `end` behind it.
Reference parse_reference(const std::string& text, size_t begin, size_t& end) {
  const size_t close = text.find('}', begin);
  if (close == std::string::npos) fail_usage("'{}': a reference is written ${{step}} or ${{step.output}}", text);
  end = close + 1;
  const std::string inside = text.substr(begin + 2, close - begin - 2);
  const size_t dot = inside.find('.');
  return {inside.substr(0, dot), dot == std::string::npos ? "" : inside.substr(dot + 1)};
}

std::vector<std::string> references_of(const OrderedJson& params) {
  std::vector<std::string> names;
  replace_references(params, [&](const Reference& reference) {
    if (std::find(names.begin(), names.end(), reference.step) == names.end()) names.push_back(reference.step);
    return std::string();
  });
  return names;
}

/// One component of a path, so that nothing is written anywhere else: no separator, no way up, nothing that a terminal or a
/// shell would take for something else.
bool is_plain_name(std::string_view name) {
  constexpr size_t longest = 100;
  if (name.empty() || name.size() > longest || name.front() == '.' || name.front() == '-' || name.front() == ' ') return false;
  return std::none_of(name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Step make_step(const std::string& name, const OrderedJson& body, const YamlDocument& document) {
  const std::string path = "steps." + name;
  Step step;
  step.name = name;
  step.place = document.place(path);
  if (!is_plain_name(name) || name.find_first_of("./ ${}") != std::string::npos)
    fail_usage("{}: a step's name has no '.', '/', space or braces, and at most 100 bytes: {}", step.place, dump_json(OrderedJson(name)).substr(0, 120));
  if (name == "steps") fail_usage("{}: a step may not be called 'steps': the folder of all steps is called so", step.place);
  if (!body.is_object() || !body.contains("do") || !body["do"].is_string()) {
    fail_usage("{}: step '{}' needs `do:`, one of {}", step.place, name, fmt::join(step_kind_names(), ", "));
  }
  step.kind = body["do"].get<std::string>();
  // What `pair_scores` was called before `score` was the verb of that name.
  if (step.kind == "score" && body.contains("models")) step.kind = "pair_scores";
  step.params = body;
  step.params.erase("do");
  step.needs = references_of(step.params);
  const StepKind* kind = find_step_kind(step.kind);
  if (kind == nullptr) fail_usage("{}: step '{}': there is no `do: {}`{}", step.place, name, step.kind, suggestion(step.kind, step_kind_names()));
  try {
    step.params = kind->canonical(step.params);
    kind->check(step);
  } catch (const Json::exception& error) {
    fail_usage("{}: step '{}': a parameter has the wrong type: {}", step.place, step.name, error.what());
  } catch (const Error& error) {
    if (std::string_view(error.what()).find(step.place) != std::string_view::npos) throw;
    throw Error(error.kind(), fmt::format("{}: step '{}': {}", step.place, step.name, error.what()));
  }
  return step;
}

/// Depth-first: each step after what it needs.
void visit(const std::map<std::string, Step>& steps, const std::string& name, std::set<std::string>& open, std::set<std::string>& done,
           std::vector<Step>& order) {
  if (done.count(name) != 0) return;
  const Step& step = steps.at(name);
  if (!open.insert(name).second) fail_usage("{}: step '{}' needs itself, through {}", step.place, name, fmt::join(step.needs, ", "));
  for (const auto& need : step.needs) {
    if (steps.count(need) == 0) {
      std::vector<std::string> names;
      for (const auto& [key, value] : steps) names.push_back(key);
      fail_usage("{}: step '{}' speaks of ${{{}}}, which is no step{}", step.place, name, need, suggestion(need, names));
    }
    visit(steps, need, open, done, order);
  }
  open.erase(name);
  done.insert(name);
  order.push_back(step);
}

std::string text_of(const YamlDocument& document, const char* key, std::string otherwise) {
  const auto found = document.value.find(key);
  if (found == document.value.end() || found->is_null()) return otherwise;
  if (!found->is_string()) fail_usage("{}: `{}:` must be a text, found {}", document.place(key), key, dump_json(*found).substr(0, 60));
  return found->get<std::string>();
}

}  // namespace

OrderedJson replace_references(const OrderedJson& value, const std::function<std::string(const Reference&)>& replace) {
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    std::string result;
    size_t at = 0;
    for (size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", at)) {
      result.append(text, at, begin - at);
      result += replace(parse_reference(text, begin, at));
    }
    return result + text.substr(at);
  }
  if (!value.is_structured()) return value;
  OrderedJson result = value;
  for (auto& item : result) item = replace_references(item, replace);
  return result;
}

const Step& Recipe::step(std::string_view wanted) const {
  std::vector<std::string> names;
  for (const auto& candidate : steps) {
    if (candidate.name == wanted) return candidate;
    names.push_back(candidate.name);
  }
  fail_usage("there is no step '{}'{}", wanted, suggestion(wanted, names));
}

Recipe parse_recipe(std::string_view yaml, std::string_view where, const std::vector<std::string>& overrides) {
  YamlDocument document = parse_yaml(yaml, where);
  OrderedJson& root = document.value;
  if (!root.is_object() || !root.contains("steps") || !root["steps"].is_object() || root["steps"].empty()) {
    fail_usage("{}: a recipe has `steps:`, each with a name", where);
  }
  const std::vector<std::string> known{"name", "description", "setting", "settings", "steps"};
  for (const auto& key : keys_of(root)) {
    if (std::find(known.begin(), known.end(), key) == known.end()) fail_usage("{}: unknown key '{}'{}", document.place(key), key, suggestion(key, known));
  }
  Recipe recipe;
  recipe.setting = apply_settings(root, overrides, where);
  recipe.name = text_of(document, "name", fs::path(where).stem().string());
  if (!root.contains("name") && !is_plain_name(recipe.name)) recipe.name = "recipe";  // standard input, or a file of a strange name
  if (root.contains("name") && !is_plain_name(recipe.name))
    fail_usage("{}: name: {} is no name of a folder: it has no '/', begins with no '.' or '-', and has at most 100 bytes",
               document.place("name"), dump_json(OrderedJson(recipe.name)).substr(0, 120));
  recipe.description = text_of(document, "description", "");
  std::map<std::string, Step> steps;
  for (const auto& [name, body] : root["steps"].items()) steps.emplace(name, make_step(name, body, document));
  std::set<std::string> open, done;
  for (const auto& name : keys_of(root["steps"])) visit(steps, name, open, done, recipe.steps);
  recipe.source = root;
  return recipe;
}

Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides) {
  return parse_recipe(read_file(path, uint64_t{16} << 20), path.string(), overrides);
}

}  // namespace fettle
