#include "generate/event_stream.h"

#include <utility>

namespace fettle {

std::vector<std::string> EventStream::push(std::string_view bytes) {
  std::vector<std::string> events;
  for (const char c : bytes) {
    const bool after_return = std::exchange(after_return_, c == '\r');
    if (c == '\n' && after_return) continue;
    if (c != '\n' && c != '\r') {
      line_.push_back(c);
      continue;
    }
    if (line_.empty()) {
      if (has_data_) events.push_back(std::exchange(data_, {}));
      has_data_ = false;
    } else if (line_.starts_with("data:")) {
      if (has_data_) data_.push_back('\n');
      data_.append(line_, line_.starts_with("data: ") ? 6 : 5);
      has_data_ = true;
    }
    line_.clear();
  }
  return events;
}

}  // namespace fettle
