#pragma once
// A context-free grammar over bytes, walked by an automaton whose states are made when they are first
// reached.
#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fettle {

/// Rules are numbered; the first one made is where a text begins. No rule may reach itself before a byte was
/// read (left recursion).
class Grammar {
 public:
  /// A byte in [low, high], or what another rule gives.
  struct Symbol {
    uint8_t low = 0, high = 0;
    int32_t rule = -1;
  };
  using Sequence = std::vector<Symbol>;

  static Symbol byte(uint8_t low, uint8_t high) { return {low, high, -1}; }
  static Symbol reference(int32_t rule) { return {0, 0, rule}; }
  static Sequence literal(std::string_view text);

  int32_t add_rule() {
    rules_.emplace_back();
    return static_cast<int32_t>(rules_.size()) - 1;
  }
  int32_t add_rule(std::vector<Sequence> alternatives) {
    rules_.push_back(std::move(alternatives));
    return static_cast<int32_t>(rules_.size()) - 1;
  }
  void add_alternative(int32_t rule, Sequence sequence) {
    rules_[static_cast<size_t>(rule)].push_back(std::move(sequence));
  }
  const std::vector<std::vector<Sequence>>& rules() const { return rules_; }

 private:
  std::vector<std::vector<Sequence>> rules_;
};

/// For one thread.
class GrammarAutomaton {
 public:
  static constexpr int32_t dead = -1;

  explicit GrammarAutomaton(Grammar grammar);
  int32_t start() const { return start_; }
  /// The state after one more byte; `dead` when it fits nowhere. Throws Error when the text's nesting makes
  /// more states than memory should hold.
  int32_t next(int32_t state, uint8_t byte);
  /// Whether the text may end here.
  bool accepts(int32_t state) const { return states_[static_cast<size_t>(state)].accepts; }
  size_t states() const { return states_.size(); }

 private:
  /// A place in an alternative and where to go on behind it; -1: the end of the text.
  struct Frame {
    const Grammar::Sequence* sequence;
    int32_t position;
    int32_t parent;
    auto operator<=>(const Frame&) const = default;
  };
  struct State {
    std::vector<int32_t> frames;  ///< each at a byte
    bool accepts;
    std::array<int32_t, 256> next;
  };
  int32_t intern(const Frame& frame);
  void expand(const Frame& frame, std::vector<int32_t>& frames, bool& accepts, int depth);
  int32_t intern(std::vector<int32_t> frames, bool accepts);

  Grammar grammar_;
  std::vector<Frame> frames_;
  std::map<Frame, int32_t> frame_numbers_;
  std::vector<State> states_;
  std::map<std::pair<std::vector<int32_t>, bool>, int32_t> state_numbers_;
  int32_t start_ = dead;
};

}  // namespace fettle
