#include "generate/score.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/interrupt.h"

namespace fettle {
namespace {

/// Rows [begin, end) share a prompt and are computed together.
struct Unit {
  size_t begin, end;
  int64_t tokens;
};

std::vector<Unit> share_prompts(std::span<const ScoreRow> rows, int64_t batch_tokens) {
  std::vector<Unit> units;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto completion = static_cast<int64_t>(rows[i].completion.size());
    if (!units.empty() && rows[units.back().begin].prompt == rows[i].prompt &&
        units.back().tokens + completion <= batch_tokens) {
      units.back().end = i + 1;
      units.back().tokens += completion;
    } else {
      units.push_back({i, i + 1, static_cast<int64_t>(rows[i].prompt.size()) + completion});
    }
  }
  return units;
}

void check_rows(const Decoder& decoder, std::span<const ScoreRow> rows, int64_t context) {
  const int32_t vocabulary = decoder.config().vocab_size;
  const auto in_vocabulary = [&](int32_t token) { return token >= 0 && token < vocabulary; };
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = fmt::format("row {}", i + 1);
    const ScoreRow& row = rows[i];
    if (row.prompt.empty()) fail(where, "its prompt has no token; begin it with the model's BOS");
    const auto length = static_cast<int64_t>(row.prompt.size() + row.completion.size());
    if (context > 0 && length > context) {
      fail(where, "prompt and completion have {} tokens, the model's context holds {}; shorten the row",
           length, context);
    }
    if (!std::ranges::all_of(row.prompt, in_vocabulary) ||
        !std::ranges::all_of(row.completion, in_vocabulary)) {
      fail(where, "holds a token outside the model's vocabulary of {}", vocabulary);
    }
  }
}

/// A packed batch and which row each of its labels belongs to.
struct Packed {
  Batch batch;
  std::vector<size_t> owners;
  size_t rows = 0;

  void append(const Unit& unit, std::span<const ScoreRow> rows_in) {
    std::vector<std::span<const int32_t>> completions;
    for (size_t i = unit.begin; i < unit.end; ++i) {
      if (rows_in[i].completion.empty()) continue;
      completions.emplace_back(rows_in[i].completion);
      owners.insert(owners.end(), rows_in[i].completion.size(), i);
    }
    if (!completions.empty()) append_shared_prompt(batch, rows_in[unit.begin].prompt, completions);
    rows += unit.end - unit.begin;
  }
};

void run(Decoder& decoder, Packed& packed, std::vector<Score>& scores, const ScoreOptions& options) {
  std::vector<float> logps(packed.owners.size());
  std::vector<int32_t> best(packed.owners.size());
  const bool is_mine = !options.is_mine || options.is_mine();
  if (!is_mine) logps.clear();
  if (!logps.empty()) decoder.score(packed.batch, logps, best);
  for (size_t i = 0; i < logps.size(); ++i) {
    Score& score = scores[packed.owners[i]];
    score.logp += static_cast<double>(logps[i]);
    score.greedy = score.greedy && best[i] == packed.batch.labels[i];
    score.logps.push_back(logps[i]);
    ++score.tokens;
  }
  if (options.on_progress) options.on_progress(static_cast<int64_t>(packed.rows));
  packed = {};
}

}  // namespace

std::vector<Score> score(Decoder& decoder, std::span<const ScoreRow> rows, const ScoreOptions& options) {
  check_rows(decoder, rows,
             options.context_length > 0 ? options.context_length : decoder.config().context_length);
  std::vector<Unit> units = share_prompts(rows, options.batch_tokens);
  // Rows of like length in one batch: attention's work is even, and the largest batch comes first.
  std::ranges::stable_sort(units, std::greater<>(), &Unit::tokens);
  std::vector<Score> scores(rows.size());
  Packed packed;
  for (const Unit& unit : units) {
    if (packed.rows > 0 && packed.batch.size() + unit.tokens > options.batch_tokens) {
      throw_if_interrupted();
      run(decoder, packed, scores, options);
    }
    packed.append(unit, rows);
  }
  if (packed.rows > 0) run(decoder, packed, scores, options);
  return scores;
}

}  // namespace fettle
