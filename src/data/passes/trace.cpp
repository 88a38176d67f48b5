#include <algorithm>
#include <optional>
#include <set>

#include "base/input_fault.h"
#include "base/ordered_json.h"
#include "data/files/paths.h"
#include "data/passes/pass.h"
#include "data/passes/show.h"

namespace fettle::data {
namespace {

struct Found {
  int64_t line = 0;
  std::string text;
};

/// A report as run_pass makes it.
struct PassRecord {
  std::string verb, output, rejected;
  std::vector<std::string> inputs;
};

/// The row with the id, else the first that was made of it ("ID-rejected", "ID-2").
std::optional<Found> find_row(const std::string& file, const std::string& id) {
  if (!fs::is_regular_file(file)) return std::nullopt;
  std::optional<Found> made_of_it;
  RejectedRows ignored;
  RowReader reader({file}, ignored);
  std::vector<Row> batch;
  RowView view;
  while (reader.next(batch)) {
    for (auto& row : batch) {
      try {
        view.open(row);
        const std::string own = row_id(row, view);
        if (own == id) return Found{row.line, row.text};
        if (!made_of_it && own.starts_with(id + "-")) made_of_it = Found{row.line, row.text};
      } catch (const Error& error) {
        rethrow_unless_of_input(error);
      }
    }
  }
  return made_of_it;
}

std::optional<PassRecord> record_of(const std::string& file) {
  constexpr uintmax_t largest_report = uintmax_t{64} << 20;
  if (!file.ends_with(".json") || fs::file_size(file) > largest_report) return std::nullopt;
  Json json;
  try {
    json = read_json(file);
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    return std::nullopt;
  }
  if (!json.is_object() || !json.contains("verb") || !json.contains("inputs") || !json.contains("output"))
    return std::nullopt;
  return PassRecord{json["verb"].get<std::string>(), json["output"].get<std::string>(),
                    json.value("rejected", ""), json["inputs"].get<std::vector<std::string>>()};
}

/// Passes that read another's output come after it.
std::vector<PassRecord> in_order(std::vector<PassRecord> records) {
  std::vector<PassRecord> ordered;
  while (!records.empty()) {
    const auto waits = [&](const PassRecord& record) {
      return std::any_of(records.begin(), records.end(), [&](const PassRecord& other) {
        return &other != &record &&
               std::find(record.inputs.begin(), record.inputs.end(), other.output) != record.inputs.end();
      });
    };
    auto next = std::find_if_not(records.begin(), records.end(), waits);
    if (next == records.end()) next = records.begin();  // reports that form a circle: any order is as good
    ordered.push_back(*next);
    records.erase(next);
  }
  return ordered;
}

std::string without_id(const std::string& text) {
  auto value = ordered_json_or_none(text);
  if (!value || !value->is_object()) return text;
  value->erase("id");
  return dump_json(*value);
}

std::string source_of(const std::string& row) {
  const Json value = json_or_none(row).value_or(Json());
  const auto found = value.is_object() ? value.find("source") : value.end();
  return value.is_object() && found != value.end() && found->is_string() ? found->get<std::string>() : "";
}

TraceStep follow(const PassRecord& record, const std::string& id, const std::string& before) {
  TraceStep step{record.output, record.verb, "not there", "", "", 0, "", ""};
  if (const auto kept = find_row(record.output, id)) {
    step.outcome = before.empty() || without_id(before) == without_id(kept->text) ? "kept" : "changed";
    step.line = kept->line;
    step.row = kept->text;
    step.source = source_of(step.row);
  } else if (const auto dropped = record.rejected.empty() ? std::nullopt : find_row(record.rejected, id)) {
    const Json entry = parse_json(dropped->text, record.rejected);
    step.file = record.rejected;
    step.outcome = "dropped";
    step.reason = entry.value("reason", "");
    step.detail = entry.value("detail", "");
    step.line = dropped->line;
    step.source = entry.value("file", "");
    step.row = entry.contains("row") ? dump_json(entry["row"]) : entry.value("text", "");
  }
  return step;
}

}  // namespace

std::vector<TraceStep> trace_row(const std::string& id, const std::vector<std::string>& paths) {
  std::vector<PassRecord> records;
  std::vector<std::string> files;
  for (const auto& file : expand_paths(paths)) {
    if (auto record = record_of(file)) {
      records.push_back(std::move(*record));
    } else {
      files.push_back(file);
    }
  }
  records = in_order(std::move(records));
  std::set<std::string> outputs, visited;
  for (const auto& record : records) {
    for (const auto& file : {record.output, record.rejected}) outputs.insert(file);
  }
  std::vector<TraceStep> steps;
  std::string before;
  const auto visit_source = [&](const std::string& file) {
    if (outputs.contains(file) || !visited.insert(file).second) return;
    const auto found = find_row(file, id);
    if (!found) return;
    steps.push_back({file, "", "source", "", "", found->line, found->text, source_of(found->text)});
    before = found->text;
  };
  for (const auto& record : records) {
    for (const auto& file : record.inputs) visit_source(file);
  }
  for (const auto& file : files) visit_source(file);
  for (const auto& record : records) {
    auto step = follow(record, id, before);
    if (step.outcome != "not there") before = step.row;
    steps.push_back(std::move(step));
    if (steps.back().outcome == "dropped") break;
  }
  const bool known = std::any_of(steps.begin(), steps.end(),
                                 [](const TraceStep& step) { return step.outcome != "not there"; });
  if (!known)
    fail(id, "no row with this id is in the {} files and {} reports given", files.size(), records.size());
  return steps;
}

OrderedJson to_json(const std::vector<TraceStep>& steps) {
  OrderedJson list = OrderedJson::array();
  for (const auto& step : steps) {
    OrderedJson entry{
        {"file", step.file}, {"line", step.line}, {"verb", step.verb}, {"outcome", step.outcome}};
    if (!step.reason.empty()) entry["reason"] = step.reason;
    if (!step.detail.empty()) entry["detail"] = step.detail;
    if (!step.source.empty()) entry["source"] = step.source;
    if (!step.row.empty()) entry["row"] = ordered_json_or_none(step.row).value_or(nullptr);
    list.push_back(std::move(entry));
  }
  return list;
}

std::string to_text(const std::vector<TraceStep>& steps) {
  std::string text, source;
  for (const auto& step : steps) {
    if (!step.source.empty() && step.source != source) text += fmt::format("{:<10} {:<10} {}\n", "-", "from", source = step.source);
    const std::string place = step.line > 0 ? fmt::format("{}:{}", step.file, step.line) : step.file;
    text += fmt::format("{:<10} {:<10} {}\n", step.verb.empty() ? "-" : step.verb, step.outcome, place);
    if (!step.reason.empty())
      text += fmt::format("{:<22}{}{}\n", "", step.reason, step.detail.empty() ? "" : ": " + step.detail);
  }
  return text;
}

}  // namespace fettle::data
