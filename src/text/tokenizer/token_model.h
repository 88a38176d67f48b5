#pragma once
// The middle stage of a tokenizer: one pre-tokenized word to ids.
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer/vocabulary.h"

namespace fettle {

/// Where ids go. `begins` is filled when tracked: the byte offset of each id in the normalized text.
struct TokenSink {
  std::vector<int32_t> ids;
  std::vector<uint32_t> begins;
  bool tracked = false;
  bool remember = false;  ///< a chat, of which parts come again
  void put(int32_t id, uint32_t begin) {
    ids.push_back(id);
    if (tracked) begins.push_back(begin);
  }
};

/// Immutable; encode() is safe to call from many threads.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// `word` is valid UTF-8 and starts at byte `begin` of the normalized text.
  virtual void encode(std::string_view word, uint32_t begin, TokenSink& sink) const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  explicit TokenModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  Vocabulary vocabulary_;
};

}  // namespace fettle
