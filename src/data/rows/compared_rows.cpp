// Rows of which a verdict, a rank or a score tells the better answer: they become pairs.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/ordered_json.h"
#include "data/rows/row_parts.h"

namespace fettle::data {
namespace {

[[noreturn]] void fail_tie(std::string_view where) {
  throw RowError("a tie", where, "the answers are judged equal, which gives no preference pair");
}

std::optional<double> number_of(const OrderedJson& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return text.empty() || *end != '\0' || !std::isfinite(number) ? std::nullopt : std::optional(number);
}

enum class Better { first, second, neither };

Better by_sign(double difference) {
  return difference > 0 ? Better::first : difference < 0 ? Better::second : Better::neither;
}

/// "model_a", "b", "1", "tie (bothbad)"; `keys` tell from where the answers are counted.
Better by_name(const OrderedJson& value, const std::string& key, const AnswerKeys& keys,
               std::string_view where) {
  const int base = std::string_view(keys.first).back() == '0' ? 0 : 1;
  if (const auto number = number_of(value); number && !value.is_boolean()) {
    if (*number == base) return Better::first;
    if (*number == base + 1) return Better::second;
    if (*number == -1 || (base == 1 && *number == 0)) return Better::neither;
    fail(where, "key '{}' is {}, but the answers are '{}' and '{}'", key, describe(value), keys.first,
         keys.second);
  }
  std::string word = value.is_string() ? value.get<std::string>() : "";
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (word.starts_with("tie") || word == "both" || word == "neither" || word == "equal" || word == "draw")
    return Better::neither;
  if (word == keys.first || word == "first") return Better::first;
  if (word == keys.second || word == "second") return Better::second;
  const auto last = word.find_last_of("_ ");
  const std::string end = last == std::string::npos ? word : word.substr(last + 1);
  if (end == "a" || end == std::to_string(base)) return Better::first;
  if (end == "b" || end == std::to_string(base + 1)) return Better::second;
  fail(where, "key '{}' should name the better of '{}' and '{}' or a tie, found {}", key, keys.first,
       keys.second, describe(value));
}

double need_number(const OrderedJson& value, const std::string& key, std::string_view where) {
  if (const auto number = number_of(value)) return *number;
  fail(where, "key '{}' should be a number, found {}", key, describe(value));
}

/// Reads the verdict in the form that the key's data set gives it.
Better verdict_of(const Fields& fields, const AnswerKeys& keys) {
  const auto where = fields.where();
  const auto number = [&](const char* role) {
    return need_number(*fields.find(role), fields.name(role), where);
  };
  if (fields.has("winner_model_a") && fields.has("winner_model_b"))
    return by_sign(number("winner_model_a") - number("winner_model_b"));
  for (const char* role : {"better_response_id", "winner", "preference", "choice"}) {
    if (const auto* value = fields.find(role)) return by_name(*value, fields.name(role), keys, where);
  }
  // HelpSteer 2 and 3: from -3, the first is much better, to 3, the second is.
  for (const char* role : {"overall_preference", "preference_strength"}) {
    if (fields.has(role)) return by_sign(-number(role));
  }
  if (fields.has("labels"))
    return number("labels") == 1 ? Better::first : Better::second;  // SHP: 1 where A is preferred
  for (const auto& [first, second] : {std::pair{"score_0", "score_1"}, std::pair{"score_a", "score_b"}}) {
    if (fields.has(first) && fields.has(second)) return by_sign(number(first) - number(second));
  }
  fail(where, "nothing tells whether '{}' or '{}' is better", keys.first, keys.second);
}

/// A list of texts, also as the JSON text of one; null where the value is none.
OrderedJson texts_of(const OrderedJson& value) {
  OrderedJson list = value;
  if (value.is_string() && value.get_ref<const std::string&>().starts_with('['))
    list = ordered_json_or_none(value.get_ref<const std::string&>()).value_or(nullptr);
  const bool texts = list.is_array() && !list.empty() &&
                     std::all_of(list.begin(), list.end(),
                                 [](const OrderedJson& item) { return item.is_string() || item.is_null(); });
  return texts ? list : OrderedJson();
}

/// Questions and answers in two lists of the same length become one conversation.
Content zipped(const OrderedJson& questions, const OrderedJson& answers, const std::string& key,
               const Fields& fields, const TurnRules& rules) {
  if (questions.size() != answers.size())
    fail(fields.where(), "key '{}' holds {} answers to {} questions", key, answers.size(), questions.size());
  OrderedJson turns = OrderedJson::array();
  for (size_t i = 0; i < questions.size(); ++i) {
    turns.push_back({{"role", "user"}, {"content", questions[i]}});
    turns.push_back({{"role", "assistant"}, {"content", answers[i]}});
  }
  return {"", turns_from(turns, key, fields.where(), rules), true};
}

void put_pair(Content first, Content second, Better better, const Fields& fields, Example& example) {
  if (better == Better::neither) fail_tie(fields.where());
  if (better == Better::second) std::swap(first, second);
  example.kind = Example::Kind::pair;
  example.completion = std::move(first);
  example.rejected = std::move(second);
}

/// The prompt of a comparison: a text, turns, or WebGPT's {"full_text"}.
Content compared_prompt(const Fields& fields, const TurnRules& rules) {
  std::string key;
  if (const auto* question = fields.find("question"); question != nullptr && question->is_object()) {
    const auto text = question->find("full_text");
    if (text == question->end() || !text->is_string())
      fail(fields.where(), "key '{}' has no text under 'full_text'", fields.name("question"));
    return content_from(*text, "question.full_text", fields.where(), rules);
  }
  if (fields.first_of(prompt_keys()) != nullptr) return prompt_of(fields, rules);
  if (const auto* before = fields.first_of({"history", "context"}, &key))
    return content_from(*before, key, fields.where(), rules);
  if (const auto* turns = find_turns(fields, &key)) return content_from(*turns, key, fields.where(), rules);
  return {};
}

/// One of several answers with what it is judged by.
struct RankedAnswer {
  Content content;
  double value;  ///< the higher, the better
};

const OrderedJson* first_member(const OrderedJson& object, std::initializer_list<const char*> keys,
                          std::string* found = nullptr) {
  for (const char* key : keys) {
    const auto value = object.find(key);
    if (value == object.end() || value->is_null()) continue;
    if (found != nullptr) *found = key;
    return &*value;
  }
  return nullptr;
}

std::optional<double> value_in(const OrderedJson& answer) {
  if (const auto* rank = first_member(answer, {"rank"})) {
    if (const auto number = number_of(*rank)) return -*number;
  }
  const auto* score = first_member(
      answer, {"score", "overall_score", "pm_score", "rating", "reward", "human_score", "preference_score"});
  return score == nullptr ? std::nullopt : number_of(*score);
}

/// Ranks or scores in a list beside the answers.
struct ValueList {
  const OrderedJson* values = nullptr;
  double sign = 1;
};
ValueList values_beside(const Fields& fields, size_t count, const std::string& answers) {
  std::string key;
  ValueList list{fields.first_of({"scores", "ratings", "rewards"}, &key), 1};
  if (list.values == nullptr) list = {fields.first_of({"ranks", "ranking", "rankings", "rank"}, &key), -1};
  if (list.values == nullptr) return list;
  if (!list.values->is_array() || list.values->size() != count)
    fail(fields.where(), "key '{}' should be a list of {} numbers, one for each of '{}', found {}", key,
         count, answers, describe(*list.values));
  return list;
}

std::vector<RankedAnswer> ranked_answers(const Fields& fields, const TurnRules& rules, std::string& key) {
  const auto& items = fields.need_one_of(answer_list_keys(), &key);
  if (!items.is_array())
    fail(fields.where(), "key '{}' should be a list of answers, found {}", key, describe(items));
  const ValueList beside = values_beside(fields, items.size(), key);
  std::vector<RankedAnswer> answers;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto* text = items[i].is_object() ? first_member(items[i], {"answer", "response", "text", "content",
                                                                "completion", "output", "generation"})
                                            : &items[i];
    if (text == nullptr)
      fail(fields.where(), "an answer under '{}' has no text, found {}", key, describe(items[i]));
    std::optional<double> value = items[i].is_object() ? value_in(items[i]) : std::nullopt;
    if (!value && beside.values != nullptr) {
      value = number_of((*beside.values)[i]);
      if (value) *value *= beside.sign;
    }
    if (!value || text->is_null()) continue;
    answers.push_back({content_from(*text, key, fields.where(), rules), *value});
    check_answer(answers.back().content, key, fields.where());
  }
  return answers;
}

}  // namespace

void read_votes(const Fields& fields, const TurnRules& rules, Example& example) {
  const auto& all = compared_keys();
  const auto keys = std::find_if(all.begin(), all.end(), [&](const AnswerKeys& pair) {
    return fields.has(pair.first) && fields.has(pair.second);
  });
  if (keys == all.end())
    fail(fields.where(), "has no two answers side by side (as 'response_a' and 'response_b'), only {}",
         quoted(fields.keys()));
  const Better better = verdict_of(fields, *keys);
  const auto &first = *fields.find(keys->first), &second = *fields.find(keys->second);
  const OrderedJson questions = fields.has("prompt") ? texts_of(*fields.find("prompt")) : OrderedJson();
  const OrderedJson firsts = texts_of(first), seconds = texts_of(second);
  const bool turns = questions.is_array() && firsts.is_array() && seconds.is_array();
  const auto answer = [&](const OrderedJson& value, const OrderedJson& texts, const char* role) {
    Content content = turns ? zipped(questions, texts, fields.name(role), fields, rules)
                            : content_from(value, fields.name(role), fields.where(), rules);
    check_answer(content, fields.name(role), fields.where());
    return content;
  };
  put_pair(answer(first, firsts, keys->first), answer(second, seconds, keys->second), better, fields,
           example);
  if (!turns) example.prompt = compared_prompt(fields, rules);
  if (turns || (example.completion.is_chat && example.prompt.messages.empty() && example.prompt.text.empty()))
    extract_prompt(example);
  make_alike(example);
}

void read_ranked(const Fields& fields, const TurnRules& rules, Example& example) {
  std::string key;
  auto answers = ranked_answers(fields, rules, key);
  if (answers.size() < 2) {
    throw RowError("fewer than two answers with a rank or score", fields.where(),
                   fmt::format("key '{}' holds {} answers with a 'rank' or 'score'; a pair needs two", key,
                               answers.size()));
  }
  const auto [worst, best] = std::minmax_element(
      answers.begin(), answers.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  example.prompt = compared_prompt(fields, rules);
  put_pair(best->content, worst->content, by_sign(best->value - worst->value), fields, example);
  make_alike(example);
}

void read_summaries(const Fields& fields, Example& example) {
  const auto &info = fields.need("info"), &summaries = fields.need("summaries"),
             &choice = fields.need("choice");
  if (!info.is_object() || !summaries.is_array() || summaries.size() != 2)
    fail(fields.where(), "two summaries under '{}' of what stands under '{}' were expected",
         fields.name("summaries"), fields.name("info"));
  const auto part = [&](const char* key) {
    const auto* value = first_member(info, {key});
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  };
  // As the paper asks for summaries (Stiennon et al., 2020).
  std::string prompt;
  if (!part("subreddit").empty()) prompt += "SUBREDDIT: r/" + part("subreddit") + "\n\n";
  if (!part("title").empty()) prompt += "TITLE: " + part("title") + "\n\n";
  prompt += part("post").empty() ? "Article: " + part("article") : "POST: " + part("post");
  if (part("post").empty() && part("article").empty())
    fail(fields.where(), "key '{}' has neither 'post' nor 'article'", fields.name("info"));
  example.prompt.text = prompt + "\n\nTL;DR:";
  const auto summary = [&](size_t i) {
    const auto* text = summaries[i].is_object() ? first_member(summaries[i], {"text"}) : &summaries[i];
    Content content =
        content_from(text != nullptr ? *text : OrderedJson(), "summaries[].text", fields.where());
    check_answer(content, "summaries[].text", fields.where());
    return content;
  };
  put_pair(summary(0), summary(1),
           by_name(choice, fields.name("choice"), {"summary_0", "summary_1"}, fields.where()), fields,
           example);
}

}  // namespace fettle::data
