#include "data/training/dataset.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/unread_input.h"
#include "data/rows/share.h"

namespace fettle::data {
namespace {

/// What became of one row.
template <typename T>
struct Outcome {
  struct Item {
    T value;
    std::string class_label;
    bool truncated;
  };
  std::vector<Item> items;
  std::string id, reason, detail;  ///< reason is empty when every item is in `items`
  RowUse use;
  int64_t made = 0;  ///< examples that the row gave
};

/// Tokenises one example; nullopt with the reason when there is nothing to learn.
template <typename T>
using Make = std::function<std::optional<T>(const Example&, std::string& reason, bool& truncated)>;
using Expand = std::function<std::vector<Example>(const Example&)>;

std::vector<Example> alone(const Example& example) {
  return {example};
}

template <typename T>
Outcome<T> convert(const Row& row, const OrderedJson& value, const DataSource& source, const Expand& expand,
                   const Make<T>& make) {
  Outcome<T> outcome;
  const std::string where = row.where();
  try {
    const Example example = example_from_row(value, source.format, source.columns, where, &outcome.use);
    outcome.id = example.id;
    for (const auto& each : expand(example)) {
      ++outcome.made;
      bool truncated = false;
      auto made = make(each, outcome.reason, truncated);
      if (made) outcome.items.push_back({std::move(*made), each.class_label, truncated});
    }
    if (outcome.made == 0) outcome.reason = "not of a kind that this method learns from";
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    outcome.items.clear();
    outcome.reason = outcome.id.empty() ? reason_of(error) : "cannot be tokenised";
    outcome.detail = error.what();
    if (!outcome.detail.starts_with(where)) outcome.detail = where + ": " + outcome.detail;
  }
  return outcome;
}

template <typename T>
void hash_ids(Hasher& hasher, const std::vector<T>& values) {
  const uint64_t size = values.size();
  hasher.add_raw(&size, sizeof size).add_raw(values.data(), values.size() * sizeof(T));
}
void hash_row(Hasher& hasher, const Sequence& row) {
  hasher.add(row.id);
  hash_ids(hasher, row.ids);
  hash_ids(hasher, row.weights);
}
void hash_row(Hasher& hasher, const Pair& row) {
  hasher.add(row.id);
  for (const auto* ids : {&row.prompt_ids, &row.chosen_ids, &row.rejected_ids}) hash_ids(hasher, *ids);
  hasher.add_raw(&row.weight, sizeof row.weight);
}
void hash_row(Hasher& hasher, const Judged& row) {
  hasher.add(row.id).add(row.desirable ? "1" : "0");
  for (const auto* ids : {&row.prompt_ids, &row.completion_ids}) hash_ids(hasher, *ids);
  hasher.add_raw(&row.weight, sizeof row.weight);
}

bool has_equal_answers(const Pair& row) {
  return row.chosen_ids == row.rejected_ids;
}
template <typename T>
bool has_equal_answers(const T&) {
  return false;
}

void set_group(Sequence& row, int32_t group) {
  row.group = group;
}
template <typename T>
void set_group(T&, int32_t) {}

void set_conversation(Sequence& row, int64_t conversation) {
  row.conversation = conversation;
}
template <typename T>
void set_conversation(T&, int64_t) {}

int32_t class_index(std::vector<std::string>& classes, const std::string& label) {
  if (label.empty()) return -1;
  const auto index = static_cast<size_t>(std::find(classes.begin(), classes.end(), label) - classes.begin());
  if (index == classes.size()) classes.push_back(label);
  return static_cast<int32_t>(index);
}

template <typename T>
class Loader {
 public:
  Loader(uint64_t seed, RejectedRows& rejected) : seed_(seed), rejected_(rejected) {}

  void add(const DataSource& source, const Expand& expand, const Make<T>& make) {
    RowReader reader(source.paths, rejected_);
    InputTally tally;
    std::vector<Row> batch;
    std::vector<OrderedJson> values;
    const size_t first = result_.rows.size();
    std::vector<int64_t> again;  // how often each kept row comes once more
    while (reader.next(batch, values)) {
      throw_if_interrupted();
      std::vector<Outcome<T>> outcomes(batch.size());
      parallel_for(static_cast<int64_t>(batch.size()), 8, [&](int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          outcomes[i] = convert(batch[i], values[i], source, expand, make);
        }
      });
      for (size_t i = 0; i < batch.size(); ++i) {
        if (!outcomes[i].id.empty()) result_.columns.add(values[i], outcomes[i].use);
        outcomes[i].id.empty() ? tally.broken(*batch[i].file, outcomes[i].detail) : tally.read(*batch[i].file);
        take(std::move(outcomes[i]), batch[i], source.weight, again);
      }
      progress_.advance(batch.size());
    }
    for (int64_t round = 1; repeat(first, again, round); ++round) continue;
    merge(reader.report());
    check_all_read(reader.report().files, tally);
  }

  Tokenized<T> finish(const std::vector<DataSource>& sources) {
    if (result_.rows.empty()) nothing_left(sources);
    Hasher hasher;
    for (const auto& row : result_.rows) {
      hash_row(hasher, row);
      result_.report.tokens += row.length();
      result_.report.supervised_tokens += row.supervised();
      result_.report.longest = std::max(result_.report.longest, row.length());
      result_.report.answers += row.notes.answers;
      result_.report.unserved += row.notes.unserved;
      result_.report.thinking_off += row.notes.thinking_off;
      result_.report.thoughtless += row.notes.thoughtless;
      result_.report.ended += row.notes.ended;
    }
    result_.hash = hasher.hex();
    return std::move(result_);
  }

 private:
  void take(Outcome<T>&& outcome, Row& row, double weight, std::vector<int64_t>& again) {
    auto& report = result_.report;
    report.rows += std::max<int64_t>(1, outcome.made);
    if (outcome.use.format != Format::automatic) ++report.formats[std::string(format_name(outcome.use.format))];
    const auto lost = std::max<int64_t>(1, outcome.made) - static_cast<int64_t>(outcome.items.size());
    if (lost > 0) {
      report.dropped[outcome.reason] += lost;
      rejected_.add({*row.file, row.line, outcome.reason, outcome.detail, outcome.id, std::move(row.text)});
    }
    const int64_t count = copies_of(weight, outcome.id, seed_);
    if (count == 0) {
      if (!outcome.items.empty())
        report.dropped["left out by the source's weight"] += static_cast<int64_t>(outcome.items.size());
      return;
    }
    const auto first = static_cast<int64_t>(result_.rows.size());
    for (auto& item : outcome.items) {
      if (outcome.items.size() > 1) set_conversation(item.value, first);
      set_group(item.value, class_index(result_.classes, item.class_label));
      result_.equal_answers += has_equal_answers(item.value);
      report.truncated += item.truncated;
      ++report.kept;
      result_.rows.push_back(std::move(item.value));
      again.push_back(count - 1);
    }
  }

  /// Part of what the user meant to train on is not there: better known now than after the run.
  void check_all_read(const std::vector<std::string>& files, InputTally& tally) const {
    for (const auto& lost : rejected_.first()) {
      if (std::find(files.begin(), files.end(), lost.file) != files.end())
        tally.broken(lost.file, lost.detail.empty() ? lost.reason : lost.reason + ": " + lost.detail);
    }
    if (const auto unread = tally.unread(); !unread.empty() && !result_.rows.empty())
      fail(unread.front().file, "not one row of it could be read: {}; take it out of the data, or mend it", unread.front().reason);
  }

  /// Rows that come more than once follow the whole source, round by round, so that copies are far apart.
  bool repeat(size_t first, const std::vector<int64_t>& again, int64_t round) {
    bool any = false;
    for (size_t i = 0; i < again.size(); ++i) {
      if (again[i] < round) continue;
      result_.rows.push_back(T(result_.rows[first + i]));
      any = true;
    }
    return any;
  }

  void merge(const ReadReport& report) {
    auto& all = result_.read;
    all.rows += report.rows;
    all.rejected += report.rejected;
    all.repaired += report.repaired;
    all.bytes += report.bytes;
    all.files.insert(all.files.end(), report.files.begin(), report.files.end());
    for (const auto& [kind, count] : report.formats) all.formats[kind] += count;
  }

  [[noreturn]] void nothing_left(const std::vector<DataSource>& sources) const {
    std::string paths, reasons, places;
    for (const auto& source : sources) {
      for (const auto& path : source.paths) paths += (paths.empty() ? "" : ", ") + path;
    }
    for (const auto& [reason, count] : rejected_.by_reason())
      reasons += fmt::format("\n  {} × {}", count, reason);
    for (const auto& one : rejected_.first()) {
      places +=
          fmt::format("\n  {}", one.detail.empty() ? fmt::format("{}:{}: {}", one.file, one.line, one.reason)
                                                   : one.detail);
    }
    if (reasons.empty()) fail(paths, "holds no rows");
    fail(paths, "not one row can be used:{}\nThe first:{}", reasons, places);
  }

  uint64_t seed_;
  RejectedRows& rejected_;
  Tokenized<T> result_;
  Progress progress_{"tokenising", 0, "rows"};
};

bool lacks_answer(const Example& example) {
  if (example.kind != Example::Kind::conversation) return false;
  const auto& messages = example.completion.messages;
  return std::none_of(messages.begin(), messages.end(), [](const Message& message) { return message.role == "assistant"; });
}

/// A text with the marks of speakers is the text that it is.
Example as_plain_text(const Example& example) {
  if (example.kind != Example::Kind::conversation || example.completion.text.empty()) return example;
  Example text = example;
  text.kind = Example::Kind::text;
  text.completion = {example.completion.text, {}, false};
  return text;
}

template <typename T>
Tokenized<T> load(const std::vector<DataSource>& sources, uint64_t seed, RejectedRows& rejected,
                  const Expand& expand, const Make<T>& make) {
  if (sources.empty()) fail_usage("data: no source was given");
  Loader<T> loader(seed, rejected);
  for (const auto& source : sources) loader.add(source, expand, make);
  return loader.finish(sources);
}

DataSource source_from_json(const Json& spec, std::string_view where) {
  DataSource source;
  if (spec.is_string()) {
    source.paths = {spec.get<std::string>()};
    return source;
  }
  if (!spec.is_object())
    fail_usage("{}: a path, or an object with path, format, columns, weight was expected", where);
  static const std::vector<std::string> known{"path", "format", "columns", "weight"};
  for (const auto& [key, value] : spec.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    fail_usage("{}: unknown key '{}'{}", where, key,
               near.empty() ? "" : fmt::format(", did you mean '{}'?", near));
  }
  try {
    const auto& path = spec.at("path");
    source.paths =
        path.is_array() ? path.get<std::vector<std::string>>() : std::vector{path.get<std::string>()};
    source.format = format_from_name(spec.value("format", "auto"));
    source.columns = spec.value("columns", Columns{});
    source.weight = spec.value("weight", 1.0);
  } catch (const Json::exception&) {
    fail_usage(
        "{}: path is text or a list of text, format text, columns an object of text, weight a number; found "
        "{}",
        where, spec.dump().substr(0, 200));
  }
  if (!(source.weight >= 0) || source.weight > 1000)
    fail_usage("{}: weight must lie in [0, 1000], got {}", where, source.weight);
  return source;
}

}  // namespace

std::vector<DataSource> data_sources_from_json(const Json& spec, std::string_view where) {
  std::vector<DataSource> sources;
  if (!spec.is_array()) return {source_from_json(spec, where)};
  for (size_t i = 0; i < spec.size(); ++i)
    sources.push_back(source_from_json(spec[i], fmt::format("{}[{}]", where, i)));
  return sources;
}

Tokenized<Sequence> load_sequences(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                                   const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                                   RejectedRows& rejected) {
  const Expand expand = [&](const Example& example) { return supervised_rows(example, options); };
  return load<Sequence>(
      sources, seed, rejected, expand,
      [&, rows = options_of_rows(options)](const Example& example, std::string& reason, bool& truncated) -> std::optional<Sequence> {
        if (options.train_on != TrainOn::all && lacks_answer(example)) {
          reason = "no assistant turn";
          return std::nullopt;
        }
        return tokenize_sequence(example, tokenizer, chat, rows, reason, truncated);
                        });
}

Tokenized<Sequence> load_texts(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                               const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                               RejectedRows& rejected) {
  return load<Sequence>(sources, seed, rejected, alone,
                        [&](const Example& example, std::string& reason, bool& truncated) {
                          return tokenize_text(as_plain_text(example), tokenizer, chat, options, reason, truncated);
                        });
}

Tokenized<Pair> load_pairs(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                           const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                           RejectedRows& rejected) {
  return load<Pair>(sources, seed, rejected, alone,
                    [&](const Example& example, std::string& reason, bool& truncated) {
                      return tokenize_pair(example, tokenizer, chat, options, reason, truncated);
                    });
}

Tokenized<Judged> load_judged(const std::vector<DataSource>& sources, const Tokenizer& tokenizer,
                              const ChatTemplate* chat, const TokenizeOptions& options, uint64_t seed,
                              RejectedRows& rejected) {
  return load<Judged>(sources, seed, rejected, as_judged,
                      [&](const Example& example, std::string& reason, bool& truncated) {
                        return tokenize_judged(example, tokenizer, chat, options, reason, truncated);
                      });
}

}  // namespace fettle::data
