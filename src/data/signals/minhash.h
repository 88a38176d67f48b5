#pragma once
// Similarity of texts by shingles of words: MinHash signatures (Broder, "On the resemblance and containment
// of documents", 1997) and bands that make similar texts meet (Leskovec et al., "Mining of Massive Datasets",
// section 3.4).
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fettle::data {

constexpr size_t permutations = 128;
using Signature = std::array<uint32_t, permutations>;

/// Hashes of all runs of `words` words of the text (letters lower-cased in ASCII, words end at white space),
/// sorted, each once; a shorter text is one shingle. Texts are added one after another; a shingle never spans
/// two.
class Shingler {
 public:
  explicit Shingler(int words) : words_(words) {}
  void add(std::string_view text);
  /// Gives the set and starts anew, in the memory that `set` had.
  void take(std::vector<uint32_t>& set);

 private:
  int words_;
  std::vector<uint64_t> words_of_text_;
  std::vector<uint32_t> hashes_;
};

/// The smallest value of each of 128 random permutations over the set; all ones for an empty one.
Signature minhash(std::span<const uint32_t> shingles, uint64_t seed);

/// |a ∩ b| / |a ∪ b| of sorted sets; 1 for two empty ones.
double jaccard(std::span<const uint32_t> a, std::span<const uint32_t> b);

/// bands × rows <= 128, with as many rows as let a pair at the threshold meet with 99 %.
struct Bands {
  int bands = 1, rows = 1;
  static Bands for_threshold(double threshold);
  uint32_t hash(const Signature& signature, int band) const;
};

}  // namespace fettle::data
