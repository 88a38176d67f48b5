#include "generate/constrain/token_grammar.h"

#include <algorithm>
#include <unordered_map>

#include "generate/open_model.h"

namespace fettle {

std::vector<int32_t> ends_of(OpenModel& model) {
  std::vector<int32_t> ends = model.eos();
  const ModelConfig& config = model.decoder().config();
  ends.insert(ends.end(), config.eos.begin(), config.eos.end());
  ends.push_back(model.tokenizer()->eos());
  return ends;
}

SortedTokens::SortedTokens(const Tokenizer& tokenizer, const std::vector<std::string>& written) {
  for (int32_t token = 0; token < tokenizer.size(); ++token) {
    const bool special = tokenizer.is_special(token);
    std::string bytes = special ? tokenizer.token(token) : tokenizer.bytes(token);
    if (special && std::ranges::find(written, bytes) == written.end()) continue;
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

TokenGrammars::TokenGrammars(const Tokenizer& tokenizer, int32_t vocabulary, std::vector<int32_t> eos,
                             const std::vector<std::string>& written)
    : tokens_(std::make_shared<SortedTokens>(tokenizer, written)),
      vocabulary_(vocabulary),
      eos_(std::move(eos)) {
  std::erase_if(eos_, [&](int32_t token) { return token < 0 || token >= vocabulary; });
}

TokenGrammars::~TokenGrammars() = default;

std::shared_ptr<TokenGrammars::Compiled> TokenGrammars::recall(const std::string& key) {
  const auto found = std::ranges::find(recent_, key, &decltype(recent_)::value_type::first);
  if (found == recent_.end()) return nullptr;
  std::rotate(found, found + 1, recent_.end());
  return recent_.back().second;
}

std::shared_ptr<const TokenConstraint> TokenGrammars::make(const std::string& key,
                                                           const std::function<Grammar()>& make_grammar) {
  std::unique_lock lock(mutex_);
  std::shared_ptr<Compiled> compiled = recall(key);
  if (compiled == nullptr) {
    lock.unlock();
    compiled = std::make_shared<Compiled>(make_grammar(), tokens_, vocabulary_, eos_);
    lock.lock();
    recent_.emplace_back(key, compiled);
    if (recent_.size() > kept) recent_.erase(recent_.begin());
  }
  return std::make_shared<Constraint>(std::move(compiled));
}

namespace {

class AtLeastTokens final : public TokenConstraint {
 public:
  AtLeastTokens(int64_t least, std::shared_ptr<const std::vector<int32_t>> ends, int32_t vocabulary,
                std::unique_ptr<TokenConstraint> inner)
      : left_(least), ends_(std::move(ends)), vocabulary_(vocabulary), inner_(std::move(inner)) {}

  void allow(TokenSet& allowed) override {
    if (inner_ != nullptr) {
      inner_->allow(allowed);
    } else {
      for (int32_t token = 0; token < vocabulary_; ++token) allowed.set(token);
    }
    if (left_ <= 0) return;
    TokenSet others = allowed;
    for (const int32_t token : *ends_)
      others.words()[static_cast<size_t>(token) / 64] &= ~(uint64_t{1} << (token % 64));
    if (std::ranges::any_of(others.words(), [](uint64_t word) { return word != 0; })) allowed = others;
  }
  void accept(int32_t token) override {
    --left_;
    if (inner_ != nullptr) inner_->accept(token);
  }
  std::unique_ptr<TokenConstraint> clone() const override {
    return std::make_unique<AtLeastTokens>(left_, ends_, vocabulary_,
                                           inner_ == nullptr ? nullptr : inner_->clone());
  }

 private:
  int64_t left_;
  std::shared_ptr<const std::vector<int32_t>> ends_;
  int32_t vocabulary_;
  std::unique_ptr<TokenConstraint> inner_;
};

}  // namespace

std::shared_ptr<const TokenConstraint> at_least_tokens(int64_t least, std::vector<int32_t> ends,
                                                       int32_t vocabulary,
                                                       const std::shared_ptr<const TokenConstraint>& inner) {
  std::erase_if(ends, [&](int32_t token) { return token < 0 || token >= vocabulary; });
  return std::make_shared<AtLeastTokens>(least, std::make_shared<const std::vector<int32_t>>(std::move(ends)),
                                         vocabulary, inner == nullptr ? nullptr : inner->clone());
}

}  // namespace fettle
