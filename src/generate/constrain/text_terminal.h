#pragma once
// A character automaton, with bounds on the length, as an automaton over bytes. Its states are made when they
// are first reached: a bound of thousands costs nothing until a text comes near it.
#include <cstdint>
#include <map>
#include <vector>

#include "generate/constrain/character_automaton.h"

namespace fettle {

/// For one thread.
class TextTerminal {
 public:
  /// How characters are written: as they are in UTF-8, or as JSON writes them inside quotes (a character that
  /// must be escaped in its shortest escape; where any character may stand, every escape of JSON).
  enum class Form : uint8_t { plain, json };
  static constexpr int64_t dead = -1;

  /// least, most: characters; most -1: no bound. Throws Error when the automaton is too large for the bounds.
  TextTerminal(CharacterAutomaton automaton, Form form, int64_t least = 0, int64_t most = -1);

  bool empty() const { return start_ == dead; }  ///< no string fits
  int64_t start() const { return start_; }
  int64_t next(int64_t state, uint8_t byte);
  bool accepts(int64_t state) const;

 private:
  /// Bytes of one character, one range each.
  struct Path {
    std::vector<std::pair<uint8_t, uint8_t>> bytes;
    int32_t to;  ///< state of the automaton
    auto operator<=>(const Path&) const = default;
  };
  using Paths = std::vector<Path>;
  struct Node {
    Paths paths;         ///< inside a character: what may follow
    int32_t state = -1;  ///< between two characters: of the automaton
    bool made = false;
    struct Edge {
      uint8_t low, high;
      int32_t to;
    };
    std::vector<Edge> edges;
  };

  static void add_paths(Paths& paths, const CharacterAutomaton::State& state, Form form);
  void make_edges(int32_t node);
  int32_t node_of(Paths paths);
  int64_t packed(int32_t node, int64_t length) const { return length << 32 | node; }
  /// A string of the right length still ends from here.
  bool possible(int32_t state, int64_t length) const;
  void find_lengths();

  CharacterAutomaton automaton_;
  Form form_;
  int64_t least_, most_;
  bool counts_;
  std::vector<Node> nodes_;         ///< the first ones are the automaton's states
  std::map<Paths, int32_t> inner_;  ///< nodes inside a character
  size_t width_ = 0;                ///< words of a state's row in `lengths_`
  std::vector<uint64_t> lengths_;   ///< bit k: from this state a string of k characters ends
  int64_t start_ = dead;
};

}  // namespace fettle
