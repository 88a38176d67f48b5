#include "data/rows/column_report.h"

#include <algorithm>

namespace fettle::data {
namespace {

/// Data sets may have any keys; beyond so many different ones they are counted together.
constexpr size_t most_names = 1000;

void count(std::map<std::string, int64_t>& counts, const std::string& name, int64_t rows = 1) {
  const auto found = counts.find(name);
  if (found != counts.end()) {
    found->second += rows;
  } else {
    counts[counts.size() < most_names ? name : "(others)"] += rows;
  }
}

bool among(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string listed(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [name, rows] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, rows);
  return text;
}

std::map<std::string, int64_t> ignored(const std::map<std::string, int64_t>& found,
                                       const std::map<std::string, int64_t>& used) {
  std::map<std::string, int64_t> rest;
  for (const auto& [name, rows] : found) {
    const auto read = used.find(name);
    const int64_t left = rows - (read == used.end() ? 0 : read->second);
    if (left > 0) rest[name] = left;
  }
  return rest;
}

}  // namespace

void ReadRows::add(const RowView& row) {
  const auto& [refusal, use] = row.reading();
  if (!refusal.empty()) {
    ++refused_[refusal];
    return;
  }
  constexpr size_t looked_at = 8;  // shapes beyond stand there twice
  const auto shape = row.shape();
  const auto end = alike_.rend();
  const auto last = alike_.size() > looked_at ? alike_.rbegin() + looked_at : end;
  const auto found = std::find_if(alike_.rbegin(), last, [&, &use = use](const Alike& alike) { return alike.shape == shape && alike.use == use; });
  if (found != last) {
    ++found->rows;
  } else {
    alike_.push_back({std::string(shape), use, 1});
  }
}

void ColumnReport::count_use(const RowUse& use, int64_t rows) {
  for (const auto& column : use.columns) count(used_, column, rows);
  for (const auto& mapping : use.mappings) count(mappings_, mapping, rows);
  for (const auto* lists : {&use.message_keys, &use.remarks}) {
    auto once = *lists;
    std::sort(once.begin(), once.end());
    once.erase(std::unique(once.begin(), once.end()), once.end());
    for (const auto& name : once) count(lists == &use.remarks ? remarks_ : message_keys_, name, rows);
  }
}

void ColumnReport::add(const OrderedJson& row, const RowUse& use) {
  const bool guessed = among(implicit_prompt, use.remarks);
  for (const auto& [key, value] : row.items()) {
    if (value.is_null()) continue;
    count(found_, key);
    if (guessed && !among(key, use.columns)) count(beside_guess_, key);
  }
  count_use(use, 1);
}

void ColumnReport::add(const ReadRows& rows) {
  for (const auto& [reason, count_of] : rows.refused_) count(refused_, reason, count_of);
  for (const auto& [shape, use, alike] : rows.alike_) {
    const bool guessed = among(implicit_prompt, use.remarks);
    for (size_t at = 0, end = 0; at < shape.size(); at = end + 1) {
      end = shape.find('\0', at);
      const std::string key = shape.substr(at, end - at);
      count(found_, key, alike);
      if (guessed && !among(key, use.columns)) count(beside_guess_, key, alike);
    }
    count_use(use, alike);
  }
}

void ColumnReport::merge(const ColumnReport& other) {
  for (const auto& [to, from] :
       {std::pair(&found_, &other.found_), std::pair(&used_, &other.used_),
        std::pair(&mappings_, &other.mappings_), std::pair(&message_keys_, &other.message_keys_),
        std::pair(&remarks_, &other.remarks_), std::pair(&beside_guess_, &other.beside_guess_),
        std::pair(&refused_, &other.refused_)}) {
    for (const auto& [name, rows] : *from) count(*to, name, rows);
  }
}

OrderedJson ColumnReport::counts() const {
  return {{"found", found_},     {"used", used_},       {"mappings", mappings_},         {"message_keys", message_keys_},
          {"remarks", remarks_}, {"refused", refused_}, {"beside_guess", beside_guess_}};
}

ColumnReport ColumnReport::from_counts(const OrderedJson& counts) {
  ColumnReport made;
  for (const auto& [name, to] : {std::pair("found", &made.found_), std::pair("used", &made.used_), std::pair("mappings", &made.mappings_),
                                 std::pair("message_keys", &made.message_keys_), std::pair("remarks", &made.remarks_),
                                 std::pair("refused", &made.refused_), std::pair("beside_guess", &made.beside_guess_)})
    *to = counts.at(name).get<Counts>();
  return made;
}

OrderedJson ColumnReport::to_json() const {
  return {{"columns_found", found_},
          {"columns_used", used_},
          {"columns_ignored", ignored(found_, used_)},
          {"mappings", mappings_},
          {"message_keys_unknown", message_keys_},
          {"remarks", remarks_}};
}

std::string ColumnReport::to_text() const {
  std::string text;
  const auto line = [&](const char* what, const Counts& counts) {
    if (!counts.empty()) text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", what, listed(counts));
  };
  line("columns found", found_);
  line("columns used", used_);
  line("columns ignored", ignored(found_, used_));
  line("read as", mappings_);
  line("remarks", remarks_);
  return text;
}

std::string ColumnReport::ignored_columns() const {
  return listed(ignored(found_, used_));
}

std::vector<std::string> ColumnReport::warnings() const {
  std::vector<std::string> all;
  if (!beside_guess_.empty()) {
    all.push_back(
        fmt::format("rows without a prompt (the shared beginning of both answers is taken for it) have "
                    "columns that are not read: {}; if one of them is "
                    "the prompt, say so with `columns: {{prompt: NAME}}`",
                    listed(beside_guess_)));
  }
  if (!message_keys_.empty()) {
    all.push_back(fmt::format(
        "keys of turns that fettle does not know (only a chat template that names them reads them): {}",
        listed(message_keys_)));
  }
  return all;
}

void add_columns(const ColumnReport& columns, OrderedJson& report) {
  if (columns.empty()) return;
  report.update(columns.to_json());
  report["training_refuses"] = columns.refused();
  if (auto warnings = column_warnings(columns); !warnings.empty()) report["warnings"] = std::move(warnings);
}

std::string columns_text(const ColumnReport& columns) {
  std::string text = columns.to_text();
  if (!text.empty()) text += '\n';
  for (const auto& [reason, rows] : columns.refused()) text += fmt::format("training would refuse {}: {}\n", rows, reason);
  return text;
}

std::vector<std::string> column_warnings(const ColumnReport& columns) {
  auto all = columns.warnings();
  if (const auto names = columns.ignored_columns(); !names.empty())
    all.push_back(fmt::format("columns that nothing reads: {}", names));
  return all;
}

}  // namespace fettle::data
