#include "feedback/reply_rules.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/ordered_json.h"
#include "feedback/rated_texts.h"
#include "feedback/reply_text.h"

namespace fettle::feedback {
namespace {

constexpr std::array<std::pair<ReplyForm, std::string_view>, 12> forms{{{ReplyForm::bracketed_score, "bracketed_score"},
                                                                       {ReplyForm::bracketed_letter, "bracketed_letter"},
                                                                       {ReplyForm::overall_score, "overall_score"},
                                                                       {ReplyForm::rated_texts, "rated_texts"},
                                                                       {ReplyForm::typed_texts, "typed_texts"},
                                                                       {ReplyForm::marked_score, "marked_score"},
                                                                       {ReplyForm::two_scores, "two_scores"},
                                                                       {ReplyForm::last_two_scores, "last_two_scores"},
                                                                       {ReplyForm::ranking, "ranking"},
                                                                       {ReplyForm::chosen_token, "chosen_token"},
                                                                       {ReplyForm::expected_score, "expected_score"},
                                                                       {ReplyForm::criteria, "criteria"}}};

using MaybeReading = std::optional<ReplyReading>;

MaybeReading one_score(std::optional<double> score) {
  if (!score) return std::nullopt;
  ReplyReading reading;
  reading.texts.push_back({score, OrderedJson::object()});
  return reading;
}

MaybeReading scores(std::optional<double> first, std::optional<double> second) {
  if (!first || !second) return std::nullopt;
  ReplyReading reading;
  reading.texts = {{first, OrderedJson::object()}, {second, OrderedJson::object()}};
  return reading;
}

MaybeReading preference(double value) {
  ReplyReading reading;
  reading.preference = value;
  return reading;
}

/// The first "OPEN number CLOSE". A whole number with a zero in front is none in Python, which reads the published ones.
std::optional<double> bracketed(std::string_view text, std::string_view open, std::string_view close) {
  for (size_t at = text.find(open); at != std::string_view::npos; at = text.find(open, at + 1)) {
    size_t end = at + open.size();
    const size_t begin = end;
    auto value = number_at(text, end);
    if (!value) continue;
    bool fraction = text.substr(begin, end - begin).find('.') != std::string_view::npos;
    if (!fraction && end < text.size() && text[end] == '.') {
      fraction = true;
      ++end;
    }
    if (!text.substr(end).starts_with(close)) continue;
    if (!fraction && *value > 0.0 && text[begin] == '0') return std::nullopt;
    return value;
  }
  return std::nullopt;
}

MaybeReading bracketed_score(std::string_view text) {
  const auto twice = bracketed(text, "[[", "]]");
  return one_score(twice ? twice : bracketed(text, "[", "]"));
}

MaybeReading bracketed_letter(std::string_view text) {
  for (const auto& [letter, value] : {std::pair{"[[A]]", 1.0}, {"[[B]]", 2.0}, {"[[C]]", 1.5}}) {
    if (text.find(letter) != std::string_view::npos) return preference(value);
  }
  return std::nullopt;
}

MaybeReading overall_score(const ReplyRules& rules, std::string_view text) {
  const auto parts = split_at(text, "\nOverall Score: ");
  if (parts.size() != 2) return std::nullopt;
  std::string_view said = trimmed(parts[1]);
  size_t end = 0;
  auto score = number_at(said, end, !rules.as_published);
  if (!score) return std::nullopt;
  if (rules.as_published) {
    // Up to the first ".", then before a "/": the rest must be the number alone.
    said = said.substr(0, said.find('.'));
    score = whole_text_number(said.substr(0, said.find('/')));
    if (!score) return std::nullopt;
  }
  if (rules.one_as_ten && *score <= 1.0) *score *= 10.0;
  auto reading = one_score(score);
  reading->critique = trimmed(parts[0]);
  return reading;
}

/// The number behind a marker, which Markdown may stand around.
std::optional<double> number_behind(std::string_view text, size_t at, bool as_published) {
  if (as_published) {
    if (at >= text.size() || text[at] != ' ') return std::nullopt;
    ++at;
    return at < text.size() ? number_at(text.substr(0, at + 1), at, false) : std::nullopt;
  }
  while (at < text.size() && std::string_view(" \t*_`[<(").find(text[at]) != std::string_view::npos) ++at;
  return number_at(text, at);
}

MaybeReading marked_score(const ReplyRules& rules, std::string_view text) {
  std::optional<double> last;
  for (size_t at = text.find(rules.marker); at != std::string_view::npos; at = text.find(rules.marker, at + 1)) {
    const auto score = number_behind(text, at + rules.marker.size(), rules.as_published);
    if (rules.as_published && score) return one_score(score);
    if (!rules.as_published) last = score;  // the last one counts, also when it is none: "Score: I cannot say"
  }
  return one_score(last);
}

MaybeReading two_scores(const ReplyRules& rules, std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  std::replace(line.begin(), line.end(), ',', ' ');
  auto parts = split_at(line, " ");
  if (!rules.as_published) std::erase_if(parts, [](std::string_view part) { return trimmed(part).empty(); });
  if (parts.size() != 2) return std::nullopt;
  return scores(whole_text_number(parts[0]), whole_text_number(parts[1]));
}

MaybeReading last_two_scores(const ReplyRules& rules, std::string_view text) {
  const auto lines = split_at(rules.as_published ? text : trimmed(text), "\n");
  if (lines.size() < 2) return std::nullopt;
  const auto number = [](std::string_view line) {
    const size_t colon = line.rfind(':');
    return whole_text_number(colon == std::string_view::npos ? line : line.substr(colon + 1));
  };
  return scores(number(lines[lines.size() - 2]), number(lines[lines.size() - 1]));
}

MaybeReading ranking(const ReplyRules& rules, std::string_view text) {
  if (!rules.as_published) {
    const size_t begin = text.find('['), end = text.rfind(']');
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return std::nullopt;
    text = text.substr(begin, end - begin + 1);
  }
  const auto rows = literal_rows(text);
  if (!rows) return std::nullopt;
  const auto value = [](const LiteralRow& row, std::string_view key) {
    const auto found = std::ranges::find(row, key, [](const auto& member) { return std::string_view(member.first); });
    return found == row.end() ? std::string() : found->second;
  };
  for (const LiteralRow& row : *rows) {
    if (value(row, "model") != "model_1") continue;
    const std::string rank = value(row, "rank");
    if (rank == "1" || rank == "2") return preference(rank == "1" ? 1.0 : 2.0);
    return std::nullopt;
  }
  return std::nullopt;
}

/// The first token's alternatives, the token itself where the endpoint gave none.
std::vector<std::pair<std::string, double>> first_token(const ChatChoice& reply) {
  if (reply.logprobs.empty()) return {};
  auto top = reply.logprobs.front().top;
  if (top.empty()) top.emplace_back(reply.logprobs.front().token, reply.logprobs.front().logp);
  return top;
}

MaybeReading chosen_token(const ReplyRules& rules, const ChatChoice& reply) {
  std::array<double, 2> logp{-std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  bool any = false;
  for (const auto& [token, value] : first_token(reply)) {
    for (size_t i = 0; i < 2; ++i) {
      if (token != rules.tokens[i]) continue;
      logp[i] = value;
      any = true;
    }
  }
  if (!any || !(std::max(logp[0], logp[1]) > -std::numeric_limits<double>::infinity())) return std::nullopt;
  return preference(2.0 - 1.0 / (1.0 + std::exp(logp[1] - logp[0])));
}

MaybeReading expected_score(const ReplyRules& rules, const ChatChoice& reply) {
  double mass = 0.0, sum = 0.0;
  for (const auto& [token, logp] : first_token(reply)) {
    const auto score = whole_text_number(token);
    if (!score || *score != std::round(*score) || *score < rules.low || *score > rules.high) continue;
    mass += std::exp(logp);
    sum += *score * std::exp(logp);
  }
  if (!(mass > 0.0)) return std::nullopt;
  auto reading = one_score(sum / mass);
  reading->texts[0].details["probability"] = mass;
  return reading;
}

MaybeReading criteria(const ReplyRules& rules, std::string_view text) {
  const size_t begin = text.find('{'), end = text.rfind('}');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return std::nullopt;
  const auto json = ordered_json_or_none(text.substr(begin, end - begin + 1));
  if (!json || !json->is_object()) return std::nullopt;
  double sum = 0.0, weights = 0.0;
  ReplyReading reading;
  TextReading& of = reading.texts.emplace_back();
  for (size_t i = 0; i < rules.names.size(); ++i) {
    const auto found = json->find(rules.names[i]);
    if (found == json->end() || !found->is_number()) return std::nullopt;
    const double value = found->get<double>(), weight = rules.weights.empty() ? 1.0 : rules.weights[i];
    if (!(value >= rules.low && value <= rules.high)) return std::nullopt;
    of.details[rules.names[i]] = *found;
    sum += weight * value;
    weights += weight;
  }
  if (!(weights > 0.0)) return std::nullopt;
  of.score = sum / weights;
  return reading;
}

MaybeReading read_form(const ReplyRules& rules, const ChatChoice& reply, size_t texts) {
  const std::string_view text = reply.text;
  switch (rules.form) {
    case ReplyForm::bracketed_score: return bracketed_score(text);
    case ReplyForm::bracketed_letter: return bracketed_letter(text);
    case ReplyForm::overall_score: return overall_score(rules, text);
    case ReplyForm::rated_texts: return rated_texts(rules, text, texts, false);
    case ReplyForm::typed_texts: return rated_texts(rules, text, texts, true);
    case ReplyForm::marked_score: return marked_score(rules, text);
    case ReplyForm::two_scores: return two_scores(rules, text);
    case ReplyForm::last_two_scores: return last_two_scores(rules, text);
    case ReplyForm::ranking: return ranking(rules, text);
    case ReplyForm::chosen_token: return chosen_token(rules, reply);
    case ReplyForm::expected_score: return expected_score(rules, reply);
    case ReplyForm::criteria: return criteria(rules, text);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ReplyReading> read_verdict(const ReplyRules& rules, const ChatChoice& reply, size_t texts) {
  MaybeReading reading = read_form(rules, reply, texts);
  if (!reading) return std::nullopt;
  for (const TextReading& text : reading->texts) {
    if (text.score && !(*text.score >= rules.low && *text.score <= rules.high)) return std::nullopt;
  }
  if (!reading->preference && reading->texts.size() != texts) return std::nullopt;
  return reading;
}

ReplyForm reply_form_from_name(std::string_view name, std::string_view where) {
  std::vector<std::string> names;
  for (const auto& [form, known] : forms) {
    if (known == name) return form;
    names.emplace_back(known);
  }
  fail(where, "'{}' is no form of reply; known are {}", name, fmt::join(names, ", "));
}

std::string_view reply_form_name(ReplyForm form) { return forms[static_cast<size_t>(form)].second; }

bool is_comparison(ReplyForm form) {
  return form == ReplyForm::bracketed_letter || form == ReplyForm::ranking || form == ReplyForm::chosen_token;
}

}  // namespace fettle::feedback
