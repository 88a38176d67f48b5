#include "generate/constrain/grammar.h"

#include <algorithm>

#include "base/error.h"

namespace fettle {
namespace {
constexpr size_t most_states = 16384;
constexpr int32_t unknown = -2;
}  // namespace

Grammar::Sequence Grammar::literal(std::string_view text) {
  Sequence sequence;
  for (const char c : text) sequence.push_back(byte(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
  return sequence;
}

GrammarAutomaton::GrammarAutomaton(Grammar grammar) : grammar_(std::move(grammar)) {
  FETTLE_CHECK(!grammar_.rules().empty());
  std::vector<int32_t> frames;
  bool accepts = false;
  for (const Grammar::Sequence& alternative : grammar_.rules().front())
    expand({&alternative, 0, -1}, frames, accepts, 0);
  start_ = intern(std::move(frames), accepts);
}

int32_t GrammarAutomaton::intern(const Frame& frame) {
  const auto [at, fresh] = frame_numbers_.try_emplace(frame, static_cast<int32_t>(frames_.size()));
  if (fresh) frames_.push_back(frame);
  return at->second;
}

/// Follows references until a byte stands at the top.
void GrammarAutomaton::expand(const Frame& frame, std::vector<int32_t>& frames, bool& accepts, int depth) {
  if (depth > 2000) fail("grammar", "it refers to itself without reading anything");
  const Grammar::Sequence& sequence = *frame.sequence;
  const auto at = static_cast<size_t>(frame.position);
  if (at == sequence.size()) {
    if (frame.parent < 0) {
      accepts = true;
    } else {
      const Frame parent = frames_[static_cast<size_t>(frame.parent)];
      expand(parent, frames, accepts, depth + 1);
    }
    return;
  }
  const Grammar::Symbol& symbol = sequence[at];
  if (symbol.rule < 0) {
    frames.push_back(intern(frame));
    return;
  }
  // A reference at the end returns to where this sequence would: repetition does not grow the stack.
  const bool last = at + 1 == sequence.size();
  const int32_t parent = last ? frame.parent : intern(Frame{&sequence, frame.position + 1, frame.parent});
  for (const Grammar::Sequence& alternative : grammar_.rules()[static_cast<size_t>(symbol.rule)])
    expand({&alternative, 0, parent}, frames, accepts, depth + 1);
}

int32_t GrammarAutomaton::intern(std::vector<int32_t> frames, bool accepts) {
  std::ranges::sort(frames);
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  if (frames.empty() && !accepts) return dead;
  const auto [at, fresh] =
      state_numbers_.try_emplace({frames, accepts}, static_cast<int32_t>(states_.size()));
  if (fresh) {
    if (states_.size() >= most_states)
      fail("grammar", "the answer's structure has more than {} states; ask for a flatter one", most_states);
    states_.push_back({std::move(frames), accepts, {}});
    states_.back().next.fill(unknown);
  }
  return at->second;
}

int32_t GrammarAutomaton::next(int32_t state, uint8_t byte) {
  const int32_t known = states_[static_cast<size_t>(state)].next[byte];
  if (known != unknown) return known;
  std::vector<int32_t> frames;
  bool accepts = false;
  const std::vector<int32_t> from = states_[static_cast<size_t>(state)].frames;
  for (const int32_t number : from) {
    const Frame frame = frames_[static_cast<size_t>(number)];
    const Grammar::Symbol& symbol = (*frame.sequence)[static_cast<size_t>(frame.position)];
    if (byte < symbol.low || byte > symbol.high) continue;
    expand({frame.sequence, frame.position + 1, frame.parent}, frames, accepts, 0);
  }
  const int32_t to = intern(std::move(frames), accepts);
  states_[static_cast<size_t>(state)].next[byte] = to;
  return to;
}

}  // namespace fettle
