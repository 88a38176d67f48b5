#pragma once
// Whether an answer is wanted, in the spellings that data sets have.
#include <optional>

#include "base/json.h"

namespace fettle::data {

/// true, 1, "yes", "up", "chosen", …; false, 0, -1, "no", "down", "rejected", …; nothing for anything else. The case of
/// letters does not matter.
std::optional<bool> label_of(const OrderedJson& value);

}  // namespace fettle::data
