#include "generate/constrain/text_terminal.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "generate/constrain/grammar_work.h"

namespace fettle {
namespace {

using Bytes = std::vector<std::pair<uint8_t, uint8_t>>;

uint8_t tail(char32_t code, int shift) {
  return static_cast<uint8_t>(0x80 | (code >> shift & 0x3f));
}

/// Ranges of characters whose encodings have the same length and differ in one place only after which every
/// continuation byte is free, as ranges of bytes.
void add_utf8(char32_t low, char32_t high, std::vector<Bytes>& out) {
  constexpr std::array<char32_t, 3> ends{0x7f, 0x7ff, 0xffff};
  for (const char32_t end : ends) {
    if (low <= end && high > end) {
      add_utf8(low, end, out);
      add_utf8(end + 1, high, out);
      return;
    }
  }
  const int tails = low <= 0x7f ? 0 : low <= 0x7ff ? 1 : low <= 0xffff ? 2 : 3;
  for (int i = 1; i <= tails; ++i) {
    const char32_t mask = (char32_t{1} << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      add_utf8(low, low | mask, out);
      add_utf8((low | mask) + 1, high, out);
      return;
    }
    if ((high & mask) != mask) {
      add_utf8(low, (high & ~mask) - 1, out);
      add_utf8(high & ~mask, high, out);
      return;
    }
  }
  constexpr std::array<uint8_t, 4> marks{0, 0xc0, 0xe0, 0xf0};
  const auto mark = marks[static_cast<size_t>(tails)];
  Bytes bytes{
      {static_cast<uint8_t>(mark | low >> (6 * tails)), static_cast<uint8_t>(mark | high >> (6 * tails))}};
  for (int i = tails; i-- > 0;) bytes.emplace_back(tail(low, 6 * i), tail(high, 6 * i));
  out.push_back(std::move(bytes));
}

Bytes literal(std::string_view text) {
  Bytes bytes;
  for (const char c : text) bytes.emplace_back(static_cast<uint8_t>(c), static_cast<uint8_t>(c));
  return bytes;
}

/// A control character, a quote or a backslash as JSON must write it; empty for every other character.
Bytes escaped(char32_t c) {
  constexpr std::string_view letters = "\b\f\n\r\t\"\\", names = "bfnrt\"\\";
  if (c != '"' && c != '\\' && c >= 0x20) return {};
  const size_t at = letters.find(static_cast<char>(c));
  if (at != std::string_view::npos) return literal({std::string("\\") + names[at]});
  return literal(fmt::format("\\u{:04x}", static_cast<uint32_t>(c)));
}

/// The escapes that JSON allows and does not demand: \/ and \uXXXX of what is no surrogate.
std::vector<Bytes> free_escapes() {
  std::vector<Bytes> out{literal("\\/")};
  const std::vector<std::pair<uint8_t, uint8_t>> digits{{'0', '9'}, {'a', 'f'}, {'A', 'F'}};
  for (const auto& first : std::vector<std::pair<uint8_t, uint8_t>>{
           {'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'d', 'd'}, {'D', 'D'}, {'e', 'f'}, {'E', 'F'}}) {
    const bool d = first.first == 'd' || first.first == 'D';
    for (const auto& second : digits) {
      if (d && second.first != '0') continue;
      for (const auto& third : digits) {
        for (const auto& fourth : digits) {
          Bytes bytes = literal("\\u");
          bytes.insert(bytes.end(),
                       {first, d ? std::pair<uint8_t, uint8_t>{'0', '7'} : second, third, fourth});
          out.push_back(std::move(bytes));
        }
      }
    }
  }
  return out;
}

}  // namespace

TextTerminal::TextTerminal(CharacterAutomaton automaton, Form form, int64_t least, int64_t most)
    : automaton_(std::move(automaton)),
      form_(form),
      least_(least),
      most_(most),
      counts_(least > 0 || most >= 0) {
  if (automaton_.empty()) return;
  GrammarWork::spend(automaton_.states.size());
  for (size_t i = 0; i < automaton_.states.size(); ++i)
    nodes_.push_back({{}, static_cast<int32_t>(i), false, {}});
  if (counts_) find_lengths();
  if (possible(0, 0)) start_ = 0;
}

/// lengths_, from short to long.
void TextTerminal::find_lengths() {
  const size_t states = automaton_.states.size();
  // Without an upper bound: a string longer than that has a circle in it, and a shorter one beside it.
  const auto longest = static_cast<size_t>(most_ >= 0 ? most_ : least_ + static_cast<int64_t>(states));
  width_ = longest / 64 + 1;
  if (width_ * states > (size_t{1} << 21))
    throw Error("the bounds of the length are too large for this pattern");
  lengths_.assign(width_ * states, 0);
  std::vector<std::vector<int32_t>> targets(states);
  size_t edges = 0;
  for (size_t s = 0; s < states; ++s) {
    for (const auto& edge : automaton_.states[s].edges) targets[s].push_back(edge.to);
    std::ranges::sort(targets[s]);
    targets[s].erase(std::unique(targets[s].begin(), targets[s].end()), targets[s].end());
    edges += targets[s].size();
    if (automaton_.states[s].accepts) lengths_[s * width_] = 1;
  }
  if (edges * longest > (size_t{1} << 26))
    throw Error("the bounds of the length are too large for this pattern");
  GrammarWork::spend(edges * longest / 8);
  for (size_t k = 1; k <= longest; ++k) {
    for (size_t s = 0; s < states; ++s) {
      for (const int32_t to : targets[s]) {
        const uint64_t shorter =
            lengths_[static_cast<size_t>(to) * width_ + (k - 1) / 64] >> ((k - 1) % 64) & 1;
        lengths_[s * width_ + k / 64] |= shorter << (k % 64);
      }
    }
  }
}

bool TextTerminal::possible(int32_t state, int64_t length) const {
  if (!counts_) return true;
  const int64_t low = std::max<int64_t>(0, least_ - length);
  const int64_t high = most_ >= 0 ? most_ - length : static_cast<int64_t>(width_) * 64 - 1;
  const uint64_t* row = &lengths_[static_cast<size_t>(state) * width_];
  for (int64_t k = low; k <= high && static_cast<size_t>(k / 64) < width_; ++k) {
    if (row[k / 64] == 0)
      k |= 63;
    else if ((row[k / 64] >> (k % 64) & 1) != 0)
      return true;
  }
  return false;
}

bool TextTerminal::accepts(int64_t state) const {
  const int32_t own = nodes_[static_cast<size_t>(state & 0xffffffff)].state;
  return own >= 0 && automaton_.states[static_cast<size_t>(own)].accepts && state >> 32 >= least_;
}

int64_t TextTerminal::next(int64_t state, uint8_t byte) {
  const auto node = static_cast<int32_t>(state & 0xffffffff);
  if (!nodes_[static_cast<size_t>(node)].made) make_edges(node);
  for (const Node::Edge& edge : nodes_[static_cast<size_t>(node)].edges) {
    if (byte < edge.low || byte > edge.high) continue;
    if (!counts_) return packed(edge.to, 0);
    const int64_t length = state >> 32, longer = most_ < 0 ? std::min(length + 1, least_) : length + 1;
    const Node& to = nodes_[static_cast<size_t>(edge.to)];
    if (to.state >= 0) return possible(to.state, longer) ? packed(edge.to, longer) : dead;
    const bool open =
        std::ranges::any_of(to.paths, [&](const Path& path) { return possible(path.to, longer); });
    return open ? packed(edge.to, length) : dead;
  }
  return dead;
}

void TextTerminal::add_paths(Paths& paths, const CharacterAutomaton::State& state, Form form) {
  std::vector<Bytes> bytes;
  for (const auto& edge : state.edges) {
    bytes.clear();
    char32_t from = edge.low;
    for (char32_t c = edge.low; form == Form::json && c <= std::min<char32_t>(edge.high, '\\'); ++c) {
      Bytes escape = escaped(c);
      if (escape.empty()) continue;
      bytes.push_back(std::move(escape));
      if (from < c) add_utf8(from, c - 1, bytes);
      from = c + 1;
    }
    if (from <= edge.high) add_utf8(from, edge.high, bytes);
    for (Bytes& one : bytes) paths.push_back({std::move(one), edge.to});
  }
  const bool all = state.edges.size() == 2 && state.edges[0].to == state.edges[1].to &&
                   state.edges[0].low == 0 && state.edges[0].high == 0xd7ff && state.edges[1].low == 0xe000 &&
                   state.edges[1].high == 0x10ffff;
  if (form != Form::json || !all) return;
  for (Bytes& one : free_escapes()) paths.push_back({std::move(one), state.edges[0].to});
}

int32_t TextTerminal::node_of(Paths paths) {
  if (paths.front().bytes.empty()) return paths.front().to;
  const auto [at, fresh] = inner_.try_emplace(std::move(paths), static_cast<int32_t>(nodes_.size()));
  if (fresh) nodes_.push_back({at->first, -1, false, {}});
  return at->second;
}

void TextTerminal::make_edges(int32_t node) {
  Paths paths = nodes_[static_cast<size_t>(node)].paths;
  const int32_t state = nodes_[static_cast<size_t>(node)].state;
  if (state >= 0) add_paths(paths, automaton_.states[static_cast<size_t>(state)], form_);
  std::vector<int> bounds;
  for (const Path& path : paths) {
    bounds.push_back(path.bytes[0].first);
    bounds.push_back(path.bytes[0].second + 1);
  }
  std::ranges::sort(bounds);
  bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
  std::vector<Node::Edge> edges;
  for (size_t b = 0; b + 1 < bounds.size(); ++b) {
    Paths rest;
    for (const Path& path : paths) {
      if (path.bytes[0].first > bounds[b] || path.bytes[0].second < bounds[b]) continue;
      rest.push_back({{path.bytes.begin() + 1, path.bytes.end()}, path.to});
    }
    if (rest.empty()) continue;
    std::ranges::sort(rest);
    rest.erase(std::unique(rest.begin(), rest.end()), rest.end());
    const int32_t to = node_of(std::move(rest));
    if (!edges.empty() && edges.back().to == to && edges.back().high + 1 == bounds[b])
      edges.back().high = static_cast<uint8_t>(bounds[b + 1] - 1);
    else
      edges.push_back({static_cast<uint8_t>(bounds[b]), static_cast<uint8_t>(bounds[b + 1] - 1), to});
  }
  nodes_[static_cast<size_t>(node)].edges = std::move(edges);
  nodes_[static_cast<size_t>(node)].made = true;
}

}  // namespace fettle
