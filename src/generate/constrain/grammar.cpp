#include "generate/constrain/grammar.h"

#include <algorithm>
#include <span>

#include "base/error.h"

namespace fettle {
namespace {

// An answer is read on the engine's thread, where others wait: what may come next takes a tenth of a second at most, a whole
// answer one.
constexpr size_t most_grammar_states = 32768, most_grammar_frames = size_t{1} << 18, most_grammar_work = size_t{1} << 24,
                 most_work_at_once = size_t{1} << 22, many_frames = 32;
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
  work_at_once_ += steps;
  if (work_ > most_grammar_work || work_at_once_ > most_work_at_once)
    throw Error(fmt::format("the answer can be read in too many ways at once (more than {} steps); ask for alternatives that begin differently",
                            work_at_once_ > most_work_at_once ? most_work_at_once : most_grammar_work));
}

int32_t GrammarAutomaton::intern(const Frame& frame) {
  const auto [at, fresh] = frame_numbers_.try_emplace(frame, static_cast<int32_t>(frames_.size()));
  if (fresh) {
    if (frames_.size() >= most_grammar_frames)
      throw Error(fmt::format("the answer can be read in too many ways at once (more than {}); ask for alternatives that begin differently",
                              most_grammar_frames));
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
      throw Error(fmt::format("the answer has more than {} states; ask for a shorter or flatter one", most_grammar_states));
    states_.push_back({std::move(frames), accepts, {}, {}});
    states_.back().next.fill(unmade);
  }
  return at->second;
}

int GrammarAutomaton::byte_of(int32_t number) const {
  const Frame& frame = frames_[static_cast<size_t>(number)];
  const Grammar::Symbol& symbol = (*frame.sequence)[static_cast<size_t>(frame.position)];
  return frame.inner < 0 && symbol.low == symbol.high ? symbol.low : 256;
}

void GrammarAutomaton::sort_frames(State& state) {
  count_work(state.frames.size());
  state.by_byte = state.frames;
  std::ranges::stable_sort(state.by_byte, {}, [&](int32_t number) { return byte_of(number); });
}

void GrammarAutomaton::step(int32_t number, uint8_t byte, std::vector<Frame>& after) {
  const Frame frame = frames_[static_cast<size_t>(number)];
  const Grammar::Symbol& symbol = (*frame.sequence)[static_cast<size_t>(frame.position)];
  if (frame.inner >= 0) {
    const int64_t inner = grammar_.terminal(symbol.terminal).next(frame.inner, byte);
    if (inner != TextTerminal::dead) after.push_back({frame.sequence, frame.position, frame.parent, inner});
  } else if (byte >= symbol.low && byte <= symbol.high) {
    after.push_back({frame.sequence, frame.position + 1, frame.parent, -1});
  }
}

int32_t GrammarAutomaton::next(int32_t state, uint8_t byte) {
  const int32_t known = states_[static_cast<size_t>(state)].next[byte];
  if (known != unmade) return known;
  std::vector<Frame> after;
  State& from = states_[static_cast<size_t>(state)];
  if (from.frames.size() < many_frames) {
    count_work(from.frames.size() / 4);
    for (const int32_t number : from.frames) step(number, byte, after);
  } else {
    if (from.by_byte.empty()) sort_frames(from);
    const auto of = [&](int wanted) {
      const auto begin = std::partition_point(from.by_byte.begin(), from.by_byte.end(), [&](int32_t number) { return byte_of(number) < wanted; });
      const auto end = std::partition_point(begin, from.by_byte.end(), [&](int32_t number) { return byte_of(number) == wanted; });
      return std::span<const int32_t>(begin, end);
    };
    const auto own = of(byte), others = of(256);
    count_work(own.size() / 4 + others.size() / 4);
    for (const int32_t number : own) step(number, byte, after);
    for (const int32_t number : others) step(number, byte, after);
  }
  const int32_t to = after.empty() ? dead : settle(std::move(after));  // `from` may have moved
  states_[static_cast<size_t>(state)].next[byte] = to;
  return to;
}

}  // namespace fettle
