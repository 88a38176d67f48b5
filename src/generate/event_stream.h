#pragma once
// Server-sent events as OpenAI's API streams them (the `data` fields of the HTML standard's "Server-sent
// events").
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

/// Feed bytes as they come; get the data of every event that is whole.
class EventStream {
 public:
  std::vector<std::string> push(std::string_view bytes);

 private:
  std::string line_, data_;
  bool has_data_ = false, after_return_ = false;
};

}  // namespace fettle
