#pragma once
// A context-free grammar over bytes, walked by an automaton whose states are made when they are first
// reached.
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "generate/constrain/text_terminal.h"

namespace fettle {

/// Rules are numbered; the first one made is where a text begins. No rule may reach itself before a byte was
/// read (left recursion).
class Grammar {
 public:
  /// A byte in [low, high], or what another rule gives, or a string of a terminal.
  struct Symbol {
    uint8_t low = 0, high = 0;
    int32_t rule = -1;
    int32_t terminal = -1;
  };
  using Sequence = std::vector<Symbol>;

  static Symbol byte(uint8_t low, uint8_t high) { return {low, high, -1, -1}; }
  static Symbol reference(int32_t rule) { return {0, 0, rule, -1}; }
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
  Symbol add_terminal(TextTerminal terminal);
  TextTerminal& terminal(int32_t number) const { return *terminals_[static_cast<size_t>(number)]; }
  const std::vector<std::vector<Sequence>>& rules() const { return rules_; }

  /// Whether each rule gives a text that ends.
  std::vector<bool> ending_rules() const;
  /// A rule with the start's alternatives, which has none from then on: what is added to it stands around them.
  int32_t move_start() {
    rules_.push_back(std::move(rules_.front()));
    rules_.front().clear();
    return static_cast<int32_t>(rules_.size()) - 1;
  }
  /// Leaves out the alternatives that give none, so that no text runs into them.
  void remove_endless();

 private:
  bool ends(const Sequence& sequence, const std::vector<bool>& rules) const;

  std::vector<std::vector<Sequence>> rules_;
  std::vector<std::shared_ptr<TextTerminal>> terminals_;
};

/// For one thread.
class GrammarAutomaton {
 public:
  static constexpr int32_t dead = -1;

  explicit GrammarAutomaton(Grammar grammar);
  int32_t start() const { return start_; }
  /// The state after one more byte; `dead` when it fits nowhere. Throws Error when the text could be read in
  /// so many ways, or has so many states, that neither time nor memory should be spent on it.
  int32_t next(int32_t state, uint8_t byte);
  /// Whether the text may end here.
  bool accepts(int32_t state) const { return states_[static_cast<size_t>(state)].accepts; }
  /// What is asked from here on counts as one: what may follow one place of a text.
  void begin_place() { work_at_once_ = 0; }
  size_t states() const { return states_.size(); }
  const Grammar& grammar() const { return grammar_; }

 private:
  /// A place in an alternative and where to go on behind it; -1: the end of the text. `inner`: the terminal's
  /// state where one is being read, else -1.
  struct Frame {
    const Grammar::Sequence* sequence;
    int32_t position;
    int32_t parent;
    int64_t inner;
    auto operator<=>(const Frame&) const = default;
  };
  struct FrameHash {
    size_t operator()(const Frame& frame) const;
  };
  struct State {
    std::vector<int32_t> frames;  ///< each at a byte or inside a terminal
    bool accepts;
    std::array<int32_t, 256> next;
    /// Of a state with many frames, when first asked for: those at one certain byte, sorted by it. The others stand behind.
    std::vector<int32_t> by_byte;
  };
  /// Adds where a frame leads with this byte, if anywhere.
  void step(int32_t number, uint8_t byte, std::vector<Frame>& after);
  void sort_frames(State& state);
  /// The one byte that a frame waits for; 256 when there are more.
  int byte_of(int32_t number) const;
  int32_t intern(const Frame& frame);
  int32_t intern(std::vector<int32_t> frames, bool accepts);
  /// Follows references and ends from `waiting` until bytes stand at the top, and makes a state of them.
  int32_t settle(std::vector<Frame> waiting);
  void count_work(size_t steps);

  Grammar grammar_;
  std::vector<Frame> frames_;
  std::unordered_map<Frame, int32_t, FrameHash> frame_numbers_;
  std::vector<uint32_t> seen_;  ///< per frame: the last call of settle() that met it
  uint32_t settled_ = 0;
  size_t work_ = 0, work_at_once_ = 0;
  std::vector<State> states_;
  std::map<std::pair<std::vector<int32_t>, bool>, int32_t> state_numbers_;
  int32_t start_ = dead;
};

}  // namespace fettle
