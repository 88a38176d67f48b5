// Any bytes as a wheel: its list, its RECORD and every file in it within their bounds, or an error.
#include "hub/wheel.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("wheel", 0);
  FETTLE_CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  try {
    fettle::hub::Wheel wheel("/proc/self/fd/" + std::to_string(file));
    const auto names = wheel.names();
    fettle::hub::recorded_hashes(wheel, names);
    for (const auto& [name, bytes] : names) {
      uint64_t got = 0;
      wheel.extract(name, bytes, [&](std::string_view part) { got += part.size(); });
      FETTLE_CHECK(got <= bytes);
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
