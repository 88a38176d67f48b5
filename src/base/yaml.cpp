#include "base/yaml.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/emitterstyle.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <unordered_set>

#include "base/ordered_json.h"

namespace fettle {
namespace {

constexpr int deepest = 64;
constexpr size_t most_nodes = 300'000;  // aliases can blow a small file up
constexpr size_t most_path_bytes = size_t{64} << 20;
constexpr size_t most_bytes = size_t{16} << 20;

bool all_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

/// The core schema's numbers.
bool is_number(const std::string& text) {
  std::string_view rest = text;
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".nan") return true;
  if (rest.empty() || rest.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return false;
  if (rest.find_first_of("0123456789") == std::string_view::npos) return false;
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return *end == '\0';
}

OrderedJson scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (!is_number(text)) return text;
  if (text.ends_with(".inf")) return text.front() == '-' ? -HUGE_VAL : HUGE_VAL;
  if (text.ends_with(".nan")) return std::nan("");
  const size_t sign = text.front() == '-' || text.front() == '+' ? 1 : 0;
  if (all_digits(std::string_view(text).substr(sign))) {
    errno = 0;
    const long long value = std::strtoll(text.c_str(), nullptr, 10);
    if (errno == 0) return static_cast<int64_t>(value);
  }
  return std::strtod(text.c_str(), nullptr);
}

/// What is no UTF-8 cannot be written as JSON either, where configs end up.
bool is_utf8(const std::string& text) {
  try {
    [[maybe_unused]] const std::string written = Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

/// The library's nodes take hundreds of bytes each, so they are counted before any is made.
class NodeCounter final : public YAML::EventHandler {
 public:
  explicit NodeCounter(std::string_view where) : where_(where) {}
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { count(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string&) override { count(mark); }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { count(mark); }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override { count(mark); }
  void OnMapEnd() override {}

 private:
  void count(const YAML::Mark& mark) {
    if (++nodes_ > most_nodes) fail(fmt::format("{}:{}", where_, mark.line + 1), "more than {} values", most_nodes);
  }
  std::string_view where_;
  size_t nodes_ = 0;
};

YAML::Node load(std::string_view text, std::string_view where) {
  if (text.size() > most_bytes) fail(where, "has {} bytes, {} at most are read as YAML", text.size(), most_bytes);
  const std::string copy(text);
  std::istringstream stream(copy);
  NodeCounter counter(where);
  YAML::Parser(stream).HandleNextDocument(counter);
  return YAML::Load(copy);
}

struct Converter {
  YamlDocument& document;
  size_t nodes = 0, path_bytes = 0;

  [[noreturn]] void fail_at(const YAML::Node& node, const std::string& message) const {
    fail(fmt::format("{}:{}", document.where, node.Mark().line + 1), "{}", message);
  }

  OrderedJson convert(const YAML::Node& node, const std::string& path, int depth) {
    if (depth > deepest) fail_at(node, fmt::format("nested deeper than {} levels", deepest));
    path_bytes += path.size();
    if (++nodes > most_nodes || path_bytes > most_path_bytes) fail_at(node, "too large once its aliases are expanded");
    if (!path.empty() && node.Mark().line >= 0) document.lines.emplace(path, node.Mark().line + 1);
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        if (!is_utf8(node.Scalar())) fail_at(node, "a text that is not UTF-8");
        return scalar(node);
      case YAML::NodeType::Sequence:
        return sequence(node, path, depth);
      case YAML::NodeType::Map:
        return mapping(node, path, depth);
      default:
        return nullptr;
    }
  }

  OrderedJson sequence(const YAML::Node& node, const std::string& path, int depth) {
    OrderedJson list = OrderedJson::array();
    for (size_t i = 0; i < node.size(); ++i) list.push_back(convert(node[i], fmt::format("{}{}{}", path, path.empty() ? "" : ".", i), depth + 1));
    return list;
  }

  OrderedJson mapping(const YAML::Node& node, const std::string& path, int depth) {
    OrderedJson object = OrderedJson::object();
    std::unordered_set<std::string> keys;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail_at(entry.first, "a key must be plain text");
      const std::string key = entry.first.Scalar();
      if (!is_utf8(key)) fail_at(entry.first, "a key that is not UTF-8");
      if (!keys.insert(key).second) fail_at(entry.first, fmt::format("key '{}' stands here twice", key));
      const std::string child = path.empty() ? key : path + "." + key;
      document.lines.emplace(child, entry.first.Mark().line + 1);
      append_member(object, key, convert(entry.second, child, depth + 1));
    }
    return object;
  }
};

}  // namespace

std::string YamlDocument::place(const std::string& path) const {
  const auto found = lines.find(path);
  return found == lines.end() ? where : fmt::format("{}:{}", where, found->second);
}

YamlDocument parse_yaml(std::string_view text, std::string_view where) {
  YamlDocument document;
  document.where = where;
  try {
    document.value = Converter{document}.convert(load(text, where), "", 0);
  } catch (const YAML::Exception& error) {
    fail(fmt::format("{}:{}", where, error.mark.line + 1), "not valid YAML: {}", error.msg);
  }
  return document;
}

YamlDocument read_yaml(const fs::path& path) { return parse_yaml(read_file(path, most_bytes), path.string()); }

OrderedJson parse_yaml_value(std::string_view text, std::string_view where) { return parse_yaml(text, where).value; }

void set_by_path(OrderedJson& value, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) fail_usage("--set {}: write key=value, or key.inner=value", assignment);
  const std::string path(assignment.substr(0, equals));
  OrderedJson* place = &value;
  size_t begin = 0;
  for (;;) {
    const size_t dot = path.find('.', begin);
    const std::string key = path.substr(begin, dot == std::string::npos ? dot : dot - begin);
    if (place->is_null()) *place = OrderedJson::object();
    if (!place->is_object()) fail_usage("--set {}: '{}' has no keys of its own", assignment, path.substr(0, begin == 0 ? 0 : begin - 1));
    place = &(*place)[key];
    if (dot == std::string::npos) break;
    begin = dot + 1;
  }
  *place = parse_yaml_value(assignment.substr(equals + 1), fmt::format("--set {}", path));
}

}  // namespace fettle
