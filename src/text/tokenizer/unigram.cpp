#include "text/tokenizer/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/unicode/unicode.h"

namespace fettle {

Unigram::Unigram(Vocabulary vocabulary, UnigramOptions options)
    : TokenModel(std::move(vocabulary)), options_(std::move(options)) {
  constexpr double penalty = 10;
  double lowest = std::numeric_limits<double>::infinity();
  highest_ = -lowest;
  for (size_t id = 0; id < options_.scores.size(); ++id) {
    if (!options_.unusable.empty() && options_.unusable[id]) continue;
    lowest = std::min(lowest, options_.scores[id]);
    highest_ = std::max(highest_, options_.scores[id]);
  }
  unknown_score_ = options_.like_sentencepiece ? static_cast<float>(static_cast<float>(lowest) - penalty)
                                               : lowest - penalty;
  has_bytes_ = options_.byte_fallback;
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
  }
  build_trie();
}

void Unigram::build_trie() {
  std::vector<std::pair<std::string_view, int32_t>> tokens;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    if (!options_.unusable.empty() && options_.unusable[static_cast<size_t>(id)]) continue;
    if (!vocabulary_.token(id).empty()) tokens.emplace_back(vocabulary_.token(id), id);
  }
  std::sort(tokens.begin(), tokens.end());
  struct Task {
    size_t begin, end, depth;
    uint32_t node;
  };
  nodes_.assign(1, {});
  std::vector<Task> tasks{{0, tokens.size(), 0, 0}};
  for (size_t t = 0; t < tasks.size(); ++t) {
    Task task = tasks[t];
    if (task.begin < task.end && tokens[task.begin].first.size() == task.depth) {
      nodes_[task.node].id = tokens[task.begin++].second;
    }
    nodes_[task.node].first_child = static_cast<uint32_t>(nodes_.size());
    for (size_t i = task.begin; i < task.end;) {
      const char byte = tokens[i].first[task.depth];
      size_t end = i;
      while (end < task.end && tokens[end].first[task.depth] == byte) ++end;
      tasks.push_back({i, end, task.depth + 1, static_cast<uint32_t>(nodes_.size())});
      nodes_.push_back({0, 0, static_cast<uint8_t>(byte), -1});
      ++nodes_[task.node].children;
      i = end;
    }
  }
  std::fill(std::begin(root_), std::end(root_), kNone);
  for (uint32_t i = 0; i < nodes_[0].children; ++i) root_[nodes_[1 + i].byte] = 1 + i;
}

uint32_t Unigram::child(uint32_t node, uint8_t byte) const {
  uint32_t low = nodes_[node].first_child, high = low + nodes_[node].children;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (nodes_[middle].byte == byte) return middle;
    if (nodes_[middle].byte < byte) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return kNone;
}

void Unigram::relax(std::vector<Best>& best, uint32_t from, uint32_t to, int32_t id, double score) const {
  const double candidate = score + best[from].score;
  Best& target = best[to];
  if (target.from != kNone && candidate <= target.score) return;
  target = {options_.like_sentencepiece ? static_cast<double>(static_cast<float>(candidate)) : candidate, id,
            from};
}

void Unigram::put_unknown(std::string_view piece, uint32_t begin, TokenSink& sink) const {
  bool all = has_bytes_;
  for (const char c : piece) all = all && bytes_[static_cast<uint8_t>(c)] >= 0;
  if (all) {
    for (const char c : piece) sink.put(bytes_[static_cast<uint8_t>(c)], begin++);
    return;
  }
  if (options_.unk < 0)
    fail("tokenizer", "the Unigram vocabulary has no piece for '{}' and no unk_id", piece.substr(0, 20));
  sink.put(options_.unk, begin);
}

void Unigram::encode(std::string_view word, uint32_t begin, TokenSink& sink) const {
  thread_local std::vector<Best> best;
  const auto size = static_cast<uint32_t>(word.size());
  best.assign(size + 1, {});
  for (uint32_t at = 0; at < size;) {
    const auto length = static_cast<uint32_t>(std::min<size_t>(unicode::length(word[at]), size - at));
    bool single = false;
    uint32_t node = root_[static_cast<uint8_t>(word[at])];
    for (uint32_t end = at + 1; node != kNone; ++end) {
      const int32_t id = nodes_[node].id;
      if (id >= 0) {
        const auto index = static_cast<size_t>(id);
        const bool wins = !options_.user_defined.empty() && options_.user_defined[index];
        relax(best, at, end, id, wins ? (end - at) * highest_ - 0.1 : options_.scores[index]);
        single = single || end - at == length;
      }
      node = end < size ? child(node, static_cast<uint8_t>(word[end])) : kNone;
    }
    if (!single) relax(best, at, at + length, options_.unk, unknown_score_);
    at += length;
  }
  // Walk back; neighbouring unknown characters are one piece.
  thread_local std::vector<std::pair<Span, int32_t>> pieces;
  pieces.clear();
  for (uint32_t end = size; end > 0; end = best[end].from) {
    const int32_t id = best[end].id;
    const uint32_t from = best[end].from;
    if (id == options_.unk && !pieces.empty() && pieces.back().second == id) {
      pieces.back().first.begin = from;
    } else {
      pieces.push_back({{from, end}, id});
    }
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const auto& [span, id] = *piece;
    if (id == options_.unk) {
      put_unknown(word.substr(span.begin, span.end - span.begin), begin + span.begin, sink);
    } else {
      sink.put(id, begin + span.begin);
    }
  }
}

}  // namespace fettle
