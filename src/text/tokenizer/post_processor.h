#pragma once
// Post-processors as tokenizer.json describes them, reduced to what they add to a single text.
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace fettle {

/// Ids to put before and behind a text.
struct Surroundings {
  std::vector<int32_t> before, behind;
};

/// From the value of the key "post_processor". Error naming `where` for kinds and shapes that are not known.
Surroundings read_post_processor(const Json& description, std::string_view where);

}  // namespace fettle
