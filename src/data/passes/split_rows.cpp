#include "data/passes/split_rows.h"

#include <algorithm>
#include <memory>

#include "data/files/writer.h"
#include "data/passes/dedupe.h"
#include "data/passes/spooled_inputs.h"
#include "data/rows/share.h"

namespace fettle::data {
namespace {

/// The first thing asked, letters lower-cased (ASCII) and white space gone.
std::string prompt_key(const RowView& view) {
  const auto& texts = view.texts();
  auto first =
      std::find_if(texts.begin(), texts.end(), [](const TextPart& part) { return part.role == "user"; });
  if (first == texts.end()) first = texts.begin();
  std::string key;
  if (first == texts.end()) return key;
  for (const char c : first->text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    key += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return key;
}

void check(const SplitOptions& options) {
  double sum = 0;
  for (const auto& [path, share] : options.parts) {
    if (!(share > 0) || share >= 1)
      fail_usage("split: the share of {} must lie between 0 and 1, got {}", path.string(), share);
    sum += share;
  }
  if (sum >= 1) fail_usage("split: the shares add up to {}, which leaves nothing for the output", sum);
  if (options.by != "id" && options.by != "prompt" && options.by != "near")
    fail_usage("split: by must be 'id', 'prompt' or 'near', got '{}'", options.by);
}

}  // namespace

PassReport split_rows(const PassFiles& given, const SplitOptions& options) {
  check(options);
  const bool reads_twice = options.by == "near";
  const SpooledInputs spooled(reads_twice ? given.inputs : std::vector<std::string>());
  const PassFiles files = reads_twice ? spooled.instead(given) : given;
  std::vector<std::unique_ptr<RowWriter>> writers;
  for (const auto& [path, share] : options.parts)
    if (files.group->leads()) writers.push_back(std::make_unique<RowWriter>(path));
  std::vector<int64_t> counts(options.parts.size(), 0);
  std::vector<uint32_t> first;  // of each row's cluster
  std::vector<double> places;   // of rows that came before
  if (reads_twice) {
    DedupeOptions near;
    near.threshold = options.threshold;
    first = near_clusters(files, near);
    places.resize(first.size());
  }
  const auto judge = [&](Row&, RowView& view, Verdict& verdict) {
    const std::string key = options.by == "prompt" ? prompt_key(view) : std::string();
    verdict.place = hash_place(key.empty() ? verdict.id : key, options.seed);
  };
  const auto settle = [&](const Row& row, Verdict& verdict) {
    double place = verdict.place;
    if (reads_twice) {
      if (static_cast<size_t>(row.number) >= first.size()) fail_changed(*row.file, "it has more rows than before");
      places[static_cast<size_t>(row.number)] = place;
      place = places[first[static_cast<size_t>(row.number)]];
    }
    for (size_t i = 0; i < options.parts.size(); ++i) {
      place -= options.parts[i].second;
      if (place >= 0) continue;
      if (verdict.rows.empty()) writers[i]->write_text(row.text);
      for (const auto& made : verdict.rows) writers[i]->write_text(made);
      verdict.elsewhere = true;
      ++counts[i];
      return;
    }
  };
  auto report = run_pass("split", files, judge, settle);
  for (auto& writer : writers) writer->commit();
  int64_t rest = report.out;
  for (size_t i = 0; i < counts.size(); ++i) {
    report.more["parts"][options.parts[i].first.string()] = counts[i];
    rest -= counts[i];
  }
  report.more["parts"][files.output.string()] = rest;
  return report;
}

}  // namespace fettle::data
