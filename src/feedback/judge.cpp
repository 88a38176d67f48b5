#include "feedback/judge.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "feedback/judge_slots.h"
#include "feedback/published_prompts.h"

namespace fettle::feedback {
namespace {

/// Reads the keys of one mapping; finish() refuses those that nobody asked for.
class Keys {
 public:
  Keys(const YamlDocument& document, const OrderedJson& value, std::string path) : document_(document), value_(value), path_(std::move(path)) {
    if (!value.is_object()) fail(document.place(path_), "{} must be a mapping", path_.empty() ? "a judge" : path_);
  }

  std::string place(const std::string& key) const { return document_.place(path_of(key)); }
  const OrderedJson* find(const std::string& key) {
    known_.push_back(key);
    const auto found = value_.find(key);
    return found == value_.end() || found->is_null() ? nullptr : &*found;
  }
  std::string text(const std::string& key, std::string fallback) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) fail(place(key), "{} must be a text", path_of(key));
    return value->get<std::string>();
  }
  double number(const std::string& key, double fallback, double least, double most) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
      fail(place(key), "{} must be a number from {} to {}", path_of(key), least, most);
    return value->get<double>();
  }
  int whole(const std::string& key, int fallback, int least, int most) {
    const double value = number(key, fallback, least, most);
    if (value != static_cast<double>(static_cast<int>(value))) fail(place(key), "{} must be a whole number", path_of(key));
    return static_cast<int>(value);
  }
  std::optional<bool> flag(const std::string& key) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) fail(place(key), "{} must be true or false", path_of(key));
    return value->get<bool>();
  }
  std::vector<std::string> texts(const std::string& key, std::vector<std::string> fallback) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return fallback;
    std::vector<std::string> result;
    if (value->is_array()) {
      for (const auto& item : *value) {
        if (!item.is_string()) fail(place(key), "{} must be a list of texts", path_of(key));
        result.push_back(item.get<std::string>());
      }
    } else {
      fail(place(key), "{} must be a list of texts", path_of(key));
    }
    return result;
  }
  void finish() const {
    for (const auto& [key, value] : value_.items()) {
      if (std::ranges::find(known_, key) != known_.end()) continue;
      const auto near = nearest_name(key, known_);
      fail(place(key), "'{}' is no key here{}; known are {}", key, near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(known_, ", "));
    }
  }
  std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

 private:
  const YamlDocument& document_;
  const OrderedJson& value_;
  std::string path_;
  std::vector<std::string> known_;
};

ReplyRules read_rules(const YamlDocument& document, const OrderedJson& value, const std::string& path) {
  Keys keys(document, value, path);
  ReplyRules rules;
  rules.form = reply_form_from_name(keys.text("form", "marked_score"), keys.place("form"));
  rules.low = keys.number("low", rules.low, -1e9, 1e9);
  rules.high = keys.number("high", rules.high, -1e9, 1e9);
  rules.as_published = keys.flag("as_published").value_or(false);
  rules.one_as_ten = keys.flag("one_as_ten").value_or(false);
  rules.marker = keys.text("marker", rules.marker);
  rules.tokens = keys.texts("tokens", rules.tokens);
  if (const OrderedJson* criteria = keys.find("criteria")) {
    Keys each(document, *criteria, path + ".criteria");
    for (const auto& [name, weight] : criteria->items()) {
      rules.names.push_back(name);
      rules.weights.push_back(each.number(name, 1.0, 0.0, 1e6));
    }
  }
  keys.finish();
  if (rules.marker.empty()) fail(keys.place("marker"), "the marker must not be empty");
  if (rules.low > rules.high) fail(keys.place("low"), "low is above high");
  if (rules.tokens.size() != 2 || rules.tokens[0] == rules.tokens[1]) fail(keys.place("tokens"), "tokens must be two different ones");
  if (rules.form == ReplyForm::criteria && rules.names.empty()) fail(keys.place("criteria"), "name the criteria, each with its weight");
  if (rules.form == ReplyForm::expected_score && !(rules.low >= 0.0 && rules.high <= 1000.0))
    fail(keys.place("form"), "expected_score needs low and high, whole numbers from 0 to 1000");
  return rules;
}

JudgeCall::Shows shows_from_name(const std::string& name, const std::string& where) {
  if (name == "one") return JudgeCall::Shows::one;
  if (name == "two") return JudgeCall::Shows::two;
  if (name == "all") return JudgeCall::Shows::all;
  fail(where, "shows must be one, two or all, found '{}'", name);
}

void check_call(const JudgeCall& call, const std::string& where) {
  const bool two_scores = call.reply.form == ReplyForm::two_scores || call.reply.form == ReplyForm::last_two_scores;
  const bool many = call.reply.form == ReplyForm::rated_texts || call.reply.form == ReplyForm::typed_texts;
  if ((is_comparison(call.reply.form) || two_scores) && call.shows != JudgeCall::Shows::two)
    fail(where, "replies of the form {} are about two answers: shows must be two", reply_form_name(call.reply.form));
  if (!is_comparison(call.reply.form) && !two_scores && !many && call.shows != JudgeCall::Shows::one)
    fail(where, "replies of the form {} are about one answer: shows must be one", reply_form_name(call.reply.form));
}

JudgeCall read_call(const YamlDocument& document, const OrderedJson& value, const std::string& path) {
  Keys keys(document, value, path);
  JudgeCall call;
  call.name = keys.text("name", "score");
  call.shows = shows_from_name(keys.text("shows", "one"), keys.place("shows"));
  call.max_tokens = keys.whole("max_tokens", 1024, 1, 1 << 20);
  call.reference = keys.flag("reference");
  if (keys.find("turns") != nullptr) call.turns = keys.whole("turns", 1, 1, 2);
  if (const OrderedJson* reply = keys.find("reply")) call.reply = read_rules(document, *reply, keys.path_of("reply"));
  const auto known = slots_of(call.shows, call.turns.value_or(1), call.reference.value_or(false));
  const std::string system = keys.text("system", ""), user = keys.text("user", "");
  if (user.empty()) fail(keys.place("user"), "says nothing to the judge: `user` is missing");
  if (!system.empty()) call.messages.push_back({"system", {system, PromptTemplate::Style::braces, known, keys.place("system")}});
  call.messages.push_back({"user", {user, PromptTemplate::Style::braces, known, keys.place("user")}});
  keys.finish();
  check_call(call, document.place(path));
  return call;
}

ShownOrder order_from_name(const std::string& name, const std::string& where) {
  if (name == "as_given") return ShownOrder::as_given;
  if (name == "random") return ShownOrder::random;
  if (name == "alpaca_eval") return ShownOrder::alpaca_eval;
  if (name == "both") return ShownOrder::both;
  fail(where, "order must be as_given, random, alpaca_eval or both, found '{}'", name);
}

}  // namespace

Judge judge_from_yaml(const YamlDocument& document) {
  Keys keys(document, document.value, "");
  Judge judge;
  judge.name = keys.text("name", "judge");
  judge.about = keys.text("about", "");
  judge.order = order_from_name(keys.text("order", "as_given"), keys.place("order"));
  judge.samples = keys.whole("samples", 1, 1, 64);
  judge.tries = keys.whole("tries", 3, 1, 64);
  judge.equal_is_tie = keys.flag("equal_is_tie").value_or(false);
  judge.knowledge_without = keys.text("knowledge_without", judge.knowledge_without);
  judge.sampling.temperature = static_cast<float>(keys.number("temperature", 0.0, 0.0, 100.0));
  judge.sampling.top_p = static_cast<float>(keys.number("top_p", 1.0, 1e-6, 1.0));
  judge.sampling.seed = static_cast<uint64_t>(keys.whole("seed", 0, 0, 1 << 30));
  const OrderedJson* calls = keys.find("calls");
  if (calls == nullptr || !calls->is_array() || calls->empty()) fail(keys.place("calls"), "calls must be a list of what the judge is asked");
  for (size_t i = 0; i < calls->size(); ++i) judge.calls.push_back(read_call(document, (*calls)[i], "calls." + std::to_string(i)));
  keys.finish();
  return judge;
}

Judge read_judge(const fs::path& file) {
  if (file.extension() == ".jsonl") return judge_of_fastchat(file);
  if (file.extension() == ".txt") return judge_of_alpaca_eval(file);
  return judge_from_yaml(read_yaml(file));
}

std::vector<std::string> judge_preset_names() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : judge_files()) names.push_back(fs::path(file.name).stem().string());
  return names;
}

Judge judge_preset(std::string_view name) {
  for (const EmbeddedFile& file : judge_files()) {
    if (fs::path(file.name).stem() == name) return judge_from_yaml(parse_yaml(file.bytes, file.name));
  }
  const auto names = judge_preset_names();
  const auto near = nearest_name(name, names);
  fail_usage("preset: '{}' is no judge that ships{}; known are {}", name, near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", "));
}

}  // namespace fettle::feedback
