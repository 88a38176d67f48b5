#pragma once
// The names of tensors in a PEFT file.
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

enum class PeftPart { a, b, bias, embedding_a, embedding_b, magnitude, rows, whole, unused };

/// What a tensor is, and of which module of the base; `whole`: the base's own parameter (`module` is its name, with what
/// PEFT put between; several readings are tried in turn), `unused`: a copy of the base's that PEFT keeps for itself.
struct PeftName {
  PeftPart part = PeftPart::whole;
  std::vector<std::string> modules;  ///< one but for `whole`
};

/// base_model.model.X.lora_A.default.weight to X and its part; prefix and adapter's name may be missing.
PeftName parse_peft_name(std::string_view name);

}  // namespace fettle
