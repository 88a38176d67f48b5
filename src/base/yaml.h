#pragma once
// YAML as Json, with the line of every key for errors.
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"

namespace fettle {

struct YamlDocument {
  OrderedJson value;                ///< null, bool, integer, double, string, array, object; keys in the order written
  std::map<std::string, int> lines;  ///< "a.b.0.c" -> line, from 1
  std::string where;
  /// "file:line" of a key path, or the file alone when the path is not in it (set by --set).
  std::string place(const std::string& path) const;
};

/// Plain scalars become what YAML's core schema says (1e-5 and 5.0e-7 are numbers, quoted ones strings). Aliases are
/// expanded; duplicate keys, other key types than strings, texts that are not UTF-8, nesting beyond 64
/// levels, more than 300,000 values (aliases expanded) and more than 16 MiB are errors naming the line.
YamlDocument parse_yaml(std::string_view text, std::string_view where);
YamlDocument read_yaml(const fs::path& path);

/// One scalar or flow value as it would stand in a file: "1e-4", "[1, 2]", "{name: cosine}", "text".
OrderedJson parse_yaml_value(std::string_view text, std::string_view where);

/// value.a.b = parsed, for "a.b=parsed" (the --set flag); makes objects on the way. Error(usage) when there is no '=' or
/// the path runs through something that is no object.
void set_by_path(OrderedJson& value, std::string_view assignment);

}  // namespace fettle
