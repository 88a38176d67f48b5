#pragma once
// Normalizers as tokenizer.json describes them.
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "text/unicode/aligned_text.h"

namespace fettle {

/// Immutable; apply() is safe to call from many threads.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(AlignedText& text) const = 0;
};

/// From the value of the key "normalizer" (null: nullptr). Error naming `where` for kinds that are not known.
std::unique_ptr<Normalizer> make_normalizer(const Json& description, std::string_view where);

/// SentencePiece's precompiled character map ("Precompiled"): `bytes` as in the .model, not base64.
std::unique_ptr<Normalizer> make_precompiled(std::string_view bytes, std::string_view where);

}  // namespace fettle
