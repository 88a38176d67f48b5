// Any JSON as config.json, and as a GGUF's metadata: an Error or a valid config, never anything else.
#include <cstddef>
#include <cstdint>

#include "model/families/families.h"
#include "model/parameters.h"

namespace {

void use(const fettle::ModelConfig& config) {
  fettle::rope_table(config, 4096);
  fettle::alibi_slopes(config.heads, config.alibi_max_bias);
  if (config.layers > 8 || config.query_size() > 4096) return;
  fettle::hf_weights(config);
  fettle::gguf_weights(config);
  try {
    const fettle::ModelConfig again = fettle::config_from_hf(fettle::config_to_hf(config), "again");
    if (again.parameter_count() != config.parameter_count()) __builtin_trap();
  } catch (const fettle::Error&) {
    // A GGUF may say what config.json has no key for.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const fettle::Json json = fettle::parse_json(text, "input");
    if (json.is_object() && json.contains("general.architecture")) {
      use(fettle::config_from_gguf(
          json, 64, [](std::string_view name) { return name.size() % 2 == 0; }, "input"));
    } else {
      use(fettle::config_from_hf(json, "input"));
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
