#include "data/signals/decontaminate.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "base/hash.h"
#include "base/white_space.h"
#include "data/files/reader.h"

namespace fettle::data {
namespace {

/// Lower case, white space as one space, none at the ends.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : lower_case(text)) {
    if (!is_space(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

/// Words of letters and digits, lower case; everything else in ASCII parts them.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : lower_case(text)) {
    const bool inside = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<uint8_t>(c) >= 0x80;
    if (inside) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text = " ";
  for (const auto& word : words) text += word + " ";
  return text;
}

std::vector<uint64_t> runs_of(const std::vector<std::string>& words, size_t count) {
  std::vector<uint64_t> hashes, runs;
  for (const auto& word : words) hashes.push_back(hash64(word));
  for (size_t i = 0; i + count <= hashes.size(); ++i) {
    runs.push_back(hash64({reinterpret_cast<const char*>(hashes.data() + i), count * sizeof(uint64_t)}));
  }
  return runs;
}

std::string question_of(const RowView& view) {
  for (const auto& part : view.texts()) {
    if (part.role == "user") return std::string(part.text);
  }
  for (const char* key : {"question", "query", "goal", "ctx", "docstring", "text"}) {
    std::string text = view.field(key);
    if (!text.empty()) return text;
  }
  simdjson::dom::array turns;
  std::string_view first;
  if (view.object()["turns"].get(turns) == simdjson::SUCCESS && turns.at(0).get(first) == simdjson::SUCCESS) {
    return std::string(first);
  }
  return "";
}

}  // namespace

Benchmarks::Benchmarks(const DecontaminateOptions& options) : options_(options) {
  if (options.words < 1) fail_usage("decontaminate: runs need at least one word, got {}", options.words);
  if (!(options.overlap > 0) || options.overlap > 1)
    fail_usage("decontaminate: the overlap must lie in (0, 1], got {}", options.overlap);
  RejectedRows rejected;
  RowReader reader(options.benchmarks, rejected);
  std::vector<Row> batch;
  RowView view;
  while (reader.next(batch)) {
    for (auto& row : batch) {
      view.open(row);
      const std::string question = question_of(view);
      if (question.empty()) {
        fail(row.where(), "has no question; expected a user's turn or one of question, query, goal, ctx, turns, text");
      }
      add(question, row.where());
    }
  }
  if (rejected.count() > 0) {
    const auto first = rejected.first().front();
    fail(first.file, "line {} is no row of a benchmark: {}", first.line, first.reason);
  }
  if (!whole_.empty()) matcher_ = std::make_unique<PhraseMatcher>(whole_);
}

void Benchmarks::add(std::string_view text, std::string where) {
  const auto words = words_of(text);
  if (static_cast<int>(words.size()) < options_.shortest) {
    ++passed_over_;
    return;
  }
  const auto number = static_cast<uint32_t>(questions_.size());
  questions_.push_back({std::string(text.substr(0, 200)), std::move(where), 0});
  if (options_.rule == DecontaminateOptions::Rule::substring) {
    whole_.push_back(plain(text));
    whole_of_.push_back(number);
    return;
  }
  auto runs = runs_of(words, static_cast<size_t>(options_.words));
  if (runs.empty()) {
    whole_.push_back(joined(words));
    whole_of_.push_back(number);
    return;
  }
  std::sort(runs.begin(), runs.end());
  runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
  questions_.back().runs = static_cast<uint32_t>(runs.size());
  for (const uint64_t run : runs) runs_.emplace(run, number);
}

std::optional<Benchmarks::Match> Benchmarks::find(const RowView& view) const {
  if (matcher_) {
    const bool as_words = options_.rule == DecontaminateOptions::Rule::overlap;
    for (const auto& part : view.texts()) {
      int32_t hit = -1;
      matcher_->find(as_words ? joined(words_of(part.text)) : plain(part.text), [&](const PhraseMatcher::Hit& found, std::string_view) {
        if (hit < 0) hit = found.phrase;
      });
      if (hit < 0) continue;
      const auto& question = questions_[whole_of_[static_cast<size_t>(hit)]];
      return Match{question.text, question.where, 1};
    }
  }
  return runs_.empty() ? std::nullopt : find_overlap(view);
}

std::optional<Benchmarks::Match> Benchmarks::find_overlap(const RowView& view) const {
  std::optional<Match> best;
  for (const auto& part : view.texts()) {
    std::map<uint32_t, uint32_t> found;
    std::unordered_set<uint64_t> seen;
    for (const uint64_t run : runs_of(words_of(part.text), static_cast<size_t>(options_.words))) {
      const auto [from, to] = runs_.equal_range(run);
      if (from == to || !seen.insert(run).second) continue;
      for (auto at = from; at != to; ++at) ++found[at->second];
    }
    for (const auto& [number, count] : found) {
      const auto& question = questions_[number];
      const double share = static_cast<double>(count) / question.runs;
      if (share < options_.overlap || (best && share <= best->share)) continue;
      best = Match{question.text, question.where, share};
    }
  }
  return best;
}

}  // namespace fettle::data
