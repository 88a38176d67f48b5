#include "data/passes/dedupe.h"

#include <map>
#include <unordered_map>

#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/passes/clusters.h"
#include "data/passes/spooled_inputs.h"
#include "data/rows/row_key.h"

namespace fettle::data {
namespace {

constexpr const char* exact = "exact duplicate";
constexpr const char* close = "near duplicate";

/// One reading, with the keys in memory: for standard input, and for data of which they are a small part.
PassReport dedupe_streaming(const PassFiles& files) {
  FirstRows seen;
  const auto judge = [](Row& row, RowView& view, Verdict& verdict) { verdict.key = row_key(row, view).key; };
  const auto settle = [&](const Row& row, Verdict& verdict) {
    if (verdict.key.texts == 0) return;
    const int64_t first = seen.first(verdict.key, row.number);
    if (first == row.number) return;
    verdict.drop = true;
    verdict.reason = exact;
    verdict.detail = fmt::format("says the same as row {}", first);
  };
  return run_pass("dedupe", files, judge, settle);
}

void write_clusters(const fs::path& path, const std::map<uint32_t, std::vector<std::string>>& members,
                    const std::unordered_map<uint32_t, std::string>& kept) {
  RowWriter writer(path);
  for (const auto& [row, dropped] : members) {
    const auto found = kept.find(row);
    writer.write(OrderedJson{{"kept", found == kept.end() ? "" : found->second}, {"dropped", dropped}});
  }
  writer.commit();
}

/// Of all input files, as they lie on the disk.
uint64_t bytes_of(const std::vector<std::string>& inputs) {
  uint64_t bytes = 0;
  for (const auto& path : InputTally().openable(inputs)) {
    std::error_code unknown;
    const auto size = fs::file_size(path, unknown);
    if (!unknown) bytes += size;
  }
  return bytes;
}

}  // namespace

PassReport dedupe_rows(const PassFiles& given, const DedupeOptions& options) {
  if (!(options.threshold > 0) || options.threshold > 1)
    fail_usage("dedupe: threshold must lie in (0, 1], got {}", options.threshold);
  if (options.shingle_words < 1)
    fail_usage("dedupe: shingle_words must be positive, got {}", options.shingle_words);
  const bool needs_keys_only = !options.near && options.keep == DedupeOptions::Keep::first && options.clusters.empty();
  if (needs_keys_only && bytes_of(given.inputs) <= options.one_reading) return dedupe_streaming(given);
  const SpooledInputs spooled(given.inputs);
  const PassFiles files = spooled.instead(given);
  const Clusters clusters(files, options);
  std::map<uint32_t, std::vector<std::string>> members;
  std::unordered_map<uint32_t, std::string> kept_ids;
  const std::vector<bool> leads = options.clusters.empty() ? std::vector<bool>() : clusters.leaders();
  const auto settle = [&](const Row& row, Verdict& verdict) {
    const uint32_t kept = clusters.kept(row);
    if (kept == row.number) {
      if (!leads.empty() && leads[kept]) kept_ids[kept] = verdict.id;
      return;
    }
    verdict.drop = true;
    verdict.reason = clusters.same_text(row.number, kept) ? exact : close;
    verdict.detail = fmt::format("row {} stands for it", kept);
    if (!leads.empty()) members[kept].push_back(verdict.id);
  };
  auto report = run_pass(
      "dedupe", files, [](Row&, RowView&, Verdict&) {}, settle);
  if (!options.clusters.empty() && files.group->leads()) {
    write_clusters(options.clusters, members, kept_ids);
  }
  if (clusters.capped_buckets() > 0) report.more["crowded_buckets"] = clusters.capped_buckets();
  return report;
}

std::vector<uint32_t> near_clusters(const PassFiles& files, const DedupeOptions& options) {
  DedupeOptions near = options;
  near.near = true;
  near.keep = DedupeOptions::Keep::first;
  return Clusters(files, near).take();
}

}  // namespace fettle::data
