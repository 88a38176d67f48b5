#pragma once
// Decoders as tokenizer.json describes them: token strings back to text.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace fettle {

/// Immutable; apply() is safe to call from many threads. (model/ has the class Decoder: two of one name would
/// share their destructor.)
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  /// Rewrites the list of token strings; joined, it is the text. Bytes of a cut character stay as they are.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// From the value of the key "decoder" (null: nullptr, which means tokens joined by spaces).
std::unique_ptr<TokenDecoder> make_decoder(const Json& description, std::string_view where);

/// The byte of a token like "<0x0A>", or -1.
int byte_of_token(std::string_view token);

}  // namespace fettle
