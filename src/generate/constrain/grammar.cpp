#include "generate/constrain/grammar.h"

#include <algorithm>

#include "base/error.h"

namespace fettle {
namespace {

constexpr size_t most_grammar_states = 32768, most_grammar_frames = size_t{1} << 19,
                 most_grammar_work = size_t{1} << 25;
constexpr int32_t unmade = -2;

}  // namespace

Grammar::Sequence Grammar::literal(std::string_view text) {
  Sequence sequence;
  for (const char c : text) sequence.push_back(byte(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
  return sequence;
}

Grammar::Symbol Grammar::add_terminal(TextTerminal terminal) {
  terminals_.push_back(std::make_shared<TextTerminal>(std::move(terminal)));
  return {0, 0, -1, static_cast<int32_t>(terminals_.size()) - 1};
}

bool Grammar::ends(const Sequence& sequence, const std::vector<bool>& rules) const {
  return std::ranges::all_of(sequence, [&](const Symbol& symbol) {
    if (symbol.terminal >= 0) return !terminal(symbol.terminal).empty();
    return symbol.rule < 0 || rules[static_cast<size_t>(symbol.rule)];
  });
}

std::vector<bool> Grammar::ending_rules() const {
  std::vector<bool> good(rules_.size());
  std::vector<std::vector<size_t>> used_by(rules_.size());
  for (size_t rule = 0; rule < rules_.size(); ++rule) {
    for (const Sequence& sequence : rules_[rule]) {
      for (const Symbol& symbol : sequence) {
        if (symbol.rule >= 0) used_by[static_cast<size_t>(symbol.rule)].push_back(rule);
      }
    }
  }
  std::vector<size_t> waiting;
  for (size_t rule = 0; rule < rules_.size(); ++rule) waiting.push_back(rule);
  while (!waiting.empty()) {
    const size_t rule = waiting.back();
    waiting.pop_back();
    if (good[rule]) continue;
    good[rule] =
        std::ranges::any_of(rules_[rule], [&](const Sequence& sequence) { return ends(sequence, good); });
    if (good[rule]) waiting.insert(waiting.end(), used_by[rule].begin(), used_by[rule].end());
  }
  return good;
}

void Grammar::remove_endless() {
  const std::vector<bool> good = ending_rules();
  for (auto& alternatives : rules_)
    std::erase_if(alternatives, [&](const Sequence& sequence) { return !ends(sequence, good); });
}

size_t GrammarAutomaton::FrameHash::operator()(const Frame& frame) const {
  size_t hash = reinterpret_cast<size_t>(frame.sequence);
  for (const int64_t part : {int64_t{frame.position}, int64_t{frame.parent}, frame.inner})
    hash = (hash ^ static_cast<size_t>(part)) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
  return hash;
}

GrammarAutomaton::GrammarAutomaton(Grammar grammar) : grammar_(std::move(grammar)) {
  FETTLE_CHECK(!grammar_.rules().empty());
  std::vector<Frame> first;
  for (const Grammar::Sequence& alternative : grammar_.rules().front())
    first.push_back({&alternative, 0, -1, -1});
  start_ = settle(std::move(first));
}

void GrammarAutomaton::count_work(size_t steps) {
  work_ += steps;
  if (work_ > most_grammar_work)
    fail("grammar", "the answer can be read in too many ways; ask for a simpler one");
}

int32_t GrammarAutomaton::intern(const Frame& frame) {
  const auto [at, fresh] = frame_numbers_.try_emplace(frame, static_cast<int32_t>(frames_.size()));
  if (fresh) {
    if (frames_.size() >= most_grammar_frames)
      fail("grammar", "the answer can be read in too many ways; ask for a simpler one");
    frames_.push_back(frame);
    seen_.push_back(0);
  }
  return at->second;
}

int32_t GrammarAutomaton::settle(std::vector<Frame> waiting) {
  ++settled_;
  std::vector<int32_t> frames;
  bool accepts = false;
  while (!waiting.empty()) {
    const Frame frame = waiting.back();
    waiting.pop_back();
    const int32_t number = intern(frame);
    if (seen_[static_cast<size_t>(number)] == settled_) continue;
    seen_[static_cast<size_t>(number)] = settled_;
    count_work(1);
    const Grammar::Sequence& sequence = *frame.sequence;
    const auto at = static_cast<size_t>(frame.position);
    if (frame.inner >= 0) {
      frames.push_back(number);
      if (grammar_.terminal(sequence[at].terminal).accepts(frame.inner))
        waiting.push_back({&sequence, frame.position + 1, frame.parent, -1});
      continue;
    }
    if (at == sequence.size()) {
      if (frame.parent < 0)
        accepts = true;
      else
        waiting.push_back(frames_[static_cast<size_t>(frame.parent)]);
      continue;
    }
    const Grammar::Symbol& symbol = sequence[at];
    if (symbol.terminal >= 0) {
      waiting.push_back(
          {&sequence, frame.position, frame.parent, grammar_.terminal(symbol.terminal).start()});
    } else if (symbol.rule < 0) {
      frames.push_back(number);
    } else {
      // A reference at the end returns to where this sequence would: repetition does not grow the stack.
      const bool last = at + 1 == sequence.size();
      const int32_t parent =
          last ? frame.parent : intern(Frame{&sequence, frame.position + 1, frame.parent, -1});
      for (const Grammar::Sequence& alternative : grammar_.rules()[static_cast<size_t>(symbol.rule)])
        waiting.push_back({&alternative, 0, parent, -1});
    }
  }
  return intern(std::move(frames), accepts);
}

int32_t GrammarAutomaton::intern(std::vector<int32_t> frames, bool accepts) {
  std::ranges::sort(frames);
  if (frames.empty() && !accepts) return dead;
  const auto [at, fresh] =
      state_numbers_.try_emplace({frames, accepts}, static_cast<int32_t>(states_.size()));
  if (fresh) {
    if (states_.size() >= most_grammar_states)
      fail("grammar", "the answer has more than {} states; ask for a shorter or flatter one",
           most_grammar_states);
    states_.push_back({std::move(frames), accepts, {}});
    states_.back().next.fill(unmade);
  }
  return at->second;
}

int32_t GrammarAutomaton::next(int32_t state, uint8_t byte) {
  const int32_t known = states_[static_cast<size_t>(state)].next[byte];
  if (known != unmade) return known;
  std::vector<Frame> after;
  count_work(states_[static_cast<size_t>(state)].frames.size() / 4);
  for (const int32_t number : states_[static_cast<size_t>(state)].frames) {
    const Frame frame = frames_[static_cast<size_t>(number)];
    const Grammar::Symbol& symbol = (*frame.sequence)[static_cast<size_t>(frame.position)];
    if (frame.inner >= 0) {
      const int64_t inner = grammar_.terminal(symbol.terminal).next(frame.inner, byte);
      if (inner != TextTerminal::dead) after.push_back({frame.sequence, frame.position, frame.parent, inner});
    } else if (byte >= symbol.low && byte <= symbol.high) {
      after.push_back({frame.sequence, frame.position + 1, frame.parent, -1});
    }
  }
  const int32_t to = after.empty() ? dead : settle(std::move(after));
  states_[static_cast<size_t>(state)].next[byte] = to;
  return to;
}

}  // namespace fettle
