#pragma once
// `fettle data dedupe`.
// Rows stream from files to a file, in the files' order, the same for any number of threads. Errors: usage for options that
// make no sense, input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.
#include <cstdint>
#include <string>
#include <vector>

#include "data/passes/pass.h"

namespace fettle::data {

/// Rows that say the same: OpenChat's key, the texts of all turns one after another and their number.
struct DedupeOptions {
  enum class Keep { first, longest, best } keep = Keep::first;
  std::string score_field = "score";  ///< for `best`: the highest number in this field
  bool near = false;                  ///< near-duplicates too, by MinHash with verified similarity
  double threshold = 0.8;             ///< Jaccard similarity of shingles
  int shingle_words = 5;
  uint64_t seed = 1;
  fs::path clusters;  ///< empty, or a file of {"kept": id, "dropped": [ids]} rows
  /// Up to so many bytes of input, exact duplicates are found in one reading with all keys in memory; beyond, and
  /// for near ones, keys and shingles lie in the system's temporary folder, sorted with `sort_memory` bytes.
  uint64_t one_reading = uint64_t{1} << 30;
  size_t sort_memory = size_t{128} << 20;
};
PassReport dedupe_rows(const PassFiles& files, const DedupeOptions& options);
/// For every row number (broken rows too) the first row of its cluster of exact and near duplicates: a first reading of the
/// inputs, after which `files.states` knows them.
std::vector<uint32_t> near_clusters(const PassFiles& files, const DedupeOptions& options);

}  // namespace fettle::data
