#pragma once
// A grammar over bytes as a constraint over a tokenizer's tokens.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generate/constrain/grammar.h"
#include "generate/sampler.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

class OpenModel;

/// Tokens that end an answer of the model.
std::vector<int32_t> ends_of(OpenModel& model);

/// Tokens in the order of their bytes, and how much each shares with the one before. Immutable.
struct SortedTokens {
  struct Entry {
    std::string bytes;
    int32_t token;
    uint32_t shared;
  };
  std::vector<Entry> entries;     ///< without the tokens that have no bytes
  std::vector<int32_t> entry_of;  ///< by token; -1: left out
  /// written: special tokens that a grammar may spell (the marks of a tool call); others are left out.
  explicit SortedTokens(const Tokenizer& tokenizer, const std::vector<std::string>& written = {});
};

/// Makes constraints, and keeps the automata of the last grammars for requests that ask for the same again.
/// make() is thread-safe; the constraints belong to the engine's thread.
class TokenGrammars {
 public:
  /// eos: what ends an answer; `written` as in SortedTokens.
  TokenGrammars(const Tokenizer& tokenizer, int32_t vocabulary, std::vector<int32_t> eos,
                const std::vector<std::string>& written = {});
  ~TokenGrammars();
  /// key: what the grammar was made from; `make_grammar` is called when it is new, on this thread, and holds
  /// up nobody else. `name`: of what asked for it, for the Error that allow() throws when an answer goes beyond the grammar's
  /// bounds.
  std::shared_ptr<const TokenConstraint> make(const std::string& key, const std::function<Grammar()>& make_grammar,
                                              std::string name = {});

 private:
  struct Compiled;
  class Constraint;
  friend bool went_beyond_bounds(const TokenConstraint& constraint);
  static constexpr size_t kept = 16;
  std::shared_ptr<Compiled> recall(const std::string& key);

  std::shared_ptr<const SortedTokens> tokens_;
  int32_t vocabulary_;
  std::vector<int32_t> eos_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<Compiled>>> recent_;  ///< the newest last
};

/// Whether an answer under `constraint`, or under a clone of it, was more than may be spent on one: then it is the request that
/// must change. Thread-safe.
bool went_beyond_bounds(const TokenConstraint& constraint);

/// `inner` (may be null: any token), but none of `ends` among the first `least` tokens, unless nothing else
/// fits.
std::shared_ptr<const TokenConstraint> at_least_tokens(int64_t least, std::vector<int32_t> ends,
                                                       int32_t vocabulary,
                                                       const std::shared_ptr<const TokenConstraint>& inner);

}  // namespace fettle
