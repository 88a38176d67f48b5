// Any bytes as an event stream: what comes out does not depend on how the bytes were cut.
#include "generate/event_stream.h"

#include <cstdint>

#include "base/error.h"

namespace {

std::vector<std::string> events(std::string_view bytes, size_t step) {
  fettle::EventStream stream;
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    for (std::string& event : stream.push(bytes.substr(at, step))) out.push_back(std::move(event));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  FETTLE_CHECK(events(bytes, bytes.size()) == events(bytes, 1 + data[0] % 5));
  return 0;
}
