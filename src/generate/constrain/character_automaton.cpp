#include "generate/constrain/character_automaton.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "generate/constrain/grammar_work.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

constexpr size_t most_states = 20000, most_graph_states = 100000, most_work = 4000000;
constexpr char32_t last_character = 0x10ffff;

[[noreturn]] void too_large() {
  throw Error(fmt::format("needs more than {} states; make it simpler or its bounds smaller", most_states));
}

/// Joins neighbours that lead to the same state.
void join_edge(std::vector<CharacterAutomaton::Edge>& edges, CharacterAutomaton::Edge edge) {
  if (!edges.empty() && edges.back().to == edge.to && edges.back().high + 1 == edge.low)
    edges.back().high = edge.high;
  else
    edges.push_back(edge);
}

/// Leaves the states out from which no string ends.
CharacterAutomaton pruned(const CharacterAutomaton& automaton) {
  const auto& states = automaton.states;
  std::vector<std::vector<int32_t>> before(states.size());
  std::vector<int32_t> waiting;
  std::vector<bool> alive(states.size());
  for (size_t i = 0; i < states.size(); ++i) {
    for (const auto& edge : states[i].edges)
      before[static_cast<size_t>(edge.to)].push_back(static_cast<int32_t>(i));
    if (states[i].accepts) waiting.push_back(static_cast<int32_t>(i));
  }
  while (!waiting.empty()) {
    const auto state = static_cast<size_t>(waiting.back());
    waiting.pop_back();
    if (alive[state]) continue;
    alive[state] = true;
    waiting.insert(waiting.end(), before[state].begin(), before[state].end());
  }
  CharacterAutomaton out;
  if (states.empty() || !alive[0]) return out;
  std::vector<int32_t> number(states.size(), -1);
  int32_t kept = 0;
  for (size_t i = 0; i < states.size(); ++i) {
    if (alive[i]) number[i] = kept++;
  }
  for (size_t i = 0; i < states.size(); ++i) {
    if (!alive[i]) continue;
    auto& state = out.states.emplace_back();
    state.accepts = states[i].accepts;
    for (auto edge : states[i].edges) {
      edge.to = number[static_cast<size_t>(edge.to)];
      if (edge.to >= 0) join_edge(state.edges, edge);
    }
  }
  return out;
}

}  // namespace

const CharacterSet& any_character() {
  static const CharacterSet all{{0, 0xd7ff}, {0xe000, last_character}};
  return all;
}

CharacterSet united(std::vector<CharacterRange> ranges) {
  std::ranges::sort(ranges);
  CharacterSet set;
  for (const CharacterRange& range : ranges) {
    if (!set.empty() && range.low <= set.back().high + 1)
      set.back().high = std::max(set.back().high, range.high);
    else
      set.push_back(range);
  }
  return set;
}

CharacterSet complement(const CharacterSet& set) {
  CharacterSet out;
  for (const CharacterRange& all : any_character()) {
    char32_t from = all.low;
    for (const CharacterRange& range : set) {
      if (range.high < from) continue;
      if (range.low > all.high) break;
      if (range.low > from) out.push_back({from, range.low - 1});
      from = range.high + 1;
    }
    if (from <= all.high) out.push_back({from, all.high});
  }
  return out;
}

bool CharacterAutomaton::matches(std::string_view text) const {
  if (empty()) return false;
  GrammarWork::spend(text.size());
  size_t state = 0;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = unicode::next(text, at);
    const auto found = std::ranges::find_if(
        states[state].edges, [&](const Edge& edge) { return edge.low <= c && c <= edge.high; });
    if (found == states[state].edges.end()) return false;
    state = static_cast<size_t>(found->to);
  }
  return states[state].accepts;
}

CharacterAutomaton any_text() {
  CharacterAutomaton all;
  all.states.push_back({true, {}});
  for (const CharacterRange& range : any_character())
    all.states[0].edges.push_back({range.low, range.high, 0});
  return all;
}

CharacterAutomaton texts_automaton(const std::vector<std::string>& texts) {
  CharacterGraph graph;
  const int32_t start = graph.add_state(), end = graph.add_state();
  for (const std::string& text : texts) graph.add_jump(graph.add_text(start, text), end);
  return graph.determined(start, end);
}

CharacterAutomaton containing(std::string_view text) {
  CharacterGraph graph;
  const int32_t start = graph.add_state();
  graph.add_edge(start, any_character(), start);
  const int32_t end = graph.add_text(start, text);
  graph.add_edge(end, any_character(), end);
  return graph.determined(start, end);
}

CharacterAutomaton intersection(const CharacterAutomaton& a, const CharacterAutomaton& b) {
  CharacterAutomaton out;
  if (a.empty() || b.empty()) return out;
  std::map<std::pair<int32_t, int32_t>, int32_t> numbers{{{0, 0}, 0}};
  std::vector<std::pair<int32_t, int32_t>> pairs{{0, 0}};
  size_t work = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& x = a.states[static_cast<size_t>(pairs[i].first)];
    const auto& y = b.states[static_cast<size_t>(pairs[i].second)];
    GrammarWork::spend(8 + x.edges.size() + y.edges.size());
    out.states.push_back({x.accepts && y.accepts, {}});
    auto p = x.edges.begin();
    auto q = y.edges.begin();
    while (p != x.edges.end() && q != y.edges.end()) {
      if (++work > most_work) too_large();
      const char32_t low = std::max(p->low, q->low), high = std::min(p->high, q->high);
      if (low <= high) {
        const auto [at, fresh] = numbers.try_emplace({p->to, q->to}, static_cast<int32_t>(pairs.size()));
        if (fresh) pairs.push_back(at->first);
        if (pairs.size() > most_states) too_large();
        join_edge(out.states[i].edges, {low, high, at->second});
      }
      (p->high < q->high) ? ++p : ++q;
    }
  }
  return pruned(out);
}

CharacterAutomaton complement(const CharacterAutomaton& automaton) {
  if (automaton.empty()) return any_text();
  CharacterAutomaton out = automaton;
  const auto sink = static_cast<int32_t>(out.states.size());
  out.states.push_back({});
  for (auto& state : out.states) {
    GrammarWork::spend(8 + 2 * state.edges.size());
    state.accepts = !state.accepts;
    std::vector<CharacterRange> covered;
    for (const auto& edge : state.edges) covered.push_back({edge.low, edge.high});
    for (const CharacterRange& gap : complement(united(covered)))
      state.edges.push_back({gap.low, gap.high, sink});
    std::ranges::sort(state.edges);
  }
  return pruned(out);
}

int32_t CharacterGraph::add_state() {
  if (states_.size() >= most_graph_states) too_large();
  GrammarWork::spend(1);
  states_.emplace_back();
  return static_cast<int32_t>(states_.size()) - 1;
}

void CharacterGraph::add_edge(int32_t from, CharacterSet set, int32_t to) {
  states_[static_cast<size_t>(from)].edges.emplace_back(std::move(set), to);
}

void CharacterGraph::add_jump(int32_t from, int32_t to, Place place) {
  states_[static_cast<size_t>(from)].jumps.emplace_back(place, to);
}

void CharacterGraph::add_automaton(int32_t from, const CharacterAutomaton& automaton, int32_t to) {
  std::vector<int32_t> number;
  for (size_t i = 0; i < automaton.states.size(); ++i) number.push_back(add_state());
  for (size_t i = 0; i < automaton.states.size(); ++i) {
    for (const auto& edge : automaton.states[i].edges)
      add_edge(number[i], {{edge.low, edge.high}}, number[static_cast<size_t>(edge.to)]);
    if (automaton.states[i].accepts) add_jump(number[i], to);
  }
  if (!automaton.empty()) add_jump(from, number[0]);
}

int32_t CharacterGraph::add_text(int32_t from, std::string_view text) {
  int32_t at = add_state();
  add_jump(from, at);
  for (size_t i = 0; i < text.size();) {
    const char32_t c = unicode::next(text, i);
    const int32_t to = add_state();
    add_edge(at, {{c, c}}, to);
    at = to;
  }
  return at;
}

CharacterGraph::Places CharacterGraph::closed(std::vector<int32_t> places, bool at_begin) const {
  std::set<int32_t> seen(places.begin(), places.end());
  while (!places.empty()) {
    const int32_t place = places.back();
    places.pop_back();
    for (const auto& [kind, to] : states_[static_cast<size_t>(place / 2)].jumps) {
      if (kind == Place::begin && !at_begin) continue;
      const int32_t next = 2 * to + (kind == Place::end ? 1 : place % 2);
      if (seen.insert(next).second) places.push_back(next);
    }
  }
  return {seen.begin(), seen.end()};
}

CharacterAutomaton CharacterGraph::determined(int32_t start, int32_t end) const {
  CharacterAutomaton out;
  std::map<Places, int32_t> numbers;
  std::vector<Places> sets;
  const auto number_of = [&](Places places) {
    const auto [at, fresh] = numbers.try_emplace(std::move(places), static_cast<int32_t>(sets.size()));
    if (fresh) sets.push_back(at->first);
    if (sets.size() > most_states) too_large();
    return at->second;
  };
  number_of(closed({2 * start}, true));
  size_t work = 0;
  for (size_t i = 0; i < sets.size(); ++i) {
    auto& state = out.states.emplace_back();
    std::vector<CharacterAutomaton::Edge> edges;
    std::vector<char32_t> bounds;
    for (const int32_t place : sets[i]) {
      if (place / 2 == end) state.accepts = true;
      if (place % 2 == 1) continue;
      for (const auto& [set, to] : states_[static_cast<size_t>(place / 2)].edges) {
        for (const CharacterRange& range : set) {
          edges.push_back({range.low, range.high, to});
          bounds.push_back(range.low);
          bounds.push_back(range.high + 1);
        }
      }
    }
    std::ranges::sort(edges);
    std::ranges::sort(bounds);
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    for (size_t b = 0; b + 1 < bounds.size(); ++b) {
      std::vector<int32_t> targets;
      for (const auto& edge : edges) {
        if (edge.low > bounds[b]) break;
        if (edge.high >= bounds[b]) targets.push_back(2 * edge.to);
      }
      work += edges.size() + 1;
      GrammarWork::spend(edges.size() + 1);
      if (targets.empty()) continue;
      Places places = closed(std::move(targets), false);
      work += places.size();
      GrammarWork::spend(8 * places.size());
      if (work > most_work) too_large();
      join_edge(state.edges, {bounds[b], bounds[b + 1] - 1, number_of(std::move(places))});
    }
  }
  return pruned(out);
}

}  // namespace fettle
