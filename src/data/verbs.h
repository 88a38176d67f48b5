#pragma once
// The verbs of `fettle data` as functions. Each streams rows from files to a file, in the files' order, the
// same for any number of threads, and returns what it counted. Errors: usage for options that make no sense,
// input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/binarize.h"
#include "data/pass.h"
#include "data/tokenize.h"

namespace fettle::data {

/// From one row format to another, or with a tokenizer to token rows {"id", "ids", "mask" (or "weights" where
/// not all are 0 or 1)}. A pair becomes its chosen answer where the target cannot hold both, or two judged
/// rows.
struct ConvertOptions {
  Format from = Format::automatic;
  Columns columns;
  Format to = Format::messages;
  const Tokenizer* tokenizer = nullptr;  ///< set: token rows instead of `to`
  const ChatTemplate* chat = nullptr;
  TokenizeOptions tokenize;
};
PassReport convert_rows(const PassFiles& files, const ConvertOptions& options);

/// UltraFeedback rows → {"id", "prompt", "prompt_id" (SHA-256 of the prompt), "chosen", "rejected"
/// (conversations), "score_chosen", "score_rejected", "model_chosen", "model_rejected"}. The report's
/// "binarize" holds ties and repairs.
PassReport binarize_rows(const PassFiles& files, const BinarizeOptions& options, const Columns& columns = {});

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

/// Sources with weights into one file; rows are chosen by hash of (seed, id), and shuffled by the seed.
/// They wait for their place in the system's temporary folder.
struct MixOptions {
  std::vector<std::pair<std::string, double>>
      sources;  ///< path and weight: 1 once, 0.25 a quarter, 2.5 twice and a half
  uint64_t seed = 42;
  bool shuffle = true;
};
PassReport mix_rows(const PassFiles& files, const MixOptions& options);

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
