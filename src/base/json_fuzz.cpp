// Any bytes as JSON: an Error, or a value that its own text gives again.
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const fettle::Json value = fettle::parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    FETTLE_CHECK(fettle::parse_json(fettle::dump_json(value), "again") == value);
  } catch (const fettle::Error&) {
  }
  return 0;
}
