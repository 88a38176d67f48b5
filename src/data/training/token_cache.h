#pragma once
// Token sets that are found again: folders named by a hash of everything that decides their rows.
//
// What an input file holds is known by a hash of its content, kept with the file's size, inode and time of last change. As
// long as these three are the same, the file is taken for unchanged and not read; else it is hashed again. A file that changed
// less than two seconds before it was hashed is hashed again next time, since a change within the same instant could not be seen.
#include <functional>
#include <memory>

#include "base/open_file.h"
#include "data/training/token_maker.h"

namespace fettle::data {

/// Hashes of input files, remembered in a folder. Throws Error(io) when a file cannot be read.
class InputHashes {
 public:
  explicit InputHashes(fs::path folder) : folder_(std::move(folder)) {}
  /// 32 hexadecimal digits of the file's content.
  std::string of(const std::string& file) const;

 private:
  fs::path folder_;
};

struct TokenCacheOptions {
  fs::path folder;  ///< empty: `tokens` in the user's cache folder
  bool keep = true; ///< false: the set goes with the last TokenizedSet that uses it
};

/// Where sets lie by default.
fs::path default_token_folder();

/// The set that `recipe` makes, from the cache or made now. `options`: a hash of all that decides its rows beside the sources (of
/// the tokenizer, the template, …). One process makes a set, others wait for it; what a killed one finished is kept; a set
/// that is damaged is made anew with a warning. Inputs that cannot be read twice ("-", pipes), and a folder that cannot be
/// written to, give a temporary set. Throws Error as make_token_set does, and Error(io) when an input changes meanwhile.
std::shared_ptr<const TokenizedSet> cached_token_set(TokenRecipe recipe, const std::string& options, const TokenCacheOptions& cache);

/// A set in the cache, for those who look at it or remove it.
struct CachedTokens {
  fs::path folder;
  int64_t bytes = 0, rows = 0;
  bool whole = false;
  std::string sources;  ///< the files that it was made from
  double age_seconds = 0.0;  ///< since it was used last
};
std::vector<CachedTokens> list_cached_tokens(const fs::path& folder);
/// Removes it; false when a process is making it just now. A run that reads it is not disturbed.
bool remove_cached_tokens(const CachedTokens& tokens);

}  // namespace fettle::data
