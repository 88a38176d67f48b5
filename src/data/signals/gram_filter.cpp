#include "data/signals/gram_filter.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fettle::data {
namespace {

constexpr size_t gram_bytes = 4;

/// Upper and lower case alike; some other characters fall together too, which the exact search sorts out.
char fold(char c) {
  return static_cast<char>(c | 0x20);
}

uint32_t gram_of(const char* bytes) {
  uint32_t gram = 0;
  std::memcpy(&gram, bytes, gram_bytes);
  return gram | 0x20202020u;
}

uint32_t hash_of(uint32_t gram) {
  return gram * 0x9E3779B1u >> (32 - 17);
}

/// Whether nothing but the character itself, and of ASCII its upper case, has it for its lower case; but for the two
/// that may_hold looks for.
bool is_plain(utf8proc_int32_t point) {
  constexpr utf8proc_int32_t sharp_s = 0xDF;  // its upper case has no simple mapping back in older tables
  return point < 0x80 || (utf8proc_toupper(point) == point && point != sharp_s);
}

/// The longest stretch of plain characters, folded: what a text that holds the phrase has in the same bytes.
std::string plain_part(std::string_view phrase) {
  std::string_view longest;
  size_t begin = 0;
  for (size_t at = 0; at < phrase.size();) {
    utf8proc_int32_t point = -1;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(phrase.data() + at),
                                         static_cast<utf8proc_ssize_t>(phrase.size() - at), &point);
    const bool plain = length > 0 && is_plain(point);
    at += length > 0 ? static_cast<size_t>(length) : 1;
    if (!plain) begin = at;
    if (at - begin > longest.size()) longest = phrase.substr(begin, at - begin);
  }
  std::string part(longest);
  std::transform(part.begin(), part.end(), part.begin(), fold);
  return part;
}

/// How often the gram stands in a text, roughly: letters by their rank in English, as Zipf's law has it.
double frequency(std::string_view gram) {
  constexpr std::string_view ranks = " etaoinshrdlucmfwypvbgkjqxz";
  double product = 1;
  for (const char c : gram) product /= 2 + static_cast<double>(std::min(ranks.find(c), ranks.size()));
  return product;
}

/// The place in `part`, of at least five bytes, whose gram and the next one are rarest together.
size_t rarest(std::string_view part) {
  const auto frequency_from = [&](size_t at) { return frequency(part.substr(at, gram_bytes)) + frequency(part.substr(at + 1, gram_bytes)); };
  size_t best = 0;
  for (size_t at = 1; at + gram_bytes < part.size(); ++at) {
    if (frequency_from(at) < frequency_from(best)) best = at;
  }
  return best;
}

}  // namespace

GramFilter::GramFilter(const std::vector<std::string>& phrases) {
  for (const auto& phrase : phrases) {
    const std::string part = plain_part(phrase);
    if (part.size() > gram_bytes) {
      const size_t offset = rarest(part);
      add(part.data() + offset, {part, -static_cast<int64_t>(offset)});
      add(part.data() + offset + 1, {part, -static_cast<int64_t>(offset + 1)});
    } else if (part.size() == gram_bytes) {
      add(part.data(), {part, 0});
      std::string one_before = ' ' + part;
      for (int any = 0; any < 256; ++any) {
        one_before[0] = static_cast<char>(any);
        if (fold(one_before[0]) == one_before[0]) add(one_before.data(), {part, 1});
      }
    } else {
      all_ = true;
    }
  }
  constexpr size_t useful = 8192;  // more grams, and most places of a text hash to one
  all_ = all_ || places_.size() > useful;
}

void GramFilter::add(const char* bytes, Place place) {
  place.gram = gram_of(bytes);
  const uint32_t hash = hash_of(place.gram);
  known_[hash / 64] |= uint64_t{1} << hash % 64;
  place.next = std::exchange(last_[hash % last_.size()], static_cast<int32_t>(places_.size()));
  places_.push_back(std::move(place));
}

/// Whether a part stands where the gram at `at` says.
bool GramFilter::stands_at(std::string_view text, size_t at) const {
  const uint32_t gram = gram_of(text.data() + at);
  for (int32_t i = last_[hash_of(gram) % last_.size()]; i >= 0; i = places_[static_cast<size_t>(i)].next) {
    const Place& place = places_[static_cast<size_t>(i)];
    const int64_t begin = static_cast<int64_t>(at) + place.begins;
    if (place.gram != gram || begin < 0 || begin + static_cast<int64_t>(place.part.size()) > static_cast<int64_t>(text.size())) continue;
    if (std::equal(place.part.begin(), place.part.end(), text.begin() + begin, [](char a, char b) { return a == fold(b); })) return true;
  }
  return false;
}

bool GramFilter::may_hold(std::string_view text) const {
  if (all_) return true;
  const uint64_t* known = known_.data();
  uint32_t seen = 0;
  const auto is_known = [&](size_t at) {
    const uint32_t gram = gram_of(text.data() + at), hash = hash_of(gram);
    seen |= gram;
    return known[hash / 64] >> hash % 64 & 1;
  };
  constexpr size_t at_once = 4, step = 2;
  size_t at = 0;
  for (; at + at_once * step + gram_bytes <= text.size(); at += at_once * step) {
    if ((is_known(at) | is_known(at + step) | is_known(at + 2 * step) | is_known(at + 3 * step)) == 0) continue;
    for (size_t i = at; i < at + at_once * step; i += step) {
      if (is_known(i) && stands_at(text, i)) return true;
    }
  }
  for (; at + gram_bytes <= text.size(); at += step) {
    if (is_known(at) && stands_at(text, at)) return true;
  }
  // The two characters beyond ASCII whose lower case begins with an ASCII letter: the Kelvin sign and the dotted I.
  const bool only_ascii = (seen & 0x80808080u) == 0;
  return !only_ascii && (text.find("\xE2\x84\xAA") != std::string_view::npos || text.find("\xC4\xB0") != std::string_view::npos);
}

}  // namespace fettle::data
