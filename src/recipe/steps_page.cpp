#include "recipe/steps_page.h"

#include "recipe/steps.h"

namespace fettle {
namespace {

/// For a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string made;
  for (const char c : text) made += c == '|' ? std::string("\\|") : std::string(1, c);
  return made;
}

/// "`where` (`fields`)".
std::string names_of(const KeyInfo& key) {
  std::string others;
  for (const auto& alias : key.aliases) others += (others.empty() ? "" : ", ") + ("`" + alias + "`");
  return fmt::format("`{}`{}", key.name, others.empty() ? "" : " (" + others + ")");
}

std::string section(const StepKind& kind) {
  std::string outputs;
  for (const auto& name : kind.further_outputs()) outputs += (outputs.empty() ? " Further outputs: `" : ", `") + name + "`";
  std::string text = fmt::format("\n## {}\n\n{}.{}\n", kind.name(), kind.summary(), outputs.empty() ? "" : outputs + ".");
  if (kind.keys().empty()) return text;
  text += "\n| key | takes | default | means |\n| --- | --- | --- | --- |\n";
  for (const auto& key : kind.keys()) {
    const std::string fallback = key.is_required ? "required" : key.default_text();
    text += fmt::format("| {} | {} | {} | {} |\n", names_of(key), cell(key.type_text()), cell(fallback), cell(key.help));
  }
  return text;
}

}  // namespace

std::string steps_page() {
  std::string page =
      "# Steps of recipes\n\n"
      "`fettle run --steps` prints this page. Each step says `do:` and one of these names; [recipes.md](recipes.md) is about recipes. Where a\n"
      "step is a command or a verb of `fettle data` too, a key with `-` for `_` is its flag (`--min-turns`), and a key that is true by default\n"
      "has a flag that begins with `--no-`. A name in brackets is understood as well. Where a key takes a list, one text will do.\n";
  for (const auto* kind : step_kinds()) page += section(*kind);
  page.pop_back();  // who prints it ends the line
  return page;
}

OrderedJson steps_json() {
  OrderedJson steps = OrderedJson::array();
  for (const auto* kind : step_kinds()) {
    OrderedJson keys = OrderedJson::array();
    for (const auto& key : kind->keys()) {
      keys.push_back({{"name", key.name}, {"type", key.type_text()}, {"default", key.fallback}, {"required", key.is_required},
                      {"aliases", key.aliases}, {"help", key.help}});
    }
    steps.push_back({{"do", kind->name()}, {"summary", kind->summary()}, {"keys", keys}, {"outputs", kind->further_outputs()}});
  }
  return {{"steps", steps}};
}

}  // namespace fettle
