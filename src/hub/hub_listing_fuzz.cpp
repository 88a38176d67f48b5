// Any bytes as a hub's listing: files with sizes within bounds, or an error.
#include "hub/hub_listing.h"

#include <cstdint>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& file : fettle::hub::list_files(std::string(reinterpret_cast<const char*>(data), size), "fuzz")) {
      FETTLE_CHECK(file.name != fettle::hub::complete_name && file.check.size >= -1);
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
