#include "generate/constrain/token_grammar.h"

#include <algorithm>
#include <unordered_map>

namespace fettle {

SortedTokens::SortedTokens(const Tokenizer& tokenizer) {
  for (int32_t token = 0; token < tokenizer.size(); ++token) {
    if (tokenizer.is_special(token)) continue;
    std::string bytes = tokenizer.bytes(token);
    if (!bytes.empty()) entries.push_back({std::move(bytes), token, 0});
  }
  std::ranges::sort(entries, {}, &Entry::bytes);
  for (size_t i = 1; i < entries.size(); ++i) {
    const std::string &before = entries[i - 1].bytes, &bytes = entries[i].bytes;
    const auto [a, b] = std::ranges::mismatch(before, bytes);
    entries[i].shared = static_cast<uint32_t>(b - bytes.begin());
  }
  entry_of.assign(static_cast<size_t>(tokenizer.size()), -1);
  for (size_t i = 0; i < entries.size(); ++i)
    entry_of[static_cast<size_t>(entries[i].token)] = static_cast<int32_t>(i);
}

/// A grammar's automaton with the tokens that each state allows, found when first asked for.
struct TokenGrammars::Compiled {
  Compiled(Grammar grammar, std::shared_ptr<const SortedTokens> tokens, int32_t vocabulary,
           std::vector<int32_t> eos)
      : automaton(std::move(grammar)),
        tokens(std::move(tokens)),
        vocabulary(vocabulary),
        eos(std::move(eos)) {}

  const std::vector<uint64_t>& allowed(int32_t state) {
    const auto known = masks.find(state);
    if (known != masks.end()) return known->second;
    if (masks.size() >= 2048) masks.clear();
    TokenSet set(vocabulary);
    bool any = false;
    std::vector<int32_t> path{state};  // path[i]: the state behind i bytes of the current token
    for (const SortedTokens::Entry& entry : tokens->entries) {
      // The bytes that it shares with the token before need not be walked again, nor those that died there.
      if (path.size() > entry.shared + size_t{1}) path.resize(entry.shared + 1);
      while (path.size() <= entry.bytes.size() && path.back() != GrammarAutomaton::dead)
        path.push_back(automaton.next(path.back(), static_cast<uint8_t>(entry.bytes[path.size() - 1])));
      if (path.back() != GrammarAutomaton::dead && entry.token < vocabulary) {
        set.set(entry.token);
        any = true;
      }
    }
    // Where nothing can follow, an empty set ends the answer.
    if (any && automaton.accepts(state)) {
      for (const int32_t token : eos) set.set(token);
    }
    const auto words = set.words();
    return masks.emplace(state, std::vector<uint64_t>(words.begin(), words.end())).first->second;
  }

  GrammarAutomaton automaton;
  std::shared_ptr<const SortedTokens> tokens;
  int32_t vocabulary;
  std::vector<int32_t> eos;
  std::unordered_map<int32_t, std::vector<uint64_t>> masks;
};

class TokenGrammars::Constraint final : public TokenConstraint {
 public:
  explicit Constraint(std::shared_ptr<Compiled> compiled)
      : compiled_(std::move(compiled)), state_(compiled_->automaton.start()) {}

  void allow(TokenSet& allowed) override {
    if (state_ == GrammarAutomaton::dead) return;
    std::ranges::copy(compiled_->allowed(state_), allowed.words().begin());
  }

  void accept(int32_t token) override {
    const SortedTokens& tokens = *compiled_->tokens;
    const bool known = token >= 0 && static_cast<size_t>(token) < tokens.entry_of.size();
    const int32_t entry = known ? tokens.entry_of[static_cast<size_t>(token)] : -1;
    if (entry < 0) return;  // an end-of-sequence token
    for (const char c : tokens.entries[static_cast<size_t>(entry)].bytes) {
      if (state_ != GrammarAutomaton::dead)
        state_ = compiled_->automaton.next(state_, static_cast<uint8_t>(c));
    }
  }

  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Constraint>(*this); }

 private:
  std::shared_ptr<Compiled> compiled_;
  int32_t state_;
};

TokenGrammars::TokenGrammars(const Tokenizer& tokenizer, int32_t vocabulary, std::vector<int32_t> eos)
    : tokens_(std::make_shared<SortedTokens>(tokenizer)), vocabulary_(vocabulary), eos_(std::move(eos)) {
  std::erase_if(eos_, [&](int32_t token) { return token < 0 || token >= vocabulary; });
}

TokenGrammars::~TokenGrammars() = default;

std::shared_ptr<const TokenConstraint> TokenGrammars::make(const std::string& key,
                                                           const std::function<Grammar()>& make_grammar) {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(recent_, key, &decltype(recent_)::value_type::first);
  if (found != recent_.end()) {
    std::rotate(found, found + 1, recent_.end());
  } else {
    recent_.emplace_back(key, std::make_shared<Compiled>(make_grammar(), tokens_, vocabulary_, eos_));
    if (recent_.size() > kept) recent_.erase(recent_.begin());
  }
  return std::make_shared<Constraint>(recent_.back().second);
}

}  // namespace fettle
