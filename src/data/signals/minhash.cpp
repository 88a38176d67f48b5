#include "data/signals/minhash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>

#include "base/hash.h"
#include "base/random.h"
#include "data/files/sort_numbers.h"
#include "text/unicode/wide_text.h"

// The loop over permutations is compiled for wider vectors too, and the loader picks. Sanitizers run before
// such picking works.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define FETTLE_WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FETTLE_WIDEST
#endif

namespace fettle::data {
namespace {

struct Coefficients {
  alignas(64) std::array<uint32_t, permutations> multiply, add;
};

const Coefficients& coefficients(uint64_t seed) {
  static std::mutex mutex;
  static std::map<uint64_t, Coefficients> all;
  const std::lock_guard lock(mutex);
  const auto [found, fresh] = all.try_emplace(seed);
  if (fresh) {
    Random random(seed);
    for (size_t i = 0; i < permutations; ++i) {
      found->second.multiply[i] =
          static_cast<uint32_t>(random()) | 1;  // odd: a permutation of the 32-bit numbers
      found->second.add[i] = static_cast<uint32_t>(random());
    }
  }
  return found->second;
}

/// Eight permutations side by side; a compiler left to itself keeps to one at a time here.
using Lanes = uint32_t __attribute__((vector_size(32)));

FETTLE_WIDEST void lower_all(const uint32_t* shingles, size_t count, const uint32_t* multiply,
                             const uint32_t* add, uint32_t* least) {
  constexpr size_t lanes = 8, held = 4;  // so many vectors of each kind stay in registers over all shingles
  static_assert(permutations % (lanes * held) == 0);
  for (size_t first = 0; first < permutations; first += lanes * held) {
    Lanes m[held], a[held], l[held];
    std::memcpy(m, multiply + first, sizeof m);
    std::memcpy(a, add + first, sizeof a);
    std::memcpy(l, least + first, sizeof l);
    for (size_t s = 0; s < count; ++s) {
#pragma GCC unroll 4
      for (size_t i = 0; i < held; ++i) {
        const Lanes value = m[i] * shingles[s] + a[i];
        l[i] = value < l[i] ? value : l[i];
      }
    }
    std::memcpy(least + first, l, sizeof l);
  }
}

uint64_t mix(uint64_t value) {  // the finaliser of SplitMix64
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

/// Eight letters of a text, the first the lowest, looked at side by side.
constexpr uint64_t in_each(uint8_t byte) {
  return byte * 0x0101010101010101u;
}
constexpr uint64_t low_bits = in_each(0x7F), high_bit = in_each(0x80);

uint64_t lower_letters(uint64_t letters) {
  const uint64_t low = letters & low_bits;
  const uint64_t from_a = low + in_each(0x80 - 'A'), beyond_z = low + in_each(0x7F - 'Z');
  return letters | ((from_a ^ beyond_z) & ~letters & high_bit) >> 2;
}

/// The high bit of each that is white space.
uint64_t spaces(uint64_t letters) {
  const uint64_t low = letters & low_bits;
  const uint64_t from_tab = low + in_each(0x80 - '\t'), beyond_return = low + in_each(0x7F - '\r');
  const uint64_t not_blank = (low ^ in_each(' ')) + low_bits;
  return ((from_tab ^ beyond_return) | ~not_blank) & ~letters & high_bit;
}

/// Up to eight letters, filled up with blanks.
uint64_t letters_at(const char* at, const char* end) {
  uint64_t letters = in_each(' ');
  if (end - at >= 8) {
    std::memcpy(&letters, at, 8);
  } else {
    std::memcpy(&letters, at, static_cast<size_t>(end - at));
  }
  return letters;
}

constexpr std::string_view ideographic_space = "\u3000";

/// Letters of scripts that are written without blanks between words, and the marks that stand among them (blocks of
/// Unicode 15): Thai, Lao, Tibetan, Burmese, Khmer, the Tai scripts, Chinese and Japanese.
bool is_lone_letter(uint32_t letter) {
  struct Range {
    uint32_t first, last;
  };
  constexpr Range ranges[] = {{0x0E00, 0x109F}, {0x1780, 0x17FF}, {0x1950, 0x19FF}, {0x1A20, 0x1AAF},   {0x2E80, 0x2FDF},
                              {0x3000, 0x312F}, {0x31F0, 0x31FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},   {0xA9E0, 0xA9FF},
                              {0xAA60, 0xAADF}, {0xF900, 0xFAFF}, {0xFF01, 0xFF9F}, {0x1B000, 0x1B16F}, {0x20000, 0x3FFFF}};
  return std::any_of(std::begin(ranges), std::end(ranges),
                     [&](const Range& range) { return letter >= range.first && letter <= range.last; });
}

/// Adds a hash of each word.
void hash_words(std::string_view text, std::vector<uint64_t>& words) {
  static_assert(std::endian::native == std::endian::little);
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    uint64_t letters = letters_at(at, end), ends = spaces(letters), word = 0;
    const char* const begin = at;
    for (; ends == 0; ends = spaces(letters)) {  // not at its end yet
      word = mix(word ^ lower_letters(letters));
      letters = letters_at(at += 8, end);
    }
    const auto length = static_cast<unsigned>(std::countr_zero(ends)) / 8;
    const uint64_t last = lower_letters(letters) & ((uint64_t{1} << (8 * length)) - 1);
    if (at + length > begin) words.push_back(mix((word ^ last) + (length + 1) * 0x9E3779B97F4A7C15u));
    at += length + 1;
  }
}

/// Where a letter that stands for a word of its own begins in `text` from `at` on; its end in `end`. npos when none.
size_t find_lone_letter(std::string_view text, size_t at, size_t& end) {
  for (; at < text.size(); at += 8) {
    const uint64_t letters = letters_at(text.data() + at, text.data() + text.size());
    // Bytes that begin with 111: characters of three or four bytes, as all these are.
    for (uint64_t leads = letters & letters << 1 & letters << 2 & high_bit; leads != 0; leads &= leads - 1) {
      const size_t begin = at + static_cast<size_t>(std::countr_zero(leads)) / 8;
      const size_t length = static_cast<uint8_t>(text[begin]) >= 0xF0 ? 4 : 3;
      if (text.size() - begin < length || !is_lone_letter(first_character(text.substr(begin)))) continue;
      end = begin + length;
      return begin;
    }
  }
  return std::string_view::npos;
}

/// Adds the words of a text in which some letters are words.
void hash_words_and_letters(std::string_view text, size_t letter, size_t letter_end, std::vector<uint64_t>& words) {
  size_t begin = 0;
  while (letter != std::string_view::npos) {
    hash_words(text.substr(begin, letter - begin), words);
    const auto one = text.substr(letter, letter_end - letter);
    if (one != ideographic_space) hash_words(one, words);
    begin = letter_end;
    letter = find_lone_letter(text, begin, letter_end);
  }
  hash_words(text.substr(begin), words);
}

}  // namespace

void Shingler::add(std::string_view text) {
  words_of_text_.clear();
  size_t end = 0;
  const size_t letter = find_lone_letter(text, 0, end);
  if (letter == std::string_view::npos) {
    hash_words(text, words_of_text_);
  } else {
    hash_words_and_letters(text, letter, end, words_of_text_);
  }
  if (words_of_text_.empty()) return;
  // A shingle is a polynomial of its words' hashes, so the next one follows from the last: one word comes, one goes.
  constexpr uint64_t base = 0xD1342543DE82EF95u;
  const size_t count = words_of_text_.size(), wanted = std::min(static_cast<size_t>(words_), count);
  uint64_t shingle = 0, gone = 1;
  for (size_t i = 0; i < wanted; ++i) {
    shingle = shingle * base + words_of_text_[i];
    gone *= base;
  }
  size_t at = hashes_.size();
  hashes_.resize(at + count - wanted + 1);
  hashes_[at] = static_cast<uint32_t>(mix(shingle) >> 32);
  for (size_t i = wanted; i < count; ++i) {
    shingle = shingle * base + words_of_text_[i] - gone * words_of_text_[i - wanted];
    hashes_[++at] = static_cast<uint32_t>(mix(shingle) >> 32);
  }
}

void Shingler::take(std::vector<uint32_t>& set) {
  sort_numbers(hashes_);
  hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
  set.swap(hashes_);
  hashes_.clear();
}

Signature minhash(std::span<const uint32_t> shingles, uint64_t seed) {
  alignas(64) Signature least;
  least.fill(std::numeric_limits<uint32_t>::max());
  const auto& c = coefficients(seed);
  lower_all(shingles.data(), shingles.size(), c.multiply.data(), c.add.data(), least.data());
  return least;
}

double jaccard(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  size_t i = 0, j = 0, both = 0;
  while (i < a.size() && j < b.size()) {
    both += a[i] == b[j];
    const bool step_a = a[i] <= b[j], step_b = b[j] <= a[i];
    i += step_a;
    j += step_b;
  }
  const size_t either = a.size() + b.size() - both;
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

Bands Bands::for_threshold(double threshold) {
  constexpr double wanted = 0.99;
  Bands best{static_cast<int>(permutations), 1};
  for (int rows = 2; rows <= 32; ++rows) {
    const int bands = static_cast<int>(permutations) / rows;
    if (1 - std::pow(1 - std::pow(threshold, rows), bands) >= wanted) best = {bands, rows};
  }
  return best;
}

uint32_t Bands::hash(const Signature& signature, int band) const {
  const auto* first = signature.data() + static_cast<size_t>(band) * static_cast<size_t>(rows);
  return static_cast<uint32_t>(hash64({reinterpret_cast<const char*>(first), static_cast<size_t>(rows) * 4},
                                      static_cast<uint64_t>(band)));
}

}  // namespace fettle::data
