#pragma once
// A step's parameters with their types: what has the wrong one is a usage error that names the key.
#include <string>
#include <vector>

#include "base/json.h"

namespace fettle {

/// `value`, which stands under `key`, as a T.
template <typename T>
T param_as(const OrderedJson& value, std::string_view key) {
  try {
    return value.get<T>();
  } catch (const OrderedJson::exception&) {
    fail_usage("`{}` has the wrong type: {}", key, dump_json(value).substr(0, 80));
  }
}

template <typename T>
T param(const OrderedJson& params, const char* key) {
  const auto found = params.find(key);
  if (found == params.end()) fail_usage("`{}` is missing", key);
  return param_as<T>(*found, key);
}

template <typename T>
T param_or(const OrderedJson& params, const char* key, T fallback) {
  const auto found = params.find(key);
  return found == params.end() ? fallback : param_as<T>(*found, key);
}
inline std::string param_or(const OrderedJson& params, const char* key, const char* fallback) {
  return param_or<std::string>(params, key, fallback);
}

}  // namespace fettle
