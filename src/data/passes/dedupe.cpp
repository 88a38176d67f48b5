#include "data/passes/dedupe.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/mapped_pages.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/external_sort.h"
#include "data/files/spill_file.h"
#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/passes/spooled_inputs.h"
#include "data/rows/row_key.h"
#include "data/signals/minhash.h"

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

/// Clusters of rows by number, with the smallest member as root.
class UnionFind {
 public:
  void grow(size_t count) {
    for (size_t i = parent_.size(); i < count; ++i) parent_.push_back(static_cast<uint32_t>(i));
  }
  uint32_t root(uint32_t member) {
    while (parent_[member] != member) member = parent_[member] = parent_[parent_[member]];
    return member;
  }
  void join(uint32_t a, uint32_t b) {
    a = root(a);
    b = root(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint32_t> parent_;
};

// Records that are sorted on the disk.
struct KeyOfRow {
  TextKey key;
  uint32_t row = 0;
  bool operator<(const KeyOfRow& other) const {
    return std::tuple(key.high, key.low, key.texts, row) < std::tuple(other.key.high, other.key.low, other.key.texts, other.row);
  }
};
/// A band's hash, which no other band shares but by chance, and the row.
uint64_t band_of_row(uint32_t hash, uint32_t row) {
  return uint64_t{hash} << 32 | row;
}

/// What stays on the disk about each row, addressed by its number.
struct Remembered {
  uint64_t shingles_at = 0;
  uint64_t beside = 0;  ///< of RowKey; near rows must agree in it
  double value = 0;     ///< length or score; the highest is kept
  uint32_t shingle_count = 0;
};

/// Reads everything once, finds the clusters, and says for every row which one is kept in its place. In memory are
/// 12 bytes a row and the sorts' buffers; keys, shingles and bands lie on the disk.
class Clusters {
 public:
  Clusters(const PassFiles& files, const DedupeOptions& options)
      : options_(options), bands_(Bands::for_threshold(options.threshold)) {
    read(files);
    if (options.keep == DedupeOptions::Keep::best && scored_ == 0 && rows_ > 0)
      fail_usage("dedupe: no row has a number under '{}', by which the best should stay; name the field with the score", options.score_field);
    remembered_.close();
    shingles_.close();
    const MappedFile rows(remembered_.path());
    join_equal();
    if (options.near) join_similar(rows);
    choose(rows);
    check_mapped(rows);
  }

  /// The number of the row that stands for this one; itself when it is kept.
  uint32_t kept(const Row& row) const {
    if (static_cast<size_t>(row.number) >= kept_.size()) fail_changed(*row.file, "it has more rows than before");
    return kept_[static_cast<size_t>(row.number)];
  }
  bool same_text(int64_t a, int64_t b) const {
    return same_as_[static_cast<size_t>(a)] == same_as_[static_cast<size_t>(b)];
  }
  /// Which rows stand for others.
  std::vector<bool> leaders() const {
    std::vector<bool> leads(kept_.size(), false);
    for (size_t row = 0; row < kept_.size(); ++row) {
      if (kept_[row] != row) leads[kept_[row]] = true;
    }
    return leads;
  }
  int64_t capped_buckets() const { return capped_; }
  std::vector<uint32_t> take() { return std::move(kept_); }

 private:
  struct Look {
    TextKey key;
    uint64_t beside = 0;
    double value = 0;
    bool has_score = false;
    std::vector<uint32_t> shingles, band_hashes;
  };

  void read(const PassFiles& files) {
    RejectedRows ignored;  // the second reading reports them
    const auto inputs = InputTally().openable(files.inputs);
    if (inputs.empty()) return;
    ReadOptions read_options;
    read_options.states = files.states;
    RowReader reader(inputs, ignored, read_options);
    Progress progress("dedupe, first reading", 0, "rows");
    std::vector<Row> batch;
    while (reader.next(batch)) {
      throw_if_interrupted();
      std::vector<Look> looks(batch.size());
      parallel_for(static_cast<int64_t>(batch.size()), 16, [&](int64_t begin, int64_t end) {
        RowView view;
        Shingler shingler(options_.shingle_words);
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          try {
            view.open(batch[i]);
            look(batch[i], view, shingler, looks[i]);
          } catch (const Error& error) {
            rethrow_unless_of_input(error);
          }
        }
      });
      for (size_t i = 0; i < batch.size(); ++i) remember(batch[i].number, looks[i]);
      progress.advance(batch.size());
    }
    if (files.states) files.states->read_again();
  }

  void look(const Row& row, const RowView& view, Shingler& shingler, Look& look) const {
    const RowKey key = row_key(row, view);
    look.key = key.key;
    look.beside = key.beside;
    if (options_.keep == DedupeOptions::Keep::longest) {
      for (const auto& part : view.texts()) look.value += is_text(part) ? static_cast<double>(part.text.size()) : 0;
      look.value += static_cast<double>(key.in_turns.size());
    } else if (options_.keep == DedupeOptions::Keep::best) {
      look.has_score = score_of(view, look.value);
    }
    if (!options_.near || look.key.texts == 0) return;
    for (const auto& part : view.texts()) {
      if (is_text(part)) shingler.add(part.text);
    }
    if (!key.in_turns.empty()) shingler.add(key.in_turns);
    shingler.take(look.shingles);
    if (look.shingles.empty()) return;
    const auto signature = minhash(look.shingles, options_.seed);
    // Rows that differ in what stands beside their turns do not meet.
    const auto apart = static_cast<uint32_t>(key.beside ^ key.beside >> 32);
    for (int band = 0; band < bands_.bands; ++band) look.band_hashes.push_back(bands_.hash(signature, band) ^ apart);
  }

  /// False, and the lowest value, where the row has no number under the field.
  bool score_of(const RowView& view, double& value) const {
    const std::string score = view.field(options_.score_field);
    char* end = nullptr;
    value = std::strtod(score.c_str(), &end);
    const bool is_number = !score.empty() && *end == '\0' && !std::isnan(value);
    if (!is_number) value = -1e300;
    return is_number;
  }

  /// Numbers of broken rows are passed over by the reader; they stand for themselves.
  void remember(int64_t number, const Look& look) {
    if (number >= int64_t{1} << 32) fail_usage("dedupe: more than 2^32 rows at once");
    const Remembered nothing;
    for (; rows_ < number; ++rows_) remembered_.write(&nothing, sizeof nothing);
    const auto row = static_cast<uint32_t>(number);
    scored_ += look.has_score;
    Remembered remembered{0, look.beside, look.value, static_cast<uint32_t>(look.shingles.size())};
    if (look.key.texts > 0) keys_.add({look.key, row});
    if (options_.near) {
      remembered.shingles_at = shingles_.size();
      shingles_.write(look.shingles.data(), look.shingles.size() * sizeof(uint32_t));
      for (const uint32_t hash : look.band_hashes) bands_of_rows_.add(band_of_row(hash, row));
    }
    remembered_.write(&remembered, sizeof remembered);
    ++rows_;
  }

  void join_equal() {
    found_.grow(static_cast<size_t>(rows_));
    same_as_.resize(static_cast<size_t>(rows_));
    std::iota(same_as_.begin(), same_as_.end(), uint32_t{0});
    KeyOfRow first, next;
    for (bool any = false; keys_.next(next); any = true) {
      if (any && next.key == first.key) {
        found_.join(first.row, next.row);
        same_as_[next.row] = first.row;
      } else {
        first = next;
      }
    }
  }

  void join_similar(const MappedFile& rows) {
    const MappedFile shingles(shingles_.path());
    const auto* remembered = reinterpret_cast<const Remembered*>(rows.bytes().data());
    // A page, and what the system reads around it, stays this process's memory until it is given back.
    constexpr uint64_t around = uint64_t{64} << 10, most = uint64_t{32} << 20;
    uint64_t touched = 0;
    const auto set = [&](uint32_t row) {
      touched += remembered[row].shingle_count * sizeof(uint32_t) + around;
      if (touched > most) {
        forget_pages(shingles);
        forget_pages(rows);
        touched = 0;
      }
      return std::span(reinterpret_cast<const uint32_t*>(shingles.bytes().data() + remembered[row].shingles_at),
                       remembered[row].shingle_count);
    };
    const auto beside = [&](uint32_t row) { return remembered[row].beside; };
    std::vector<uint32_t> bucket;
    uint32_t hash = 0;
    for (uint64_t next = 0; bands_of_rows_.next(next);) {
      if (next >> 32 != hash) {
        throw_if_interrupted();
        join_bucket(bucket, set, beside);
        bucket.clear();
        hash = static_cast<uint32_t>(next >> 32);
      }
      const auto row = static_cast<uint32_t>(next);
      const bool stands_for_equals = same_as_[row] == row;
      if (stands_for_equals) bucket.push_back(row);
    }
    join_bucket(bucket, set, beside);
    check_mapped(shingles);
  }

  /// Only pairs whose true similarity reaches the threshold are joined.
  template <typename Set, typename Beside>
  void join_bucket(std::span<const uint32_t> bucket, const Set& set, const Beside& beside) {
    constexpr size_t compared = 512;  // with how many of its predecessors a row of a crowded bucket is compared
    if (bucket.size() > compared) ++capped_;
    for (size_t i = 1; i < bucket.size(); ++i) {
      for (size_t j = i > compared ? i - compared : 0; j < i; ++j) {
        if (found_.root(bucket[i]) == found_.root(bucket[j]) || beside(bucket[i]) != beside(bucket[j])) continue;
        if (jaccard(set(bucket[i]), set(bucket[j])) >= options_.threshold) found_.join(bucket[i], bucket[j]);
      }
    }
  }

  void choose(const MappedFile& rows) {
    const auto count = static_cast<uint32_t>(rows_);
    kept_.resize(count);
    std::iota(kept_.begin(), kept_.end(), uint32_t{0});
    if (options_.keep != DedupeOptions::Keep::first) prefer_higher_values(rows);
    for (uint32_t row = 0; row < count; ++row) {
      const uint32_t root = found_.root(row);
      if (root != row) kept_[row] = kept_[root];
    }
  }

  /// The root's place holds the best of its cluster.
  void prefer_higher_values(const MappedFile& rows) {
    const auto* remembered = reinterpret_cast<const Remembered*>(rows.bytes().data());
    for (uint32_t row = 0; row < static_cast<uint32_t>(rows_); ++row) {
      auto& leader = kept_[found_.root(row)];
      if (remembered[row].value > remembered[leader].value) leader = row;
    }
  }

  const DedupeOptions& options_;
  Bands bands_;
  TemporaryFolder folder_;
  SpillFile remembered_{folder_.path() / "rows"}, shingles_{folder_.path() / "shingles"};
  ExternalSort<KeyOfRow> keys_{folder_.path(), "keys", options_.sort_memory};
  ExternalSort<uint64_t> bands_of_rows_{folder_.path(), "bands", options_.sort_memory};
  int64_t rows_ = 0, capped_ = 0, scored_ = 0;
  UnionFind found_;
  std::vector<uint32_t> kept_, same_as_;
};

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
  if (!options.clusters.empty()) {
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
