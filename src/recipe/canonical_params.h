#pragma once
// Parameters of steps under one name each.
#include <map>
#include <string>

#include "base/json.h"

namespace fettle {

/// The parameters under a step's own names, with `aliases` (the flags of the verb that does the same work) and dashes for
/// underscores replaced. Throws Error(usage) where a parameter stands under two names.
OrderedJson canonical_params(const OrderedJson& params, const std::map<std::string, std::string>& aliases);

}  // namespace fettle
