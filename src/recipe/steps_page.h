#pragma once
// Every kind of step with its keys, for docs/steps.md and `fettle run --steps`.
#include <string>

#include "base/json.h"

namespace fettle {

/// The page in Markdown.
std::string steps_page();
/// {"steps": [{"do", "summary", "keys": [{"name", "type", "default", "required", "aliases", "help"}], "outputs"}]}
OrderedJson steps_json();

}  // namespace fettle
