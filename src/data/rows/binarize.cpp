#include "data/rows/binarize.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "base/hash.h"
#include "data/rows/fields.h"

namespace fettle::data {
namespace {

constexpr std::array<std::pair<BinarizeRule, std::string_view>, 4> rules{
    {{BinarizeRule::corrected, "corrected"},
     {BinarizeRule::zephyr, "zephyr"},
     {BinarizeRule::zephyr_beta, "zephyr-beta"},
     {BinarizeRule::argilla_mean, "argilla-mean"}}};

/// A number, or text that is one ("N/A" and the like are none).
std::optional<double> number(const OrderedJson* value) {
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->get<double>();
  if (!value->is_string()) return std::nullopt;
  const auto text = value->get<std::string>();
  char* end = nullptr;
  const double parsed = std::strtod(text.c_str(), &end);
  if (end == text.c_str()) return std::nullopt;
  return parsed;
}

const OrderedJson* member(const OrderedJson& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// Mean of the aspects' ratings, those that are N/A left out.
std::optional<double> mean_rating(const OrderedJson& completion) {
  double sum = 0;
  int count = 0;
  if (const auto* annotations = member(completion, "annotations");
      annotations != nullptr && annotations->is_object()) {
    for (const auto& [aspect, judgement] : annotations->items()) {
      // Some releases hold one judgement per aspect, some a list of them.
      const auto& first = judgement.is_array() && !judgement.empty() ? judgement[0] : judgement;
      if (const auto rating = number(member(first, "Rating"))) {
        sum += *rating;
        ++count;
      }
    }
  }
  if (count > 0) return sum / count;
  return number(member(completion, "fine-grained_score"));
}

std::string text_of(const OrderedJson& completion, const char* key, std::string_view where) {
  const auto* value = member(completion, key);
  if (value == nullptr || !value->is_string()) fail(where, "a completion has no text under '{}'", key);
  return value->get<std::string>();
}

}  // namespace

struct Binarizer::Scored {
  double score;
  std::string text, model;
  bool operator==(const Scored&) const = default;
};

std::string_view binarize_rule_name(BinarizeRule rule) {
  return std::find_if(rules.begin(), rules.end(), [&](const auto& entry) { return entry.first == rule; })
      ->second;
}

Json to_json(const BinarizeReport& report) {
  return {{"in", report.rows},
          {"out", report.pairs},
          {"reasons", report.dropped},
          {"ties", report.ties},
          {"repaired_tens", report.repaired_tens},
          {"ambiguous_tens", report.ambiguous_tens},
          {"mean_margin", report.mean_margin}};
}

Binarizer::Binarizer(BinarizeOptions options) : options_(options), random_(options.seed) {}

std::optional<double> Binarizer::score(const OrderedJson& completion) {
  if (options_.rule == BinarizeRule::argilla_mean) return mean_rating(completion);
  const auto overall = number(member(completion, "overall_score"));
  if (!overall || options_.rule != BinarizeRule::corrected || *overall < 10) return overall;
  // The annotation code turned every 1 into a 10; the ratings tell which it was (OpenBMB/UltraFeedback, issue
  // 8).
  const auto mean = mean_rating(completion);
  if (mean && *mean > 4) return overall;
  if (mean && *mean <= 2) {
    ++report_.repaired_tens;
    return 1.0;
  }
  ++report_.ambiguous_tens;
  return std::nullopt;
}

size_t Binarizer::draw_rejected(const std::vector<Scored>& all, size_t chosen, std::string_view content) {
  const auto allowed = [&](size_t i) {
    return options_.rule == BinarizeRule::argilla_mean ? all[i].score < all[chosen].score
                                                       : !(all[i] == all[chosen]);
  };
  std::vector<size_t> candidates;
  for (size_t i = 0; i < all.size(); ++i) {
    if (allowed(i)) candidates.push_back(i);
  }
  if (candidates.empty()) return chosen;
  if (options_.rule == BinarizeRule::corrected || options_.rule == BinarizeRule::argilla_mean) {
    return candidates[hash64(content, options_.seed) % candidates.size()];
  }
  if (options_.rule == BinarizeRule::zephyr_beta) random_ = PythonRandom(options_.seed);
  size_t drawn = random_.below(all.size());
  while (!allowed(drawn)) drawn = random_.below(all.size());
  return drawn;
}

std::optional<ScoredPair> Binarizer::add(const OrderedJson& row, const Columns& columns,
                                         std::string_view where, std::string& reason) {
  const Fields fields(row, columns, where);
  const auto drop = [&](const char* why) {
    ++report_.dropped[reason = why];
    return std::nullopt;
  };
  const std::string instruction = fields.text("instruction");
  const auto& completions = fields.need("completions");
  if (!completions.is_array())
    fail(where, "key '{}' should be a list, found {}", fields.name("completions"), describe(completions));
  ++report_.rows;
  if (options_.rule == BinarizeRule::corrected && fields.has("source") &&
      *fields.find("source") == "truthful_qa") {
    return drop("benchmark question (truthful_qa)");
  }
  std::vector<Scored> scored;
  for (const auto& completion : completions) {
    const std::string text = text_of(completion, "response", where);
    const auto* model = member(completion, "model");
    const auto value = score(completion);
    if (value)
      scored.push_back(
          {*value, text, model != nullptr && model->is_string() ? model->get<std::string>() : ""});
  }
  if (scored.size() < 2) return drop("fewer than two scored completions");
  const auto better = [](const Scored& a, const Scored& b) { return a.score < b.score; };
  const auto chosen =
      static_cast<size_t>(std::max_element(scored.begin(), scored.end(), better) - scored.begin());
  const size_t rejected = draw_rejected(scored, chosen, instruction);
  if (rejected == chosen) return drop("no completion scored lower");
  const double margin = scored[chosen].score - scored[rejected].score;
  if (margin < options_.min_margin) return drop("margin too small");

  ScoredPair pair;
  pair.chosen_score = scored[chosen].score;
  pair.rejected_score = scored[rejected].score;
  pair.chosen_model = scored[chosen].model;
  pair.rejected_model = scored[rejected].model;
  pair.example.kind = Example::Kind::pair;
  pair.example.prompt = {"", {Message{"user", instruction}}, true};
  pair.example.completion = {"", {Message{"assistant", scored[chosen].text}}, true};
  pair.example.rejected = {"", {Message{"assistant", scored[rejected].text}}, true};
  report_.ties += margin == 0;
  margins_ += margin;
  report_.mean_margin = margins_ / static_cast<double>(++report_.pairs);
  return pair;
}

Example binarize_row(const OrderedJson& row, const Columns& columns, std::string_view where) {
  std::string reason;
  Binarizer binarizer({});
  auto pair = binarizer.add(row, columns, where, reason);
  if (!pair) fail(where, "gives no preference pair: {}", reason);
  return std::move(pair->example);
}

}  // namespace fettle::data
