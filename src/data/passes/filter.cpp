#include "data/passes/filter.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>

#include "data/signals/fasttext_model.h"
#include "data/signals/text_quality.h"
#include "parallel/packed.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

const PhraseMatcher& refusal_signs() {
  static const PhraseMatcher matcher(
      {"i cannot",       "i can't",        "i can not",     "i am unable",    "i'm unable",
       "i am not able",  "i'm not able",   "i won't",       "i will not",     "i'm afraid",
       "i'm sorry",      "i am sorry",     "i apologize",   "as an ai",       "as a language model",
       "language model", "my programming", "my guidelines", "not programmed", "lo siento",
       "no puedo",       "desculpe",       "não posso"});
  return matcher;
}

/// The sentence of `text` (lower-cased) that the bytes [begin, end) stand in.
std::string_view sentence_around(std::string_view text, int64_t begin, int64_t end) {
  constexpr std::string_view stops = ".!?\n";
  const auto before =
      begin > 0 ? text.find_last_of(stops, static_cast<size_t>(begin - 1)) : std::string_view::npos;
  const auto after = text.find_first_of(stops, static_cast<size_t>(end));
  const size_t from = before == std::string_view::npos ? 0 : before + 1;
  return text.substr(from, (after == std::string_view::npos ? text.size() : after) - from);
}

/// What the phrases found in one row.
struct Findings {
  std::map<int32_t, PhraseUse> uses;  ///< of this row alone; rows is 1 where a searched text holds it
  std::set<int64_t> texts;            ///< indices of searched texts with a hit
  std::string detail;                 ///< the first hit and its place
};

bool is_searched(const TextPart& part, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return part.role == "assistant" || part.role == "text";
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
    return name == "all" || name == part.role || name == part.field;
  });
}

void look_at(const TextPart& part, bool searched, const PhraseMatcher& matcher, Findings& findings) {
  std::set<int32_t> seen;
  matcher.find(part.text, [&](const PhraseMatcher::Hit& hit, std::string_view lowered) {
    if (!seen.insert(hit.phrase).second) return;
    auto& use = findings.uses[hit.phrase];
    if (part.role == "user") {
      ++use.user_texts;
    } else {
      ++use.assistant_texts;
      use.refusals += refusal_signs().any(sentence_around(lowered, hit.begin, hit.end));
    }
    if (!searched) return;
    use.rows = 1;
    findings.texts.insert(part.index);
    if (findings.detail.empty()) {
      findings.detail =
          fmt::format("'{}' in {} {}, at byte {}", matcher.phrases()[static_cast<size_t>(hit.phrase)],
                      part.field, part.index, hit.begin);
    }
  });
}

/// The key of the row's list of turns, which drop_pair and zero_weight change; "" where it has none.
std::string turns_key(const std::vector<TextPart>& texts) {
  const auto in_list = std::find_if(texts.begin(), texts.end(), [](const TextPart& part) { return part.turn >= 0; });
  return in_list == texts.end() ? "" : std::string(in_list->field);
}

/// Which turns go with the exchanges that hold a phrase: a question, and what answers it up to the next one, calls and results too.
std::vector<bool> exchanges_of(const std::vector<bool>& hit, const std::vector<bool>& user) {
  std::vector<bool> goes(hit.size(), false);
  for (size_t begin = 0, end = 0; begin < hit.size(); begin = end) {
    end = begin + 1;
    while (user[begin] && end < hit.size() && !user[end]) ++end;
    bool any = false;
    for (size_t i = begin; i < end; ++i) any = any || hit[i];
    for (size_t i = begin; i < end; ++i) goes[i] = any;
  }
  return goes;
}

void change_turns(const RowView& view, const Findings& findings, FilterOptions::OnPhrase how,
                  Verdict& verdict) {
  const auto& texts = view.texts();
  const std::string key = turns_key(texts);
  const bool in_turns = std::all_of(findings.texts.begin(), findings.texts.end(),
                                    [&](int64_t index) { return texts[static_cast<size_t>(index)].turn >= 0; });
  if (key.empty() || !in_turns) {
    verdict.drop = true;  // prompt and completion, or a pair: there is one exchange, which goes as a whole
    return;
  }
  OrderedJson value = view.value();
  auto& turns = value[key];
  std::vector<bool> hit(turns.size(), false), user(turns.size(), false);
  for (const auto& part : texts) {
    if (part.turn < 0) continue;
    const auto turn = static_cast<size_t>(part.turn);
    if (findings.texts.contains(part.index)) hit[turn] = true;
    if (part.role == "user") user[turn] = true;
  }
  const std::vector<bool> goes = exchanges_of(hit, user);
  OrderedJson left = OrderedJson::array();
  bool any_user = false;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (how == FilterOptions::OnPhrase::zero_weight) {
      if (hit[i]) turns[i]["weight"] = 0;
      continue;
    }
    if (goes[i]) continue;
    any_user = any_user || user[i];
    left.push_back(turns[i]);
  }
  if (how == FilterOptions::OnPhrase::drop_pair) {
    verdict.drop = !any_user;
    turns = std::move(left);
  }
  if (verdict.drop) return;
  value.erase("id");
  OrderedJson with_id{{"id", verdict.id}};
  with_id.update(value);
  verdict.rows = {dump_json(with_id)};
}

class Filter {
 public:
  explicit Filter(const FilterOptions& options) : options_(options) {
    if (!options.phrases.empty()) matcher_.emplace(options.phrases);
    if ((options.min_tokens > 0 || options.max_tokens > 0) && options.tokenizer == nullptr) {
      fail_usage("filter: bounds on tokens need a tokenizer");
    }
    if (!options.fasttext.empty()) fasttext_ = std::make_unique<FastTextModel>(options.fasttext);
    if (!options.decontaminate.benchmarks.empty()) benchmarks_.emplace(options.decontaminate);
  }

  void judge(Row& row, RowView& view, Verdict& verdict) {
    const auto drop = [&](std::string reason, std::string detail = "") {
      verdict.drop = true;
      verdict.reason = std::move(reason);
      verdict.detail = std::move(detail);
    };
    note_fields(view);
    for (const auto& rule : options_.fields) {
      const std::string value = view.field(rule.field);
      if ((value == rule.value) == rule.negate) {
        return drop(fmt::format("{} is {}'{}'", rule.field, rule.negate ? "" : "not ", rule.value), value);
      }
    }
    const std::string size = check_size(view);
    if (!size.empty()) return drop(size);
    std::string detail;
    const std::string quality = check_quality(view, detail);
    if (!quality.empty()) return drop(quality, detail);
    const std::string language = check_language(view, detail);
    if (!language.empty()) return drop(language, detail);
    if (benchmarks_) {
      if (const auto match = benchmarks_->find(view)) {
        return drop("holds a benchmark's question",
                    fmt::format("{:.0f} % of '{}' ({})", 100 * match->share, match->question, match->where));
      }
    }
    if (matcher_) check_phrases(view, verdict);
  }

  OrderedJson phrase_report(int64_t& doubtful_rows) const;
  /// What was counted, for rank 0, and added there.
  std::string packed() const;
  void add_packed(std::string_view packed);
  /// Rows that got as far as the language check, by language; empty without one.
  const std::map<std::string, int64_t>& languages() const { return languages_; }
  const std::optional<Benchmarks>& benchmarks() const { return benchmarks_; }
  /// Names that no row knows, after all were judged.
  std::vector<std::string> warnings() const {
    std::vector<std::string> list;
    for (size_t i = 0; i < options_.fields.size(); ++i) {
      if (!found_[i]) list.push_back(fmt::format("no row has the field '{}'; a rule takes it as empty text", options_.fields[i].field));
    }
    if (asked_ && !searched_) list.push_back("no text was searched for phrases: no row has one in the places named");
    return list;
  }

 private:
  /// Written once, so that threads do not take the place from one another.
  static void note(std::atomic<bool>& seen) {
    if (!seen.load(std::memory_order_relaxed)) seen.store(true, std::memory_order_relaxed);
  }
  void note_fields(const RowView& view) {
    for (size_t i = 0; i < found_.size(); ++i) {
      if (!found_[i].load(std::memory_order_relaxed) && !view.field(options_.fields[i].field).empty()) note(found_[i]);
    }
  }

  std::string check_quality(const RowView& view, std::string& detail) const {
    const auto above = [&](double value, double most, const char* what) -> std::string {
      if (value <= most) return "";
      detail = fmt::format("{:.3f}", value);
      return fmt::format("{} above {:g}", what, most);
    };
    std::string why;
    std::string all;
    for (const auto& part : view.texts()) {
      if (options_.max_repetition < 1 && why.empty())
        why = above(repeated_share(part.text), options_.max_repetition, "repetition");
      if (options_.max_digit_run > 0 && why.empty() && longest_digit_run(part.text) >= options_.max_digit_run)
        why = fmt::format("a digit {} times in a row", options_.max_digit_run);
      if (options_.max_symbols < 1 || options_.max_non_ascii < 1) all += part.text;
    }
    if (options_.max_symbols < 1 && why.empty()) why = above(symbol_share(all), options_.max_symbols, "symbols");
    if (options_.max_non_ascii < 1 && why.empty())
      why = above(non_ascii_share(all), options_.max_non_ascii, "characters beyond ASCII");
    return why;
  }

  std::string check_language(const RowView& view, std::string& detail) {
    const auto &keep = options_.keep_languages, &skip = options_.skip_languages;
    if (keep.empty() && skip.empty()) return "";
    std::string all;
    for (const auto& part : view.texts()) all += part.text;
    const Language found = fasttext_ ? fasttext_->detect(all) : detect_language(all);
    {
      const std::lock_guard lock(mutex_);
      ++languages_[found.code];
    }
    detail = fmt::format("{}, {:.2f}", found.code, found.confidence);
    const auto among = [&](const std::vector<std::string>& codes) {
      return std::find(codes.begin(), codes.end(), found.code) != codes.end();
    };
    if (among(skip)) return "language " + found.code;
    if (!keep.empty() && !among(keep)) return "language " + found.code;
    return found.confidence < options_.min_confidence ? "language is not sure" : "";
  }

  std::string check_size(const RowView& view) const {
    int64_t turns = 0, characters = 0, tokens = 0;
    const bool count_tokens = options_.min_tokens > 0 || options_.max_tokens > 0;
    const bool count_all = options_.min_characters > 0 || options_.max_characters > 0;
    for (const auto& part : view.texts()) {
      turns += part.is_turn;
      if (count_all) characters += unicode::count_characters(part.text);
      if (count_tokens) tokens += static_cast<int64_t>(options_.tokenizer->encode(part.text).size());
    }
    const auto outside = [](int64_t value, int64_t low, int64_t high, const char* what) -> std::string {
      if (value < low) return fmt::format("fewer than {} {}", low, what);
      if (high > 0 && value > high) return fmt::format("more than {} {}", high, what);
      return "";
    };
    std::string why = outside(turns, options_.min_turns, options_.max_turns, "turns");
    if (why.empty())
      why = outside(characters, options_.min_characters, options_.max_characters, "characters");
    if (why.empty()) why = outside(tokens, options_.min_tokens, options_.max_tokens, "tokens");
    return why;
  }

  void check_phrases(const RowView& view, Verdict& verdict) {
    note(asked_);
    Findings findings;
    for (const auto& part : view.texts()) {
      const bool searched = is_searched(part, options_.phrase_fields);
      if (searched) note(searched_);
      look_at(part, searched, *matcher_, findings);
    }
    if (findings.uses.empty()) return;
    remember(findings);
    if (findings.texts.empty()) return;
    verdict.reason = "phrase";
    verdict.detail = findings.detail;
    if (options_.on_phrase == FilterOptions::OnPhrase::drop_row) {
      verdict.drop = true;
    } else {
      change_turns(view, findings, options_.on_phrase, verdict);
    }
  }

  void remember(const Findings& findings) {
    const auto in_row = std::count_if(findings.uses.begin(), findings.uses.end(),
                                      [](const auto& use) { return use.second.rows > 0; });
    std::vector<int32_t> removing;
    const std::lock_guard lock(mutex_);
    for (const auto& [phrase, use] : findings.uses) {
      auto& all = uses_[phrase];
      all.rows += use.rows;
      all.alone += use.rows > 0 && in_row == 1;
      all.user_texts += use.user_texts;
      all.assistant_texts += use.assistant_texts;
      all.refusals += use.refusals;
      if (use.rows > 0) removing.push_back(phrase);
    }
    if (!removing.empty()) ++combinations_[removing];
  }

  const FilterOptions& options_;
  std::optional<PhraseMatcher> matcher_;
  std::unique_ptr<FastTextModel> fasttext_;
  std::optional<Benchmarks> benchmarks_;
  std::vector<std::atomic<bool>> found_ = std::vector<std::atomic<bool>>(options_.fields.size());  ///< which rules' fields some row has
  std::atomic<bool> asked_ = false, searched_ = false;  ///< for phrases; a text was searched for them
  std::mutex mutex_;
  std::map<std::string, int64_t> languages_;
  std::map<int32_t, PhraseUse> uses_;
  std::map<std::vector<int32_t>, int64_t> combinations_;  ///< phrases that hit together → rows
};

using PhraseCounts = std::array<int64_t, 5>;
PhraseCounts counts_of(const PhraseUse& use) { return {use.rows, use.alone, use.user_texts, use.assistant_texts, use.refusals}; }

std::string Filter::packed() const {
  parallel::Packer to;
  for (const auto& found : found_) to.put(found.load());
  to.put(asked_.load());
  to.put(searched_.load());
  parallel::put_counts(to, languages_);
  to.put(uses_.size());
  for (const auto& [phrase, use] : uses_) {
    to.put(phrase);
    to.put(counts_of(use));
  }
  to.put(combinations_.size());
  for (const auto& [phrases, rows] : combinations_) {
    to.put(phrases.size());
    for (const int32_t phrase : phrases) to.put(phrase);
    to.put(rows);
  }
  return to.take();
}

void Filter::add_packed(std::string_view packed) {
  parallel::Unpacker from(packed);
  for (auto& found : found_)
    if (from.get<bool>()) note(found);
  if (from.get<bool>()) note(asked_);
  if (from.get<bool>()) note(searched_);
  for (const auto& [code, rows] : parallel::get_counts(from)) languages_[code] += rows;
  for (auto left = from.get<size_t>(); left > 0; --left) {
    auto& use = uses_[from.get<int32_t>()];
    const auto more = from.get<PhraseCounts>();
    use.rows += more[0];
    use.alone += more[1];
    use.user_texts += more[2];
    use.assistant_texts += more[3];
    use.refusals += more[4];
  }
  for (auto left = from.get<size_t>(); left > 0; --left) {
    std::vector<int32_t> phrases(from.get<size_t>());
    for (int32_t& phrase : phrases) phrase = from.get<int32_t>();
    combinations_[std::move(phrases)] += from.get<int64_t>();
  }
}

OrderedJson Filter::phrase_report(int64_t& doubtful_rows) const {
  std::vector<std::pair<int32_t, PhraseUse>> sorted(uses_.begin(), uses_.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.rows > b.second.rows; });
  OrderedJson list = OrderedJson::array();
  for (const auto& [phrase, use] : sorted) {
    list.push_back({{"phrase", options_.phrases[static_cast<size_t>(phrase)]},
                    {"rows", use.rows},
                    {"alone", use.alone},
                    {"user_texts", use.user_texts},
                    {"assistant_texts", use.assistant_texts},
                    {"refusals", use.refusals},
                    {"doubtful", use.doubtful()}});
  }
  for (const auto& [phrases, rows] : combinations_) {
    const bool all_doubtful = std::all_of(phrases.begin(), phrases.end(),
                                          [&](int32_t phrase) { return uses_.at(phrase).doubtful(); });
    if (all_doubtful) doubtful_rows += rows;
  }
  return list;
}

}  // namespace

FieldRule FieldRule::parse(const std::string& text) {
  const size_t equal = text.find('=');
  if (equal == std::string::npos || equal == 0)
    fail_usage("'{}' should be FIELD=VALUE or FIELD!=VALUE", text);
  const bool negate = text[equal - 1] == '!';
  return {text.substr(0, negate ? equal - 1 : equal), text.substr(equal + 1), negate};
}

bool PhraseUse::doubtful() const {
  return 2 * user_texts > user_texts + assistant_texts || 2 * refusals < assistant_texts;
}

PassReport filter_rows(const PassFiles& files, const FilterOptions& options) {
  Filter filter(options);
  auto report = run_pass(
      "filter", files, [&](Row& row, RowView& view, Verdict& verdict) { filter.judge(row, view, verdict); }, {}, ReadBy::pass,
      {[&] { return filter.packed(); }, [&](std::string_view packed) { filter.add_packed(packed); }});
  if (const auto warnings = filter.warnings(); report.in > 0 && !warnings.empty()) report.more["warnings"] = warnings;
  if (!filter.languages().empty()) report.more["languages"] = filter.languages();
  if (filter.benchmarks()) {
    report.more["benchmark_questions"] = filter.benchmarks()->questions();
    report.more["questions_too_short"] = filter.benchmarks()->passed_over();
  }
  if (!options.phrases.empty()) {
    int64_t doubtful_rows = 0;
    report.more["phrases"] = filter.phrase_report(doubtful_rows);
    report.more["doubtful_rows"] = doubtful_rows;
  }
  return report;
}

}  // namespace fettle::data
