#include "recipe/canonical_params.h"

#include <algorithm>

#include "base/error.h"

namespace fettle {

OrderedJson canonical_params(const OrderedJson& params, const std::map<std::string, std::string>& aliases) {
  OrderedJson made = OrderedJson::object();
  for (const auto& [key, value] : params.items()) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '-', '_');
    if (const auto alias = aliases.find(name); alias != aliases.end()) name = alias->second;
    if (made.contains(name)) fail_usage("'{}' is given twice, once as '{}'; keep one of them", name, key);
    made[name] = value;
  }
  return made;
}

}  // namespace fettle
