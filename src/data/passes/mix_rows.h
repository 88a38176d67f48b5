#pragma once
// `fettle data mix`.
// Rows stream from files to a file, in the files' order, the same for any number of threads. Errors: usage for options that
// make no sense, input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/passes/pass.h"

namespace fettle::data {

/// Sources with weights into one file; rows are chosen by hash of (seed, id), and shuffled by the seed.
/// They wait for their place in the system's temporary folder.
struct MixOptions {
  std::vector<std::pair<std::string, double>>
      sources;  ///< path and weight: 1 once, 0.25 a quarter, 2.5 twice and a half
  uint64_t seed = 42;
  bool shuffle = true;
};
PassReport mix_rows(const PassFiles& files, const MixOptions& options);

}  // namespace fettle::data
