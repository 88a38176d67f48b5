#pragma once
// Deterministic automata over Unicode characters: the strings that a pattern, a format or a range of numbers
// lets through. Values; every function is thread-safe.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle {

/// Characters from `low` to `high`; no surrogates.
struct CharacterRange {
  char32_t low, high;
  auto operator<=>(const CharacterRange&) const = default;
};
/// Sorted and disjoint.
using CharacterSet = std::vector<CharacterRange>;

const CharacterSet& any_character();
/// Any ranges, in any order, as a CharacterSet.
CharacterSet united(std::vector<CharacterRange> ranges);
CharacterSet complement(const CharacterSet& set);

struct CharacterAutomaton {
  struct Edge {
    char32_t low, high;
    int32_t to;
    auto operator<=>(const Edge&) const = default;
  };
  struct State {
    bool accepts = false;
    std::vector<Edge> edges;  ///< sorted, disjoint
  };
  std::vector<State> states;  ///< the first is the start; none: no string fits

  bool empty() const { return states.empty(); }
  /// text: valid UTF-8.
  bool matches(std::string_view text) const;
};

/// All strings; these (valid UTF-8); those that hold `text` somewhere.
CharacterAutomaton any_text();
CharacterAutomaton texts_automaton(const std::vector<std::string>& texts);
CharacterAutomaton containing(std::string_view text);
/// Strings of both. Throws Error when that needs too many states. The results of these two hold only states
/// from which a string can still end.
CharacterAutomaton intersection(const CharacterAutomaton& a, const CharacterAutomaton& b);
CharacterAutomaton complement(const CharacterAutomaton& automaton);

/// A nondeterministic automaton in the making. `begin` edges pass before the first character alone, `end`
/// edges behind the last.
class CharacterGraph {
 public:
  enum class Place : uint8_t { anywhere, begin, end };

  /// Throws Error when there are too many.
  int32_t add_state();
  void add_edge(int32_t from, CharacterSet set, int32_t to);
  void add_jump(int32_t from, int32_t to, Place place = Place::anywhere);
  /// The state behind `text`.
  int32_t add_text(int32_t from, std::string_view text);
  /// The strings of `automaton` between the two states.
  void add_automaton(int32_t from, const CharacterAutomaton& automaton, int32_t to);
  /// The strings between the two states. Throws Error when that needs too many states.
  CharacterAutomaton determined(int32_t start, int32_t end) const;

 private:
  struct State {
    std::vector<std::pair<CharacterSet, int32_t>> edges;
    std::vector<std::pair<Place, int32_t>> jumps;
  };
  /// Sorted; 2 * state, plus 1 where the text must have ended.
  using Places = std::vector<int32_t>;
  Places closed(std::vector<int32_t> places, bool at_begin) const;

  std::vector<State> states_;
};

}  // namespace fettle
