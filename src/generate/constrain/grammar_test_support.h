#pragma once
// Reads and draws texts of a grammar, byte by byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "generate/constrain/json_schema.h"

namespace fettle::test {

/// Whether the whole text is one of the grammar's, and whether its beginning is the beginning of one.
struct Acceptance {
  bool whole, beginning;
};
inline Acceptance read(const Grammar& grammar, std::string_view text) {
  GrammarAutomaton automaton(grammar);
  int32_t state = automaton.start();
  for (const char c : text) {
    state = automaton.next(state, static_cast<uint8_t>(c));
    if (state == GrammarAutomaton::dead) return {false, false};
  }
  return {automaton.accepts(state), true};
}
inline bool fits(const Grammar& grammar, std::string_view text) {
  return read(grammar, text).whole;
}
inline Grammar schema(std::string_view text) {
  return json_schema_grammar(OrderedJson::parse(text));
}
inline Grammar any_object() {
  return schema(R"({"type":"object"})");
}

/// What `make` throws, or nothing.
template <typename Make>
std::string refusal(Make make) {
  try {
    make();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// A text drawn at random: any byte that may follow, after a while rather one that closes something. Empty
/// when it found no end, which must not be because it could not go on.
inline std::string draw(GrammarAutomaton& automaton, uint64_t seed, size_t longest = 4000) {
  std::string text;
  int32_t state = automaton.start();
  Random random(seed);
  while (text.size() < longest) {
    std::vector<uint8_t> bytes, closing;
    for (int byte = 0; byte < 256; ++byte) {
      if (automaton.next(state, static_cast<uint8_t>(byte)) == GrammarAutomaton::dead) continue;
      bytes.push_back(static_cast<uint8_t>(byte));
      if (std::string_view("\"}]").find(static_cast<char>(byte)) != std::string_view::npos)
        closing.push_back(bytes.back());
    }
    const bool ends = automaton.accepts(state);
    EXPECT_TRUE(ends || !bytes.empty()) << "stuck behind " << text;
    if (bytes.empty() || (ends && random.below(4) == 0)) return text;
    const bool close = !closing.empty() && (text.size() > 100 || random.below(8) == 0);
    const auto& from = close ? closing : bytes;
    text += static_cast<char>(from[random.below(from.size())]);
    state = automaton.next(state, static_cast<uint8_t>(text.back()));
  }
  return {};
}

}  // namespace fettle::test
