#include "checkpoint/peft_names.h"

#include <algorithm>

namespace fettle {
namespace {

using Segments = std::vector<std::string>;

Segments split(std::string_view name) {
  Segments segments;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    segments.emplace_back(name.substr(at, end - at));
    at = end + 1;
  }
  return segments;
}

std::string join(Segments::const_iterator begin, Segments::const_iterator end) {
  std::string name;
  for (auto at = begin; at != end; ++at) name += (name.empty() ? "" : ".") + *at;
  return name;
}

struct Marker {
  std::string_view name;
  PeftPart part;
};
constexpr Marker markers[] = {{"lora_A", PeftPart::a},
                              {"lora_B", PeftPart::b},
                              {"lora_embedding_A", PeftPart::embedding_a},
                              {"lora_embedding_B", PeftPart::embedding_b},
                              {"lora_magnitude_vector", PeftPart::magnitude},
                              {"trainable_tokens_delta", PeftPart::rows}};

/// What follows the marker: perhaps the adapter's name, then for modules "weight" or "bias".
bool read_tail(const Segments& segments, size_t marker, PeftPart& part) {
  const size_t after = segments.size() - marker - 1;
  const bool module = part == PeftPart::a || part == PeftPart::b;
  if (!module) return after <= (part == PeftPart::magnitude ? 2U : 1U);
  if (after < 1 || after > 2) return false;
  if (part == PeftPart::b && segments.back() == "bias") {
    part = PeftPart::bias;
    return true;
  }
  return segments.back() == "weight";
}

}  // namespace

PeftName parse_peft_name(std::string_view name) {
  constexpr std::string_view prefix = "base_model.model.";
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  Segments segments = split(name);
  std::erase_if(segments, [](const std::string& segment) {
    return segment == "_orig_mod" || segment == "base_layer" || segment == "token_adapter";
  });
  const auto has = [&](std::string_view segment) {
    return std::find(segments.begin(), segments.end(), segment) != segments.end();
  };
  if (has("original_module") || has("trainable_tokens_original")) return {PeftPart::unused, {}};
  for (size_t i = 0; i < segments.size(); ++i) {
    for (const Marker& marker : markers) {
      PeftPart part = marker.part;
      if (segments[i] != marker.name || !read_tail(segments, i, part)) continue;
      return {part, {join(segments.begin(), segments.begin() + static_cast<std::ptrdiff_t>(i))}};
    }
  }
  const auto saved = std::find(segments.begin(), segments.end(), "modules_to_save");
  if (saved == segments.end()) return {PeftPart::whole, {join(segments.begin(), segments.end())}};
  // The adapter's name may follow, and a module's own parts.
  Segments without(segments.begin(), saved), named = without;
  without.insert(without.end(), saved + 1, segments.end());
  if (saved + 1 != segments.end()) named.insert(named.end(), saved + 2, segments.end());
  return {PeftPart::whole, {join(named.begin(), named.end()), join(without.begin(), without.end())}};
}

}  // namespace fettle
