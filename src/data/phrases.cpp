#include "data/phrases.h"

#include <utf8proc.h>

#include <algorithm>
#include <deque>

namespace fettle::data {
namespace {

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

char lower_ascii(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lowered;
  lowered.reserve(text.size() + 8);
  for (size_t at = 0; at < text.size();) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      lowered += lower_ascii(text[at++]);
      continue;
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

PhraseMatcher::PhraseMatcher(const std::vector<std::string>& phrases) : phrases_(phrases) {
  std::vector<std::string> lowered;
  for (const auto& phrase : phrases) {
    if (phrase.empty()) fail_usage("an empty phrase matches everything");
    lowered.push_back(lower_case(phrase));
    lengths_.push_back(static_cast<int32_t>(lowered.back().size()));
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
  // Upper-case ASCII falls into the class of its lower case, so that ASCII texts need no copy.
  for (int c = 'A'; c <= 'Z'; ++c) classes_[static_cast<size_t>(c)] = classes_[static_cast<size_t>(c + 32)];

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
}

template <typename Visit>
void PhraseMatcher::scan(std::string_view lowered, const Visit& visit) const {
  uint32_t state = 0;
  for (size_t at = 0; at < lowered.size(); ++at) {
    state = next_[state * class_count_ + classes_[static_cast<uint8_t>(lowered[at])]];
    if (ends_[state] < 0 && suffix_[state] == 0) continue;
    for (uint32_t found = ends_[state] >= 0 ? state : suffix_[state]; found != 0; found = suffix_[found]) {
      const auto end = static_cast<int64_t>(at) + 1;
      if (!visit(Hit{ends_[found], end - lengths_[static_cast<size_t>(ends_[found])], end})) return;
    }
  }
}

void PhraseMatcher::find(std::string_view text, const std::function<void(const Hit&)>& visit) const {
  const std::string lowered = is_ascii(text) ? std::string() : lower_case(text);
  scan(lowered.empty() ? text : std::string_view(lowered), [&](const Hit& hit) {
    visit(hit);
    return true;
  });
}

bool PhraseMatcher::any(std::string_view text) const {
  const std::string lowered = is_ascii(text) ? std::string() : lower_case(text);
  bool found = false;
  scan(lowered.empty() ? text : std::string_view(lowered), [&](const Hit&) {
    found = true;
    return false;
  });
  return found;
}

}  // namespace fettle::data
