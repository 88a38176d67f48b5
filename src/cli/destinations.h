#pragma once
// What the options of one call are to write, and where to.
#include <string>
#include <vector>

namespace fettle::cli {

/// Where something that the caller named goes: the option and its value, which may be empty.
struct Destination {
  std::string option, path;
};
/// Throws Error(usage) naming both options where two things would go to standard output or into one file.
void check_destinations(const std::vector<Destination>& destinations);

}  // namespace fettle::cli
