#pragma once
// The real data of the tests, where they are.
#include <cstdlib>

#include "base/file.h"

namespace fettle::feedback {

inline fs::path shared_data() {
  const char* named = std::getenv("FETTLE_SHARED");
  return fs::path(named != nullptr ? named : "../shared") / "data";
}

}  // namespace fettle::feedback
