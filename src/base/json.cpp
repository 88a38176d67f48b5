#include "base/json.h"

#include <algorithm>

template class nlohmann::basic_json<>;
template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace fettle {
namespace {

/// nlohmann's parser does not bound nesting; a deep document would exhaust the stack when it is destroyed or dumped.
void check_depth(std::string_view text, std::string_view where) {
  constexpr int limit = 512;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) fail(where, "JSON is nested deeper than {} levels (at byte {})", limit, i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  check_depth(text, where);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& error) {
    const size_t byte = std::min(error.byte, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
    const std::string message = error.what();
    const size_t colon = message.find("] ");
    fail(where, "not valid JSON (line {}, byte {}): {}", line, byte,
         colon == std::string::npos ? message : message.substr(colon + 2, 200));
  } catch (const Json::exception& error) {
    fail(where, "not valid JSON: {}", error.what());
  }
}

Json read_json(const fs::path& path) { return parse_json(read_file(path), path.string()); }

std::string dump_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string dump_json(const OrderedJson& value, int indent) {
  return value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace fettle
