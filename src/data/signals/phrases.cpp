#include "data/signals/phrases.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <deque>
#include <limits>

namespace fettle::data {
namespace {

/// Lower cases of the characters of two bytes (U+0080 to U+07FF) as their two bytes; 0 where they are of another length.
std::array<std::array<char, 2>, 0x800> two_byte_lower_cases() {
  std::array<std::array<char, 2>, 0x800> all{};
  for (utf8proc_int32_t point = 0x80; point < 0x800; ++point) {
    utf8proc_uint8_t encoded[4];
    if (point == 0x130 || utf8proc_encode_char(utf8proc_tolower(point), encoded) != 2) continue;
    all[static_cast<size_t>(point)] = {static_cast<char>(encoded[0]), static_cast<char>(encoded[1])};
  }
  return all;
}

char lower_ascii(char c) {
  const bool upper = static_cast<uint8_t>(c - 'A') < 26;
  return static_cast<char>(c + 32 * upper);
}

std::vector<std::string> all_lower_case(const std::vector<std::string>& phrases) {
  std::vector<std::string> lowered;
  for (const auto& phrase : phrases) lowered.push_back(lower_case(phrase));
  return lowered;
}

}  // namespace

std::string lower_case(std::string_view text) {
  static const auto two_bytes = two_byte_lower_cases();
  std::string lowered;
  lowered.reserve(text.size() + 8);
  for (size_t at = 0; at < text.size();) {
    const auto* begin = text.data() + at;
    const auto* end = std::find_if(begin, text.data() + text.size(), [](char c) { return static_cast<uint8_t>(c) >= 0x80; });
    if (begin != end) {
      const size_t before = lowered.size(), count = static_cast<size_t>(end - begin);
      lowered.resize(before + count);
      std::transform(begin, end, lowered.data() + before, lower_ascii);
      at += count;
      continue;
    }
    if (const auto lead = static_cast<uint8_t>(text[at]); lead >= 0xC2 && lead < 0xE0 && at + 1 < text.size()) {
      const auto next = static_cast<uint8_t>(text[at + 1]);
      const auto& lower = two_bytes[static_cast<size_t>((lead & 0x1F) << 6 | (next & 0x3F))];
      if ((next & 0xC0) == 0x80 && lower[0] != 0) {
        lowered.append(lower.data(), 2);
        at += 2;
        continue;
      }
    }
    utf8proc_int32_t point = -1;
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
    const auto length = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &point);
    if (length <= 0) {
      lowered += text[at++];
      continue;
    }
    utf8proc_uint8_t encoded[4];
    const bool dotted = point == 0x130;
    const auto size = utf8proc_encode_char(dotted ? 'i' : utf8proc_tolower(point), encoded);
    lowered.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(size));
    if (dotted) lowered += "\xCC\x87";
    at += static_cast<size_t>(length);
  }
  return lowered;
}

PhraseMatcher::PhraseMatcher(const std::vector<std::string>& phrases) : PhraseMatcher(phrases, all_lower_case(phrases)) {}

PhraseMatcher::PhraseMatcher(const std::vector<std::string>& phrases, const std::vector<std::string>& lowered)
    : phrases_(phrases), filter_(lowered) {
  for (const auto& phrase : lowered) {
    if (phrase.empty()) fail_usage("an empty phrase matches everything");
    lengths_.push_back(static_cast<int32_t>(phrase.size()));
  }
  build(lowered);
}

void PhraseMatcher::build(const std::vector<std::string>& lowered) {
  for (const auto& phrase : lowered) {
    for (const char c : phrase) {
      auto& cls = classes_[static_cast<uint8_t>(c)];
      if (cls == 0) cls = static_cast<uint8_t>(class_count_++);
    }
  }
  const auto add_state = [&] {
    next_.resize(next_.size() + class_count_, 0);
    ends_.push_back(-1);
    suffix_.push_back(0);
    return static_cast<uint32_t>(ends_.size() - 1);
  };
  add_state();
  for (size_t i = 0; i < lowered.size(); ++i) {
    uint32_t state = 0;
    for (const char c : lowered[i]) {
      const size_t edge = state * class_count_ + classes_[static_cast<uint8_t>(c)];
      if (next_[edge] == 0) {
        const uint32_t fresh = add_state();
        next_[edge] = fresh;
      }
      state = next_[edge];
    }
    if (ends_[state] < 0) ends_[state] = static_cast<int32_t>(i);
  }
  // Breadth first: a state's failure state is known before its children's.
  std::vector<uint32_t> failure(ends_.size(), 0);
  std::deque<uint32_t> queue;
  for (size_t cls = 0; cls < class_count_; ++cls) {
    if (next_[cls] != 0) queue.push_back(next_[cls]);
  }
  while (!queue.empty()) {
    const uint32_t state = queue.front();
    queue.pop_front();
    suffix_[state] = ends_[failure[state]] >= 0 ? failure[state] : suffix_[failure[state]];
    for (size_t cls = 0; cls < class_count_; ++cls) {
      auto& child = next_[state * class_count_ + cls];
      const uint32_t other = next_[failure[state] * class_count_ + cls];
      if (child == 0) {
        child = other;
      } else {
        failure[child] = other;
        queue.push_back(child);
      }
    }
  }
  number_states();
}

/// Breadth first, so that the states of most bytes lie together; those with a hit last.
void PhraseMatcher::number_states() {
  const size_t count = ends_.size();
  if (count * class_count_ > std::numeric_limits<uint32_t>::max())
    fail_usage("the phrases are too many: {} states of {} kinds of byte", count, class_count_);
  std::vector<uint32_t> order{0}, place(count, 0);
  std::vector<bool> known(count, false);
  known[0] = true;
  for (size_t at = 0; at < order.size(); ++at) {
    for (size_t cls = 0; cls < class_count_; ++cls) {
      const uint32_t child = next_[order[at] * class_count_ + cls];
      if (!known[child]) order.push_back(child);
      known[child] = true;
    }
  }
  const auto quiet = std::stable_partition(order.begin(), order.end(),
                                           [&](uint32_t state) { return ends_[state] < 0 && suffix_[state] == 0; });
  first_hit_ = static_cast<uint32_t>(static_cast<size_t>(quiet - order.begin()) * class_count_);
  for (size_t i = 0; i < count; ++i) place[order[i]] = static_cast<uint32_t>(i);
  std::vector<uint32_t> next(next_.size()), suffix(count);
  std::vector<int32_t> ends(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t old = order[i];
    ends[i] = ends_[old];
    suffix[i] = place[suffix_[old]];
    for (size_t cls = 0; cls < class_count_; ++cls) {
      next[i * class_count_ + cls] = static_cast<uint32_t>(place[next_[old * class_count_ + cls]] * class_count_);
    }
  }
  next_ = std::move(next);
  suffix_ = std::move(suffix);
  ends_ = std::move(ends);
}

template <typename Visit>
void PhraseMatcher::scan(std::string_view text, const Visit& visit) const {
  if (!filter_.may_hold(text)) return;
  const std::string lowered = lower_case(text);
  uint32_t reached = 0;
  for (size_t at = 0; at < lowered.size(); ++at) {
    reached = next_[reached + classes_[static_cast<uint8_t>(lowered[at])]];
    if (reached < first_hit_) continue;
    const auto state = static_cast<uint32_t>(reached / class_count_);
    for (uint32_t found = ends_[state] >= 0 ? state : suffix_[state]; found != 0; found = suffix_[found]) {
      const auto end = static_cast<int64_t>(at) + 1;
      if (!visit(Hit{ends_[found], end - lengths_[static_cast<size_t>(ends_[found])], end}, lowered)) return;
    }
  }
}

void PhraseMatcher::find(std::string_view text, const std::function<void(const Hit&, std::string_view)>& visit) const {
  scan(text, [&](const Hit& hit, std::string_view lowered) {
    visit(hit, lowered);
    return true;
  });
}

bool PhraseMatcher::any(std::string_view text) const {
  bool found = false;
  scan(text, [&](const Hit&, std::string_view) {
    found = true;
    return false;
  });
  return found;
}

}  // namespace fettle::data
