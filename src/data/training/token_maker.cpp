#include "data/training/token_maker.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/rows/share.h"
#include "data/training/row_outcome.h"
#include "data/training/token_progress.h"

namespace fettle::data {
namespace {

constexpr double space_worth_saying = 1e9;  // bytes on the disk

/// Bytes of rejected rows that are held back until the next part.
constexpr size_t most_lost = size_t{64} << 20;

/// What is read while the rows before it are being tokenised.
struct ReadBatch {
  std::vector<Row> rows;
  std::vector<Unreadable> unreadable;
  bool any = false;
};

int32_t class_index(std::vector<std::string>& classes, const std::string& label) {
  if (label.empty()) return -1;
  const auto index = static_cast<size_t>(std::find(classes.begin(), classes.end(), label) - classes.begin());
  if (index == classes.size()) classes.push_back(label);
  return static_cast<int32_t>(index);
}

void merge_read(const ReadReport& from, ReadReport& to) {
  to.rows += from.rows;
  to.rejected += from.rejected;
  to.repaired += from.repaired;
  to.bytes += from.bytes;
  to.files.insert(to.files.end(), from.files.begin(), from.files.end());
  for (const auto& [kind, count] : from.formats) to.formats[kind] += count;
}

[[noreturn]] void fail_nothing_left(const std::vector<DataSource>& sources, const RejectedRows& rejected) {
  std::string paths, reasons, places;
  for (const auto& source : sources) {
    for (const auto& path : source.paths) paths += (paths.empty() ? "" : ", ") + path;
  }
  for (const auto& [reason, count] : rejected.by_reason()) reasons += fmt::format("\n  {} × {}", count, reason);
  for (const auto& one : rejected.first())
    places += fmt::format("\n  {}", one.detail.empty() ? fmt::format("{}:{}: {}", one.file, one.line, one.reason) : one.detail);
  if (reasons.empty()) fail(paths, "holds no rows");
  fail(paths, "not one row can be used:{}\nThe first:{}", reasons, places);
}

class TokenMaker {
 public:
  TokenMaker(const TokenRecipe& recipe, const fs::path& folder) : recipe_(recipe), folder_(folder), bar_("tokenising", recipe.input_bytes, recipe.input_bytes > 0 ? "bytes" : "rows") {}

  void make() {
    go_on();
    for (; at_.source < recipe_.sources.size(); next_source()) {
      if (at_.round == 0) read_source();
      copy_source();
    }
    end_part();
    if (at_.entries == 0) fail_nothing_left(recipe_.sources, rejected_);
    sum_up();
  }

 private:
  const DataSource& source() const { return recipe_.sources[at_.source]; }

  /// Behind the parts that a killed process finished.
  void go_on() {
    for (size_t number = 0;; ++number) {
      const auto saved = read_checked(part_state_path(folder_, number));
      if (!saved) break;
      try {
        PartState state = part_state_from_json(saved->at("part"));
        open_part(part_path(folder_, number), state);
        at_ = token_progress_from_json(saved->at("progress"));
        parts_.push_back(state);
        replay_rejections(part_rejected_path(folder_, number), [this](Rejection&& rejection, bool) { rejected_.add(std::move(rejection)); });
      } catch (const DamagedTokens& error) {
        log_warning("{}; it is made anew", error.what());
        break;
      } catch (const nlohmann::json::exception&) {
        break;
      }
    }
    remove_behind();
    if (!parts_.empty()) log_info("going on behind {} rows that are tokenised already", at_.entries);
  }

  /// What follows a part that is damaged began where that one ended, which may be elsewhere now.
  void remove_behind() const {
    for (size_t number = parts_.size();; ++number) {
      bool any = false;
      for (const auto& path : {part_state_path(folder_, number), part_path(folder_, number), part_rejected_path(folder_, number)}) any = fs::remove(path) || any;
      if (!any) return;
    }
  }

  void read_source() {
    RejectedRows unused;
    RowReader reader(source().paths, unused);
    const auto read = [&reader] {
      ReadBatch batch;
      batch.any = reader.next(batch.rows, batch.unreadable);
      return batch;
    };
    skip_rows_ = at_.rows;
    skip_unreadable_ = at_.unreadable;
    auto coming = std::async(std::launch::async, read);
    try {
      for (;;) {
        ReadBatch batch = coming.get();
        if (!batch.any) break;
        throw_if_interrupted();
        coming = std::async(std::launch::async, read);
        take_batch(batch);
      }
    } catch (const Error& error) {
      if (error.kind() == Error::Kind::interrupted) end_part();
      throw;
    }
    ReadReport read_report = reader.report();
    read_report.rows -= at_.rows_lost;
    read_report.rejected += at_.rows_lost;
    read_report.repaired += at_.repaired;
    check_all_read();
    merge_read(read_report, at_.facts.read);
    at_.source_end = at_.entries;
    at_.round = 1;
  }

  void take_batch(ReadBatch& batch) {
    const auto count = static_cast<int64_t>(batch.rows.size());
    const int64_t skipped = std::min(skip_rows_, count);
    std::vector<RowOutcome> outcomes(batch.rows.size());
    std::map<int64_t, ColumnReport> columns;  // by the first row of a thread's share
    std::mutex mutex;
    parallel_for(count - skipped, 8, [&](int64_t begin, int64_t end) {
      ColumnReport own;
      for (int64_t i = begin + skipped; i < end + skipped; ++i)
        outcomes[static_cast<size_t>(i)] = tokenize_row(batch.rows[static_cast<size_t>(i)], source(), recipe_, own);
      const std::lock_guard lock(mutex);
      columns.emplace(begin, std::move(own));
    });
    for (const auto& [begin, own] : columns) at_.facts.columns.merge(own);
    size_t next_unreadable = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i <= batch.rows.size(); ++i) {
      for (; next_unreadable < batch.unreadable.size() && batch.unreadable[next_unreadable].before <= i; ++next_unreadable)
        take_unreadable(std::move(batch.unreadable[next_unreadable].rejection));
      if (i == batch.rows.size()) break;
      bytes += batch.rows[i].text.size() + 1;
      if (skip_rows_ > 0) {
        --skip_rows_;
        continue;
      }
      ++at_.rows;
      take(std::move(outcomes[i]), batch.rows[i]);
    }
    bar_.advance(recipe_.input_bytes > 0 ? bytes : batch.rows.size());
    read_bytes_ += bytes;
    if ((part_ && part_->bytes() >= recipe_.part_bytes) || lost_.size() >= most_lost) end_part();
  }

  void take_unreadable(Rejection&& rejection) {
    if (skip_unreadable_ > 0) {
      --skip_unreadable_;
      return;
    }
    ++at_.unreadable;
    at_.tally.broken(rejection.file, rejection.detail.empty() ? rejection.reason : rejection.reason + ": " + rejection.detail);
    reject(std::move(rejection));
  }

  void reject(Rejection&& rejection) {
    append_rejection(rejection, !recipe_.inputs_stay, lost_);
    rejected_.add(std::move(rejection));
  }

  void take(RowOutcome&& outcome, Row& row) {
    at_.repaired += outcome.repaired;
    if (!outcome.is_row) {
      ++at_.rows_lost;
      at_.tally.broken(*row.file, outcome.reason + ": " + outcome.detail);
      return reject({*row.file, row.line, outcome.reason, outcome.detail, "", std::move(row.text)});
    }
    outcome.id.empty() ? at_.tally.broken(*row.file, outcome.detail) : at_.tally.read(*row.file);
    auto& report = at_.facts.report;
    report.rows += std::max<int64_t>(1, outcome.made);
    if (outcome.use.format != Format::automatic) ++report.formats[std::string(format_name(outcome.use.format))];
    const auto lost = std::max<int64_t>(1, outcome.made) - static_cast<int64_t>(outcome.items.size());
    if (lost > 0) {
      report.dropped[outcome.reason] += lost;
      reject({*row.file, row.line, outcome.reason, outcome.detail, outcome.id, std::move(row.text)});
    }
    const int64_t copies = copies_of(source().weight, outcome.id, recipe_.seed);
    if (copies == 0) {
      if (!outcome.items.empty()) report.dropped["left out by the source's weight"] += static_cast<int64_t>(outcome.items.size());
      return;
    }
    const int64_t first = at_.entries;
    for (auto& item : outcome.items) {
      const int32_t group = class_index(at_.facts.classes, item.class_label);
      if (recipe_.shape == RowShape::sequence) {
        item.row.group = group;
        if (outcome.items.size() > 1) item.row.conversation = first;
      }
      item.row.again = copies > static_cast<int64_t>(source().weight);
      at_.facts.equal_answers += recipe_.shape == RowShape::pair && item.row.chosen == item.row.rejected;
      report.truncated += item.truncated;
      ++report.kept;
      record_.clear();
      append_record(item.row, recipe_.width, record_);
      put(record_, pieces_of(item.row.length(), recipe_.piece_length), item.row.conversation);
    }
  }

  void put(const std::string& record, int64_t entries, int64_t conversation) {
    if (!part_) part_.emplace(part_path(folder_, parts_.size()), recipe_.width);
    const bool continues = conversation >= 0 && conversation == at_.last_conversation;
    part_->add(record, entries, continues);
    at_.facts.splits = at_.facts.splits || continues;
    at_.last_conversation = conversation;
    at_.entries += entries;
  }

  /// Part of what the user meant to train on is not there: better known now than after the run.
  void check_all_read() const {
    if (const auto unread = at_.tally.unread(); !unread.empty() && at_.entries > 0)
      fail(unread.front().file, "not one row of it could be read: {}; take it out of the data, or mend it", unread.front().reason);
  }

  /// Rows that come more than once follow the whole source, round by round, so that copies are far apart.
  void copy_source() {
    const auto rounds = static_cast<int64_t>(std::ceil(source().weight));
    for (; at_.round < rounds; ++at_.round, at_.copied = 0) {
      end_part();
      const TokenizedSet made(folder_, {recipe_.shape, recipe_.piece_length, parts_, {}});
      const int64_t begin = at_.source_begin, end = at_.source_end;
      try {
        made.each_record(begin + at_.copied, end, [&](int64_t entry, TokenRow&& row) {
          copy(entry, row);
          at_.copied = entry - begin + pieces_of(row.length(), recipe_.piece_length);
          if (part_ && part_->bytes() >= recipe_.part_bytes) end_part();
        });
      } catch (const Error& error) {
        if (error.kind() == Error::Kind::interrupted) end_part();
        throw;
      }
    }
  }

  void copy(int64_t entry, const TokenRow& row) {
    if (static_cast<int64_t>(source().weight) - 1 + (row.again ? 1 : 0) < at_.round) return;
    record_.clear();
    append_copy(entry, record_);
    put(record_, pieces_of(row.length(), recipe_.piece_length), row.conversation);
  }

  void next_source() {
    ++at_.source;
    at_.round = at_.rows = at_.unreadable = at_.copied = at_.rows_lost = at_.repaired = 0;
    at_.source_begin = at_.source_end = at_.entries;
    at_.tally = {};
  }

  /// Also where no row was kept: what was rejected must not be read again.
  void end_part() {
    if (!part_ && lost_.empty()) return;
    const size_t number = parts_.size();
    if (!part_) part_.emplace(part_path(folder_, number), recipe_.width);
    const auto rejected = part_rejected_path(folder_, number);
    if (!lost_.empty()) write_file(rejected, lost_);
    parts_.push_back(part_->finish());
    part_.reset();
    lost_.clear();
    write_checked(part_state_path(folder_, number), {{"part", to_json(parts_.back())}, {"progress", to_json(at_)}});
    warn_of_space();
  }

  /// Once, from the first part: a disk that will be full is better known now.
  void warn_of_space() {
    if (parts_.size() != 1 || recipe_.input_bytes == 0 || at_.round > 0) return;
    std::error_code unknown;
    const auto space = fs::space(folder_, unknown);
    if (unknown) return;
    const double share = static_cast<double>(std::max<uint64_t>(1, read_bytes_)) / static_cast<double>(recipe_.input_bytes);
    const double whole = static_cast<double>(parts_.front().size) / std::min(1.0, share);
    if (whole >= space_worth_saying) log_info("the tokens will take about {} in {}, where {} are free", human_bytes(whole), folder_.string(), human_bytes(static_cast<double>(space.available)));
    if (whole - static_cast<double>(parts_.front().size) > static_cast<double>(space.available))
      throw Error(Error::Kind::io, fmt::format("{}: the tokens will take about {}, and {} are free; name another folder by `token_cache` (or FETTLE_CACHE), or make room "
                                               "with `fettle data clean-cache`", folder_.string(), human_bytes(whole), human_bytes(static_cast<double>(space.available))));
  }

  void sum_up();

  const TokenRecipe& recipe_;
  fs::path folder_;
  TokenProgress at_;
  std::vector<PartState> parts_;
  std::optional<TokenPartWriter> part_;
  std::string record_, lost_;  ///< the second: rejected rows since the last part, as lines
  RejectedRows rejected_;
  int64_t skip_rows_ = 0, skip_unreadable_ = 0;
  uint64_t read_bytes_ = 0;
  Progress bar_;
};

void TokenMaker::sum_up() {
  TokenManifest manifest{recipe_.shape, recipe_.piece_length, parts_, at_.facts};
  TokenFacts& facts = manifest.facts;
  facts.class_rows.assign(facts.classes.size(), 0);
  Hasher hasher;
  const TokenizedSet made(folder_, manifest);
  Progress bar("summing up", static_cast<uint64_t>(made.size()), "rows");
  made.each_record(0, made.size(), [&](int64_t, TokenRow&& row) {
    hash_row(hasher, row, recipe_.shape);
    auto& report = facts.report;
    report.tokens += row.length();
    report.supervised_tokens += row.supervised();
    report.longest = std::max(report.longest, row.length());
    report.answers += row.notes.answers;
    report.unserved += row.notes.unserved;
    report.thinking_off += row.notes.thinking_off;
    report.thoughtless += row.notes.thoughtless;
    report.ended += row.notes.ended;
    if (row.group >= 0) ++facts.class_rows[static_cast<size_t>(row.group)];
    bar.advance();
  });
  facts.hash = hasher.hex();
  write_checked(manifest_path(folder_), to_json(manifest));
}

}  // namespace

void make_token_set(const TokenRecipe& recipe, const fs::path& folder) {
  if (recipe.sources.empty()) fail_usage("data: no source was given");
  TokenMaker(recipe, folder).make();
}

}  // namespace fettle::data
