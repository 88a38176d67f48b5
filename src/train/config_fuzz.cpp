// Any bytes as a training config: an Error, or a config whose own text means the same.
#include "train/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto config = fettle::train::parse_train_config({reinterpret_cast<const char*>(data), size}, "fuzz");
    const fettle::OrderedJson json = fettle::train::to_json(config);
    const auto again = fettle::train::train_config_from_json(fettle::Json::parse(fettle::dump_json(json)), "again");
    FETTLE_CHECK(fettle::train::to_json(again) == json);
  } catch (const fettle::Error&) {
  }
  return 0;
}
