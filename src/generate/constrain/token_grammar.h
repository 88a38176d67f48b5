#pragma once
// A grammar over bytes as a constraint over a tokenizer's tokens.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generate/constrain/grammar.h"
#include "generate/sampler.h"
#include "text/tokenizer.h"

namespace fettle {

/// Tokens in the order of their bytes, and how much each shares with the one before. Immutable.
struct SortedTokens {
  struct Entry {
    std::string bytes;
    int32_t token;
    uint32_t shared;
  };
  std::vector<Entry> entries;     ///< special tokens and tokens without bytes are left out
  std::vector<int32_t> entry_of;  ///< by token; -1: left out
  explicit SortedTokens(const Tokenizer& tokenizer);
};

/// Makes constraints, and keeps the automata of the last grammars for requests that ask for the same again.
/// make() is thread-safe; the constraints belong to the engine's thread.
class TokenGrammars {
 public:
  TokenGrammars(const Tokenizer& tokenizer, int32_t vocabulary, std::vector<int32_t> eos);
  ~TokenGrammars();
  /// key: what the grammar was made from; `make_grammar` is called when it is new.
  std::shared_ptr<const TokenConstraint> make(const std::string& key,
                                              const std::function<Grammar()>& make_grammar);

 private:
  struct Compiled;
  class Constraint;
  static constexpr size_t kept = 16;

  std::shared_ptr<const SortedTokens> tokens_;
  int32_t vocabulary_;
  std::vector<int32_t> eos_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<Compiled>>> recent_;  ///< the newest last
};

}  // namespace fettle
