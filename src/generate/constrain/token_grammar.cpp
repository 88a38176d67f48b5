#include "generate/constrain/token_grammar.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>

#include "base/hash.h"
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

  /// The same grammar, of which nothing was read yet.
  std::shared_ptr<Compiled> fresh() const {
    return std::make_shared<Compiled>(automaton.grammar(), tokens, vocabulary, eos);
  }

  const std::vector<uint64_t>& allowed(int32_t state) {
    const auto known = masks.find(state);
    if (known != masks.end()) return known->second;
    if (masks.size() >= 2048) masks.clear();
    automaton.begin_place();
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
  std::atomic<bool> full = false;  ///< answers before have filled it up
};

class TokenGrammars::Constraint final : public TokenConstraint {
 public:
  Constraint(std::shared_ptr<Compiled> compiled, std::string name)
      : compiled_(std::move(compiled)), name_(std::move(name)), state_(compiled_->automaton.start()) {}

  void allow(TokenSet& allowed) override {
    if (!failure_.empty()) throw Error(failure_);
    if (state_ == GrammarAutomaton::dead) return;
    within_bounds([&] { std::ranges::copy(compiled_->allowed(state_), allowed.words().begin()); });
  }

  void accept(int32_t token) override {
    const SortedTokens& tokens = *compiled_->tokens;
    const bool known = token >= 0 && static_cast<size_t>(token) < tokens.entry_of.size();
    const int32_t entry = known ? tokens.entry_of[static_cast<size_t>(token)] : -1;
    if (entry < 0) return;  // an end-of-sequence token
    const std::string& bytes = tokens.entries[static_cast<size_t>(entry)].bytes;
    try {
      within_bounds([&] { read(bytes); });
    } catch (const Error& error) {
      failure_ = error.what();  // for the next allow(), which may throw
    }
    text_ += bytes;
  }

  std::unique_ptr<TokenConstraint> clone() const override { return std::make_unique<Constraint>(*this); }
  bool beyond() const { return *beyond_; }

 private:
  void read(std::string_view bytes) {
    for (const char c : bytes) {
      if (state_ == GrammarAutomaton::dead) return;
      compiled_->automaton.begin_place();
      state_ = compiled_->automaton.next(state_, static_cast<uint8_t>(c));
    }
  }

  /// An automaton that many answers share fills up in time: then this answer goes on with one of its own. Only an answer
  /// that is too much for that one fails.
  template <typename Step>
  void within_bounds(Step step) {
    try {
      if (!own_) return step();
    } catch (const Error&) {
      compiled_->full = true;
    }
    try {
      if (!own_) start_over();
      step();
    } catch (const Error& error) {
      *beyond_ = true;
      throw Error(fmt::format("{}{}{}", name_, name_.empty() ? "" : ": ", error.what()));
    }
  }
  void start_over() {
    compiled_ = compiled_->fresh();
    own_ = true;
    state_ = compiled_->automaton.start();
    read(text_);
  }

  std::shared_ptr<Compiled> compiled_;
  std::string name_;  ///< for errors
  std::shared_ptr<std::atomic<bool>> beyond_ = std::make_shared<std::atomic<bool>>(false);  ///< of all clones
  std::string text_;  ///< read so far
  std::string failure_;
  bool own_ = false;
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
  if (found->second->full) {
    recent_.erase(found);
    return nullptr;
  }
  std::rotate(found, found + 1, recent_.end());
  return recent_.back().second;
}

std::shared_ptr<const TokenConstraint> TokenGrammars::make(const std::string& key,
                                                           const std::function<Grammar()>& make_grammar, std::string name) {
  std::unique_lock lock(mutex_);
  const std::string digest = sha256_hex(key);
  std::shared_ptr<Compiled> compiled = recall(digest);
  if (compiled == nullptr) {
    lock.unlock();
    compiled = std::make_shared<Compiled>(make_grammar(), tokens_, vocabulary_, eos_);
    // What an answer may begin with is found here, so that the engine's thread need not.
    if (compiled->automaton.start() != GrammarAutomaton::dead) compiled->allowed(compiled->automaton.start());
    lock.lock();
    recent_.emplace_back(digest, compiled);
    if (recent_.size() > kept) recent_.erase(recent_.begin());
  }
  return std::make_shared<Constraint>(std::move(compiled), std::move(name));
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
  const TokenConstraint* inner() const { return inner_.get(); }
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

bool went_beyond_bounds(const TokenConstraint& constraint) {
  if (const auto* outer = dynamic_cast<const AtLeastTokens*>(&constraint))
    return outer->inner() != nullptr && went_beyond_bounds(*outer->inner());
  const auto* own = dynamic_cast<const TokenGrammars::Constraint*>(&constraint);
  return own != nullptr && own->beyond();
}

}  // namespace fettle
