#include "feedback/judging.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "base/python_random.h"
#include "base/random.h"
#include "feedback/judge_slots.h"

namespace fettle::feedback {
namespace {

using Shown = std::vector<size_t>;  ///< answers of the row, in the order in which they are shown

/// Sums of what the replies to one call said.
struct Sums {
  std::vector<double> score;
  std::vector<int64_t> scored, seen;
  double preference = 0.0;
  int64_t preferences = 0, first = 0, second = 0;
};

bool applies(const JudgeCall& call, const JudgedRow& row) {
  if (call.reference && *call.reference != !row.references.empty()) return false;
  const int turns = row.questions.size() == 2 ? 2 : 1;
  if (call.turns && *call.turns != turns) return false;
  return call.shows != JudgeCall::Shows::two || row.answers.size() == 2;
}

/// What is shown in each question that the call takes for this row.
std::vector<Shown> questions_of(const Judge& judge, const JudgeCall& call, const JudgedRow& row, uint64_t seed) {
  std::vector<Shown> all;
  if (call.shows == JudgeCall::Shows::one) {
    for (size_t i = 0; i < row.answers.size(); ++i) all.push_back({i});
    return all;
  }
  Shown shown(row.answers.size());
  std::iota(shown.begin(), shown.end(), size_t{0});
  if (judge.order == ShownOrder::random) {
    Random random(hash64(row.id + "\n" + call.name, seed));
    for (size_t i = shown.size(); i > 1; --i) std::swap(shown[i - 1], shown[random.below(i)]);
  }
  if (judge.order == ShownOrder::alpaca_eval && shown.size() == 2 && PythonRandom("is_switched_outputs" + row.prompt + "0").uniform() >= 0.5)
    std::swap(shown[0], shown[1]);
  all.push_back(shown);
  if (judge.order == ShownOrder::both) {
    std::ranges::reverse(shown);
    all.push_back(shown);
  }
  return all;
}

class Asking {
 public:
  Asking(const Judge& judge, const JudgeCall& call, StoredClient& client, const JudgedRow& row)
      : judge_(judge), call_(call), client_(client), row_(row) {
    verdict_.name = call.name;
    verdict_.details.resize(row.answers.size());
    verdict_.critiques.resize(row.answers.size());
    sums_.score.resize(row.answers.size());
    sums_.scored.resize(row.answers.size());
    sums_.seen.resize(row.answers.size());
  }

  void ask(const Shown& shown) {
    const Slots slots = slot_values(call_, judge_, row_, shown);
    Messages messages;
    for (const auto& part : call_.messages) messages.push_back({part.role, part.content.fill(slots), 1.0, nullptr});
    ChatOptions options;
    options.sampling = judge_.sampling;
    options.max_tokens = call_.max_tokens;
    const bool by_token = call_.reply.form == ReplyForm::chosen_token || call_.reply.form == ReplyForm::expected_score;
    options.logprobs = by_token;
    options.top_logprobs = by_token ? most_likely : 0;
    int64_t draw = 0;
    for (int sample = 0; sample < judge_.samples; ++sample) {
      std::optional<ReplyReading> reading;
      for (int attempt = 0; attempt < judge_.tries && !reading; ++attempt, ++draw) {
        options.sampling.seed = judge_.sampling.seed + static_cast<uint64_t>(draw);
        const ChatReply reply = client_.ask(messages, options, draw);
        verdict_.texts.push_back(reply.text());
        reading = read_verdict(call_.reply, reply.choices.front(), shown.size());
      }
      if (reading) take(*reading, shown);
      unread_ += !reading;
    }
  }

  CallVerdict tie() {
    sums_.preference = 1.5;
    sums_.preferences = 1;
    return finish();
  }

  CallVerdict finish() {
    verdict_.parsed = unread_ == 0;
    for (size_t i = 0; i < row_.answers.size(); ++i) {
      const bool has = sums_.scored[i] > 0;
      verdict_.scores.push_back(has ? std::optional(sums_.score[i] / static_cast<double>(sums_.scored[i])) : std::nullopt);
    }
    if (sums_.preferences > 0) verdict_.preference = sums_.preference / static_cast<double>(sums_.preferences);
    verdict_.conflict = sums_.first > 0 && sums_.second > 0;
    return std::move(verdict_);
  }

 private:
  static constexpr int32_t most_likely = 20;

  void take(const ReplyReading& reading, const Shown& shown) {
    if (reading.preference) {
      const double value = shown[0] == 0 ? *reading.preference : 3.0 - *reading.preference;
      sums_.preference += value;
      ++sums_.preferences;
      sums_.first += value < 1.5;
      sums_.second += value > 1.5;
      return;
    }
    for (size_t i = 0; i < shown.size(); ++i) {
      const size_t answer = shown[i];
      ++sums_.seen[answer];
      if (reading.texts[i].score) {
        sums_.score[answer] += *reading.texts[i].score;
        ++sums_.scored[answer];
      }
      verdict_.details[answer] = reading.texts[i].details;
      if (!reading.critique.empty()) verdict_.critiques[answer] = reading.critique;
    }
    if (shown.size() != 2 || !reading.texts[0].score || !reading.texts[1].score) return;
    const double first = *reading.texts[shown[0] == 0 ? 0 : 1].score, second = *reading.texts[shown[0] == 0 ? 1 : 0].score;
    sums_.first += first > second;
    sums_.second += second > first;
  }

  const Judge& judge_;
  const JudgeCall& call_;
  StoredClient& client_;
  const JudgedRow& row_;
  CallVerdict verdict_;
  Sums sums_;
  int64_t unread_ = 0;
};

/// Of each answer: the call named "overall", else the mean over the calls that scored it.
std::vector<std::optional<double>> overall(const std::vector<CallVerdict>& calls, size_t answers) {
  std::vector<std::optional<double>> result(answers);
  for (size_t i = 0; i < answers; ++i) {
    double sum = 0.0;
    int64_t count = 0;
    for (const CallVerdict& call : calls) {
      if (!call.scores[i]) continue;
      if (call.name == "overall") {
        sum = *call.scores[i];
        count = 1;
        break;
      }
      sum += *call.scores[i];
      ++count;
    }
    if (count > 0) result[i] = sum / static_cast<double>(count);
  }
  return result;
}

void decide(RowVerdict& verdict, size_t answers) {
  verdict.compared = answers >= 2;
  for (const CallVerdict& call : verdict.calls) {
    if (!call.preference) continue;
    if (*call.preference < 1.5) verdict.winner = 0;
    if (*call.preference > 1.5) verdict.winner = 1;
    return;
  }
  if (!verdict.compared || !std::ranges::all_of(verdict.scores, [](const auto& score) { return score.has_value(); })) {
    verdict.compared = false;
    return;
  }
  const auto best = std::ranges::max_element(verdict.scores);
  if (std::ranges::count(verdict.scores, *best) == 1) verdict.winner = static_cast<size_t>(best - verdict.scores.begin());
}

OrderedJson number_or_null(const std::optional<double>& value) { return value ? OrderedJson(*value) : OrderedJson(nullptr); }

OrderedJson call_json(const CallVerdict& call) {
  OrderedJson json = {{"name", call.name}, {"parsed", call.parsed}};
  if (call.preference) {
    json["preference"] = *call.preference;
  } else {
    for (const auto& score : call.scores) json["scores"].push_back(number_or_null(score));
  }
  if (call.conflict) json["conflict"] = true;
  json["texts"] = call.texts;
  return json;
}

/// As UltraFeedback's rows hold it.
void annotate(OrderedJson& completion, const std::vector<CallVerdict>& calls, size_t answer) {
  if (!completion.is_object()) return;
  double sum = 0.0;
  int64_t count = 0;
  for (const CallVerdict& call : calls) {
    if (call.preference || !call.parsed) continue;
    if (call.name == "overall") {
      completion["critique"] = call.critiques[answer];
      completion["overall_score"] = number_or_null(call.scores[answer]);
      continue;
    }
    completion["annotations"][call.name] = call.details[answer];
    if (!call.scores[answer]) continue;
    sum += *call.scores[answer];
    ++count;
  }
  if (count > 0) completion["fine-grained_score"] = sum / static_cast<double>(count);
}

}  // namespace

RowVerdict judge_row(const Judge& judge, StoredClient& client, const JudgedRow& row, uint64_t seed) {
  RowVerdict verdict;
  for (const JudgeCall& call : judge.calls) {
    if (!applies(call, row)) continue;
    Asking asking(judge, call, client, row);
    if (judge.equal_is_tie && call.shows == JudgeCall::Shows::two && row.answers[0].turns == row.answers[1].turns) {
      verdict.calls.push_back(asking.tie());
      continue;
    }
    for (const Shown& shown : questions_of(judge, call, row, seed)) asking.ask(shown);
    verdict.calls.push_back(asking.finish());
  }
  if (verdict.calls.empty())
    fail("judge " + judge.name, "asks nothing about a row with {} answers, {} questions and {}", row.answers.size(), row.questions.size(),
         row.references.empty() ? "no reference" : "a reference");
  verdict.parsed = std::ranges::all_of(verdict.calls, [](const CallVerdict& call) { return call.parsed; });
  verdict.scores = overall(verdict.calls, row.answers.size());
  decide(verdict, row.answers.size());
  return verdict;
}

OrderedJson with_verdict(OrderedJson row, const Judge& judge, const std::string& model, const JudgedRow& judged, const RowVerdict& verdict) {
  OrderedJson json = {{"judge", judge.name}, {"model", model}, {"parsed", verdict.parsed}};
  const bool has_scores = std::ranges::any_of(verdict.scores, [](const auto& score) { return score.has_value(); });
  if (judged.answers.size() == 1) {
    json["score"] = number_or_null(verdict.scores[0]);
  } else {
    if (has_scores)
      for (size_t i = 0; i < verdict.scores.size(); ++i) json["scores"].push_back(number_or_null(verdict.scores[i]));
    if (verdict.compared || verdict.winner) json["winner"] = verdict.winner ? judged.answers[*verdict.winner].name : "tie";
  }
  const auto& texts = verdict.calls.back().texts;
  json["text"] = texts.empty() ? "" : texts.back();
  for (const CallVerdict& call : verdict.calls) json["calls"].push_back(call_json(call));
  if (const auto completions = row.find("completions"); completions != row.end() && completions->is_array()) {
    for (size_t i = 0; i < completions->size() && i < judged.answers.size(); ++i) annotate((*completions)[i], verdict.calls, i);
  }
  row["verdict"] = std::move(json);
  return row;
}

}  // namespace fettle::feedback
