#pragma once
// A JSON Schema taken apart: references followed, allOf joined, each keyword read once. For json_schema.cpp
// and schema_object.cpp.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "generate/constrain/number_range.h"

namespace fettle {

/// Throws Error: "schema #/properties/a: …".
template <typename... Args>
[[noreturn]] void fail_schema(const std::string& path, fmt::format_string<Args...> format, Args&&... args) {
  const std::string shown =
      path.size() <= 200 ? path : path.substr(0, 60) + "/…" + path.substr(path.size() - 100);
  fail("schema #" + shown, "{}", fmt::format(format, std::forward<Args>(args)...));
}

/// A schema inside the whole one, and its JSON pointer.
struct SchemaPlace {
  const OrderedJson* schema;
  std::string path;
};

/// What of a schema must hold: its own keywords, its anyOf, or its oneOf. Ordered by what it is, not by how
/// it was found.
struct SchemaAtom {
  enum class Part : uint8_t { own, any, one };
  SchemaPlace place;
  Part part;
  std::vector<const OrderedJson*> within;  ///< schemas that lead here without a step into a value
  bool operator<(const SchemaAtom& other) const {
    return std::pair(place.schema, part) < std::pair(other.place.schema, other.part);
  }
};
/// Each once, in the order in which they were found, which is the order of an object's properties.
using SchemaAtoms = std::vector<SchemaAtom>;

/// Bits of the types of JSON. An integer is a number without a fraction.
enum JsonType : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kObject = 4,
  kArray = 8,
  kFraction = 16,
  kInteger = 32,
  kString = 64,
  kAnyType = 127
};

/// All keywords of a set of schemas that must hold together.
struct SchemaConstraints {
  uint8_t types = kAnyType;
  bool typed = false;                              ///< some schema says which types, or has a keyword of some
  std::optional<std::vector<OrderedJson>> values;  ///< enum, const
  std::string values_path;
  std::vector<std::pair<std::string, std::string>> patterns, formats;  ///< with their paths
  int64_t min_length = 0, max_length = -1;
  NumberRange numbers;
  struct Array {
    std::vector<SchemaPlace> prefix;
    std::optional<SchemaPlace> items;
  };
  std::vector<Array> arrays;
  int64_t min_items = 0, max_items = -1;
  std::string unique_path;  ///< of uniqueItems: true
  struct Object {
    std::vector<std::pair<std::string, SchemaPlace>> properties, patterns;
    std::optional<SchemaPlace> additional;
  };
  std::vector<Object> objects;
  std::vector<std::string> required;
  int64_t min_properties = 0, max_properties = -1;
  std::vector<SchemaPlace> names;  ///< propertyNames
  std::string path;                ///< of the first schema
};

/// One whole schema. Throws Error naming the place of what is wrong or not supported.
class SchemaSource {
 public:
  explicit SchemaSource(const OrderedJson& root) : root_(root) {}

  /// Adds what `place` says to `atoms`. False when nothing can fit it.
  bool expand(const SchemaPlace& place, SchemaAtoms& atoms, std::vector<const OrderedJson*> within = {});
  /// Reads the own keywords of all atoms.
  SchemaConstraints read(const SchemaAtoms& atoms);

 private:
  SchemaPlace target(const std::string& reference, const std::string& path) const;
  void count_work(const std::string& path);

  const OrderedJson& root_;
  size_t work_ = 0;
  std::set<const OrderedJson*> checked_;
};

/// "a/b" as a step of a JSON pointer.
std::string pointer_step(std::string_view key);

}  // namespace fettle
