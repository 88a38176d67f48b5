// Any bytes as a recipe.
#include "recipe/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const fettle::Recipe recipe = fettle::parse_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
    for (const fettle::Step& step : recipe.steps) {
      for (const std::string& need : step.needs) FETTLE_CHECK(recipe.step(need).name == need);
      fettle::replace_references(step.params, [](const fettle::Reference& reference) { return reference.step; });
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
