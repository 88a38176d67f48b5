#include "data/passes/stats.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/external_sort.h"
#include "data/files/unread_input.h"
#include "data/rows/example.h"
#include "data/signals/language.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

struct Look {
  std::string format, language, problem;
  int64_t turns = 0, characters = 0, tokens = 0;
  uint64_t text_hash = 0;
  bool has_id = false, readable = false, repaired = false;
  std::vector<std::pair<std::string, int64_t>> roles;  ///< role and characters of each text
  std::vector<std::string> groups;
};

/// What the format is told by: the keys, the kinds of their values, and texts.
OrderedJson outline(simdjson::dom::object row) {
  auto made = OrderedJson::object();
  for (const auto field : row) {
    auto& value = made[std::string(field.key)];
    if (field.value.is_array()) {
      value = OrderedJson::array();
    } else if (field.value.is_object()) {
      value = OrderedJson::object();
    } else {
      value = to_ordered_json(field.value);
    }
  }
  return made;
}

Look look_at(Row& row, RowView& view, const StatsOptions& options) {
  Look look;
  try {
    view.open(row);
    look.readable = true;
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    look.problem = error.what();
    return look;
  }
  look.repaired = view.repaired();
  look.has_id = !view.id().empty();
  try {
    look.format = format_name(detect_format(outline(view.object()), {}, row.where()));
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    look.format = "unknown";
  }
  Hasher hasher;
  for (const auto& part : view.texts()) {
    const int64_t characters = unicode::count_characters(part.text);
    look.turns += part.is_turn;
    look.characters += characters;
    look.roles.emplace_back(part.role, characters);
    if (options.tokenizer != nullptr)
      look.tokens += static_cast<int64_t>(options.tokenizer->encode(part.text).size());
    hasher.add(part.text);
  }
  if (options.languages) {
    std::string all;
    for (const auto& part : view.texts()) all.append(part.text).append("\n");
    look.language = detect_language(all).code;
  }
  look.text_hash = std::stoull(hasher.hex().substr(0, 16), nullptr, 16);
  for (const auto& field : options.group_by) look.groups.push_back(view.field(field));
  return look;
}

/// How many of the hashes came before.
int64_t repeats(ExternalSort<uint64_t>& hashes) {
  int64_t count = 0;
  uint64_t before = 0, hash = 0;
  for (bool any = false; hashes.next(hash); any = true) {
    count += any && hash == before;
    before = hash;
  }
  return count;
}

/// Values of a field beyond this many different ones are counted together.
constexpr size_t most_groups = 1000;

OrderedJson distribution_json(const Distribution& d) {
  return {{"count", d.count}, {"total", d.total}, {"mean", d.mean},     {"least", d.least},
          {"p5", d.p5},       {"p25", d.p25},     {"median", d.median}, {"p75", d.p75},
          {"p95", d.p95},     {"p99", d.p99},     {"most", d.most},     {"histogram", d.histogram}};
}

std::string line_of(const std::string& name, const Distribution& d) {
  return fmt::format("{:<24}{:>12}{:>10.1f}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}\n", name, d.total, d.mean, d.least,
                     d.p5, d.median, d.p95, d.p99, d.most);
}

}  // namespace

Distribution Distribution::of(const std::map<int64_t, int64_t>& counts) {
  Distribution d;
  if (counts.empty()) return d;
  std::map<int64_t, int64_t> bins;
  for (const auto& [value, count] : counts) {
    d.count += count;
    d.total += value * count;
    bins[value <= 0 ? 0 : static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(value)))] += count;
  }
  const auto at = [&](double share) {
    auto rank = std::max(int64_t{1}, static_cast<int64_t>(std::ceil(share * static_cast<double>(d.count))));
    for (const auto& [value, count] : counts) {
      rank -= count;
      if (rank <= 0) return value;
    }
    return counts.rbegin()->first;
  };
  d.histogram.assign(bins.begin(), bins.end());
  d.mean = static_cast<double>(d.total) / static_cast<double>(d.count);
  d.least = counts.begin()->first;
  d.most = counts.rbegin()->first;
  d.p5 = at(0.05);
  d.p25 = at(0.25);
  d.median = at(0.5);
  d.p75 = at(0.75);
  d.p95 = at(0.95);
  d.p99 = at(0.99);
  return d;
}

StatsReport data_stats(const std::vector<std::string>& inputs, const StatsOptions& options) {
  StatsReport report;
  RejectedRows rejected;
  InputTally tally;
  const auto files = tally.openable(inputs);
  std::optional<RowReader> reader;
  if (!files.empty()) reader.emplace(files, rejected);
  Progress progress("stats", 0, "rows");
  std::map<int64_t, int64_t> turns, characters, tokens;
  std::map<std::string, std::map<int64_t, int64_t>> role_characters;
  const TemporaryFolder folder;
  ExternalSort<uint64_t> texts(folder.path(), "texts", size_t{64} << 20);
  std::vector<Row> batch;
  std::vector<Unreadable> unreadable;
  std::mutex columns;
  while (reader && reader->next(batch, unreadable)) {
    throw_if_interrupted();
    for (const auto& [before, broken] : unreadable)
      tally.broken(broken.file, broken.detail.empty() ? broken.reason : broken.reason + ": " + broken.detail);
    std::vector<Look> looks(batch.size());
    parallel_for(static_cast<int64_t>(batch.size()), 16, [&](int64_t begin, int64_t end) {
      RowView view;
      ReadRows rows;
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        looks[i] = look_at(batch[i], view, options);
        if (looks[i].readable) rows.add(view);
      }
      const std::lock_guard lock(columns);
      report.columns.add(rows);
    });
    for (size_t row = 0; row < looks.size(); ++row) {
      const auto& look = looks[row];
      if (!look.readable) {
        ++report.rejected;
        tally.broken(*batch[row].file, look.problem);
        continue;
      }
      tally.read(*batch[row].file);
      ++report.rows;
      report.repaired += look.repaired;
      report.without_id += !look.has_id;
      if (!look.roles.empty()) texts.add(look.text_hash);
      ++report.formats[look.format];
      if (options.languages) ++report.languages[look.language];
      ++turns[look.turns];
      ++characters[look.characters];
      if (options.tokenizer != nullptr) ++tokens[look.tokens];
      for (const auto& [role, length] : look.roles) {
        ++report.roles[role];
        ++role_characters[role][length];
      }
      for (size_t i = 0; i < look.groups.size(); ++i) {
        if (look.groups[i].empty()) continue;
        auto& counts = report.groups[options.group_by[i]];
        ++counts[counts.size() < most_groups || counts.contains(look.groups[i]) ? look.groups[i]
                                                                                : other_groups];
      }
    }
    progress.advance(batch.size());
  }
  report.equal_texts = repeats(texts);
  report.turns = Distribution::of(turns);
  report.characters = Distribution::of(characters);
  report.tokens = Distribution::of(tokens);
  for (const auto& [role, lengths] : role_characters)
    report.role_characters[role] = Distribution::of(lengths);
  if (reader) report.read = reader->report();
  report.unread = tally.unread();
  report.rejected += report.read.rejected;
  report.repaired += report.read.repaired;
  return report;
}

OrderedJson to_json(const StatsReport& report) {
  OrderedJson json{{"rows", report.rows},
                   {"rejected", report.rejected},
                   {"repaired", report.repaired},
                   {"without_id", report.without_id},
                   {"equal_texts", report.equal_texts},
                   {"bytes", report.read.bytes},
                   {"files", report.read.files},
                   {"formats", report.formats},
                   {"roles", report.roles},
                   {"groups", report.groups},
                   {"turns", distribution_json(report.turns)},
                   {"characters", distribution_json(report.characters)}};
  add_columns(report.columns, json);
  if (!report.unread.empty()) json["unread"] = to_json(report.unread);
  if (!report.languages.empty()) json["languages"] = report.languages;
  if (report.tokens.count > 0) json["tokens"] = distribution_json(report.tokens);
  for (const auto& [role, d] : report.role_characters) json["role_characters"][role] = distribution_json(d);
  return json;
}

std::string to_text(const StatsReport& report) {
  std::string text = fmt::format("{} rows, {} rejected, {} repaired, {} repeat the texts of another\n",
                                 report.rows, report.rejected, report.repaired, report.equal_texts);
  text += columns_text(report.columns);
  for (const auto& [language, count] : report.languages)
    text += fmt::format("  language {:<15}{:>12}\n", language, count);
  for (const auto& [format, count] : report.formats)
    text += fmt::format("  format {:<17}{:>12}\n", format, count);
  text += fmt::format("\n{:<24}{:>12}{:>10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>10}\n", "per row", "total", "mean",
                      "least", "5 %", "median", "95 %", "99 %", "most");
  text += line_of("turns", report.turns) + line_of("characters", report.characters);
  if (report.tokens.count > 0) text += line_of("tokens", report.tokens);
  for (const auto& [role, d] : report.role_characters) text += line_of("characters of " + role, d);
  for (const auto& [field, counts] : report.groups) {
    text += fmt::format("\n{}\n", field);
    std::vector<std::pair<int64_t, std::string>> sorted;
    for (const auto& [value, count] : counts) sorted.emplace_back(-count, value);
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < sorted.size() && i < 20; ++i)
      text += fmt::format("{:>10}  {}\n", -sorted[i].first, sorted[i].second);
  }
  return text;
}

}  // namespace fettle::data
