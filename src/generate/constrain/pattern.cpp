#include "generate/constrain/pattern.h"

#include <algorithm>

#include "base/error.h"
#include "generate/constrain/pattern_parser.h"

namespace fettle {
namespace {

using Kind = PatternNode::Kind;

/// Adds `node` to the graph behind `from`; the state behind it.
int32_t add(CharacterGraph& graph, const PatternNode& node, int32_t from) {
  switch (node.kind) {
    case Kind::set: {
      const int32_t to = graph.add_state();
      graph.add_edge(from, node.set, to);
      return to;
    }
    case Kind::sequence:
      for (const PatternNode& part : node.parts) from = add(graph, part, from);
      return from;
    case Kind::choice: {
      const int32_t to = graph.add_state();
      for (const PatternNode& part : node.parts) {
        const int32_t own = graph.add_state();
        graph.add_jump(from, own);
        graph.add_jump(add(graph, part, own), to);
      }
      return to;
    }
    case Kind::repeat: {
      const int64_t written = node.most < 0 ? node.least : node.most;
      const int32_t end = graph.add_state();
      for (int64_t i = 0; i < written; ++i) {
        if (i >= node.least) graph.add_jump(from, end);
        from = add(graph, node.parts[0], from);
      }
      if (node.most < 0) {
        const int32_t loop = graph.add_state();
        graph.add_jump(from, loop);
        graph.add_jump(add(graph, node.parts[0], loop), loop);
        from = loop;
      }
      graph.add_jump(from, end);
      return end;
    }
    case Kind::begin:
    case Kind::end: {
      const int32_t to = graph.add_state();
      graph.add_jump(from, to,
                     node.kind == Kind::begin ? CharacterGraph::Place::begin : CharacterGraph::Place::end);
      return to;
    }
    case Kind::ahead:
      break;
  }
  throw Error("a look-ahead inside a group is not supported");
}

bool has_ahead(const PatternNode& node) {
  return node.kind == Kind::ahead || std::ranges::any_of(node.parts, has_ahead);
}
bool has_begin(const PatternNode& node) {
  return node.kind == Kind::begin || std::ranges::any_of(node.parts, has_begin);
}

/// Anything may stand before, behind.
void add_any(CharacterGraph& graph, int32_t state) {
  graph.add_edge(state, any_character(), state);
}

CharacterAutomaton automaton_of(const PatternNode& node, bool open_begin, bool open_end) {
  CharacterGraph graph;
  const int32_t start = graph.add_state();
  if (open_begin) add_any(graph, start);
  const int32_t end = add(graph, node, start);
  if (open_end) add_any(graph, end);
  return graph.determined(start, end);
}

/// A sequence with look-ahead: from the last part to the first, each look-ahead cuts what may follow it.
CharacterAutomaton looking_ahead(const PatternNode& node, bool whole) {
  std::vector<PatternNode> parts = node.kind == Kind::sequence ? node.parts : std::vector{node};
  const bool at_begin = whole || parts.front().kind == Kind::begin;
  if (parts.front().kind == Kind::begin) parts.erase(parts.begin());
  if (std::ranges::any_of(parts, has_begin))
    throw Error("a pattern with a look-ahead may have ^ at its begin alone");
  CharacterAutomaton rest = any_text();
  if (whole) rest.states[0].edges.clear();
  for (size_t i = parts.size(); i-- > 0;) {
    if (parts[i].kind == Kind::ahead) {
      const CharacterAutomaton follows = automaton_of(parts[i].parts[0], false, true);
      rest = intersection(rest, parts[i].positive ? follows : complement(follows));
      continue;
    }
    CharacterGraph graph;
    const int32_t start = graph.add_state(), end = graph.add_state();
    graph.add_automaton(add(graph, parts[i], start), rest, end);
    rest = graph.determined(start, end);
  }
  if (at_begin) return rest;
  CharacterGraph graph;
  const int32_t start = graph.add_state(), end = graph.add_state();
  add_any(graph, start);
  graph.add_automaton(start, rest, end);
  return graph.determined(start, end);
}

CharacterAutomaton compiled(std::string_view pattern, bool whole) {
  const PatternNode node = parse_pattern(pattern);
  if (!has_ahead(node)) return automaton_of(node, !whole, !whole);
  if (node.kind != Kind::choice) return looking_ahead(node, whole);
  CharacterGraph graph;
  const int32_t start = graph.add_state(), end = graph.add_state();
  for (const PatternNode& part : node.parts) {
    graph.add_automaton(
        start, has_ahead(part) ? looking_ahead(part, whole) : automaton_of(part, !whole, !whole), end);
  }
  return graph.determined(start, end);
}

}  // namespace

CharacterAutomaton pattern_automaton(std::string_view pattern) {
  return compiled(pattern, false);
}

CharacterAutomaton whole_pattern_automaton(std::string_view pattern) {
  return compiled(pattern, true);
}

}  // namespace fettle
