#pragma once
// `fettle data split`.
// Rows stream from files to a file, in the files' order, the same for any number of threads. Errors: usage for options that
// make no sense, input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/passes/pass.h"

namespace fettle::data {

/// Rows to several files by hash, so that a row's side never depends on the other rows.
struct SplitOptions {
  std::vector<std::pair<fs::path, double>>
      parts;  ///< file and its share; what remains goes to PassFiles::output
  /// What decides: "id"; "prompt": the first user turn without case and spacing, so that rows that ask the same
  /// stay together; "near": near-duplicates stay together, by the id of the first of them (two readings).
  std::string by = "prompt";
  double threshold = 0.7;  ///< of "near": Jaccard similarity of five-word shingles
  uint64_t seed = 42;
};
PassReport split_rows(const PassFiles& files, const SplitOptions& options);

}  // namespace fettle::data
