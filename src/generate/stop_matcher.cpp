#include "generate/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace fettle {

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (stop.empty()) continue;
    longest_ = std::max(longest_, stop.size());
    stops_.push_back(stop);
  }
}

std::string StopMatcher::push(std::string_view piece) {
  if (matched()) return {};
  if (stops_.empty()) return std::string(piece);
  pending_.append(piece);
  size_t begin = std::string::npos, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = pending_.find(stop);
    if (at == std::string::npos) continue;
    if (at + stop.size() < end || (at + stop.size() == end && at < begin)) {
      begin = at;
      end = at + stop.size();
      match_ = stop;
    }
  }
  if (matched()) {
    std::string before = pending_.substr(0, begin);
    pending_.clear();
    return before;
  }
  // The longest end of the text that is the beginning of a stop string waits for more.
  size_t held = std::min(pending_.size(), longest_ - 1);
  const auto begins_a_stop = [&](std::string_view tail) {
    return std::ranges::any_of(stops_, [&](const std::string& stop) { return stop.starts_with(tail); });
  };
  while (held > 0 && !begins_a_stop(std::string_view(pending_).substr(pending_.size() - held))) --held;
  std::string certain = pending_.substr(0, pending_.size() - held);
  pending_.erase(0, certain.size());
  return certain;
}

std::string StopMatcher::flush() {
  return std::exchange(pending_, {});
}

}  // namespace fettle
