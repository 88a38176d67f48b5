#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/interrupt.h"
#include "base/threads.h"
#include "data/minhash.h"
#include "data/verbs.h"

namespace fettle::data {
namespace {

struct Key {
  uint64_t high = 0, low = 0;
  int64_t texts = 0;
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& key) const { return key.low ^ static_cast<uint64_t>(key.texts); }
};

/// The texts of all turns one after another, without separators or roles, and how many there are (OpenChat's
/// key).
Key key_of(const RowView& view) {
  thread_local std::string joined;
  joined.clear();
  for (const auto& part : view.texts()) joined += part.text;
  const auto hash = XXH3_128bits(joined.data(), joined.size());
  return {hash.high64, hash.low64, static_cast<int64_t>(view.texts().size())};
}

constexpr const char* exact = "exact duplicate";
constexpr const char* close = "near duplicate";

PassReport dedupe_streaming(const PassFiles& files) {
  std::unordered_map<Key, int64_t, KeyHash> seen;
  std::unordered_map<int64_t, Key> keys;  // of the rows in flight
  std::mutex mutex;
  const auto judge = [&](Row& row, RowView& view, Verdict&) {
    const Key key = key_of(view);
    if (key.texts == 0) return;
    const std::lock_guard lock(mutex);
    keys[row.number] = key;
  };
  const auto settle = [&](const Row& row, Verdict& verdict) {
    const auto key = keys.extract(row.number);
    if (key.empty()) return;
    const auto [first, fresh] = seen.emplace(key.mapped(), row.number);
    if (fresh) return;
    verdict.drop = true;
    verdict.reason = exact;
    verdict.detail = fmt::format("says the same as row {}", first->second);
  };
  return run_pass("dedupe", files, judge, settle);
}

/// Clusters of rows by number, with the smallest member as root.
class UnionFind {
 public:
  explicit UnionFind(size_t count) : parent_(count) {
    std::iota(parent_.begin(), parent_.end(), uint32_t{0});
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

/// What the first reading remembers of a row.
struct Remembered {
  Key key;
  double value = 0;  ///< length or score; the highest is kept
  uint64_t shingles_at = 0;
  uint32_t shingle_count = 0;
};

/// Reads everything once, finds the clusters, and says for every row which one is kept in its place.
class Clusters {
 public:
  Clusters(const PassFiles& files, const DedupeOptions& options)
      : options_(options), bands_(Bands::for_threshold(options.threshold)) {
    if (options.near) shingles_ = std::make_unique<AtomicFile>(folder_.path() / "shingles");
    read(files);
    if (rows_.size() > size_t{1} << 31) fail_usage("dedupe: more than 2^31 rows at once");
    UnionFind found(rows_.size());
    join_equal(found);
    if (options.near) join_similar(found);
    choose(found);
  }

  /// The number of the row that stands for this one; itself when it is kept.
  uint32_t kept(int64_t row) const { return kept_[static_cast<size_t>(row)]; }
  bool same_text(int64_t a, int64_t b) const {
    return rows_[static_cast<size_t>(a)].key == rows_[static_cast<size_t>(b)].key;
  }
  int64_t capped_buckets() const { return capped_; }

 private:
  struct Look {
    Remembered row;
    std::vector<uint32_t> shingles, band_hashes;
  };

  void read(const PassFiles& files) {
    RejectedRows ignored;  // the second reading reports them
    RowReader reader(files.inputs, ignored);
    std::vector<Row> batch;
    while (reader.next(batch)) {
      throw_if_interrupted();
      std::vector<Look> looks(batch.size());
      parallel_for(static_cast<int64_t>(batch.size()), 16, [&](int64_t begin, int64_t end) {
        RowView view;
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          try {
            view.open(batch[i]);
            look(view, looks[i]);
          } catch (const Error&) {
          }
        }
      });
      for (size_t i = 0; i < batch.size(); ++i)
        remember(static_cast<size_t>(batch[i].number), std::move(looks[i]));
    }
  }

  void look(const RowView& view, Look& look) const {
    look.row.key = key_of(view);
    if (options_.keep == DedupeOptions::Keep::longest) {
      for (const auto& part : view.texts()) look.row.value += static_cast<double>(part.text.size());
    } else if (options_.keep == DedupeOptions::Keep::best) {
      const std::string score = view.field(options_.score_field);
      look.row.value = score.empty() ? -1e300 : std::strtod(score.c_str(), nullptr);
    }
    if (!options_.near || look.row.key.texts == 0) return;
    Shingler shingler(options_.shingle_words);
    for (const auto& part : view.texts()) shingler.add(part.text);
    look.shingles = shingler.take();
    look.row.shingle_count = static_cast<uint32_t>(look.shingles.size());
    if (look.shingles.empty()) return;
    const auto signature = minhash(look.shingles, options_.seed);
    for (int band = 0; band < bands_.bands; ++band) look.band_hashes.push_back(bands_.hash(signature, band));
  }

  void remember(size_t number, Look&& look) {
    if (rows_.size() <= number) rows_.resize(number + 1);
    if (options_.near) {
      look.row.shingles_at = shingles_->size();
      shingles_->write(look.shingles.data(), look.shingles.size() * sizeof(uint32_t));
      band_hashes_.resize(rows_.size() * static_cast<size_t>(bands_.bands), 0);
      std::copy(
          look.band_hashes.begin(), look.band_hashes.end(),
          band_hashes_.begin() + static_cast<std::ptrdiff_t>(number * static_cast<size_t>(bands_.bands)));
    }
    rows_[number] = look.row;
  }

  void join_equal(UnionFind& found) {
    std::unordered_map<Key, uint32_t, KeyHash> first;
    for (uint32_t row = 0; row < rows_.size(); ++row) {
      if (rows_[row].key.texts == 0) continue;
      const auto [at, fresh] = first.emplace(rows_[row].key, row);
      if (!fresh) found.join(at->second, row);
    }
  }

  void join_similar(UnionFind& found) {
    shingles_->commit();
    const MappedFile mapped(folder_.path() / "shingles");
    const auto set = [&](uint32_t row) {
      return std::span(reinterpret_cast<const uint32_t*>(mapped.bytes().data() + rows_[row].shingles_at),
                       rows_[row].shingle_count);
    };
    std::vector<uint32_t> members;
    for (uint32_t row = 0; row < rows_.size(); ++row) {
      const bool stands_for_equals = found.root(row) == row;
      if (rows_[row].shingle_count > 0 && stands_for_equals) members.push_back(row);
    }
    for (int band = 0; band < bands_.bands; ++band) {
      throw_if_interrupted();
      const auto hash = [&](uint32_t row) {
        return band_hashes_[row * static_cast<size_t>(bands_.bands) + static_cast<size_t>(band)];
      };
      std::sort(members.begin(), members.end(),
                [&](uint32_t a, uint32_t b) { return std::pair(hash(a), a) < std::pair(hash(b), b); });
      for (size_t begin = 0; begin < members.size();) {
        size_t end = begin + 1;
        while (end < members.size() && hash(members[end]) == hash(members[begin])) ++end;
        join_bucket(std::span(members).subspan(begin, end - begin), set, found);
        begin = end;
      }
    }
  }

  /// Only pairs whose true similarity reaches the threshold are joined.
  template <typename Set>
  void join_bucket(std::span<const uint32_t> bucket, const Set& set, UnionFind& found) {
    constexpr size_t compared =
        512;  // with how many of its predecessors a row of a crowded bucket is compared
    if (bucket.size() > compared) ++capped_;
    for (size_t i = 1; i < bucket.size(); ++i) {
      for (size_t j = i > compared ? i - compared : 0; j < i; ++j) {
        if (found.root(bucket[i]) == found.root(bucket[j])) continue;
        if (jaccard(set(bucket[i]), set(bucket[j])) >= options_.threshold) found.join(bucket[i], bucket[j]);
      }
    }
  }

  void choose(UnionFind& found) {
    kept_.resize(rows_.size());
    std::vector<uint32_t> best(rows_.size());
    std::iota(best.begin(), best.end(), uint32_t{0});
    for (uint32_t row = 0; row < rows_.size(); ++row) {
      auto& leader = best[found.root(row)];
      if (rows_[row].value > rows_[leader].value) leader = row;
    }
    for (uint32_t row = 0; row < rows_.size(); ++row) kept_[row] = best[found.root(row)];
  }

  const DedupeOptions& options_;
  Bands bands_;
  TemporaryFolder folder_;
  std::unique_ptr<AtomicFile> shingles_;
  std::vector<Remembered> rows_;
  std::vector<uint32_t> band_hashes_, kept_;
  int64_t capped_ = 0;
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

}  // namespace

PassReport dedupe_rows(const PassFiles& files, const DedupeOptions& options) {
  if (!(options.threshold > 0) || options.threshold > 1)
    fail_usage("dedupe: threshold must lie in (0, 1], got {}", options.threshold);
  if (options.shingle_words < 1)
    fail_usage("dedupe: shingle_words must be positive, got {}", options.shingle_words);
  if (!options.near && options.keep == DedupeOptions::Keep::first && options.clusters.empty())
    return dedupe_streaming(files);
  if (std::find(files.inputs.begin(), files.inputs.end(), "-") != files.inputs.end()) {
    fail_usage(
        "dedupe: this needs to read its input twice, so it cannot come from standard input; write it to a "
        "file first");
  }
  const Clusters clusters(files, options);
  std::map<uint32_t, std::vector<std::string>> members;
  std::unordered_map<uint32_t, std::string> kept_ids;
  const auto settle = [&](const Row& row, Verdict& verdict) {
    const uint32_t kept = clusters.kept(row.number);
    if (kept == row.number) {
      if (!options.clusters.empty()) kept_ids[kept] = verdict.id;
      return;
    }
    verdict.drop = true;
    verdict.reason = clusters.same_text(row.number, kept) ? exact : close;
    verdict.detail = fmt::format("row {} stands for it", kept);
    if (!options.clusters.empty()) members[kept].push_back(verdict.id);
  };
  auto report = run_pass(
      "dedupe", files, [](Row&, RowView&, Verdict&) {}, settle);
  if (!options.clusters.empty()) {
    std::erase_if(kept_ids, [&](const auto& entry) { return !members.contains(entry.first); });
    write_clusters(options.clusters, members, kept_ids);
  }
  if (clusters.capped_buckets() > 0) report.more["crowded_buckets"] = clusters.capped_buckets();
  return report;
}

}  // namespace fettle::data
