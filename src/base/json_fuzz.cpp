// Any bytes as JSON: an Error, or a value that its own text gives again, and the same to both entrances.
#include "base/ordered_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const fettle::Json value = fettle::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    FETTLE_CHECK(fettle::parse_json(fettle::dump_json(value), "again") == value);
    FETTLE_CHECK(fettle::Json(fettle::parse_ordered_json({reinterpret_cast<const char*>(data), size}, "fuzz")) == value);
  } catch (const fettle::Error&) {
  }
  return 0;
}
