#include <algorithm>
#include <unordered_map>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/writer.h"
#include "data/html/pages.h"
#include "data/passes/rows_read.h"
#include "parallel/packed.h"

namespace fettle::data {
namespace {

/// The output in either layout.
class PageWriter {
 public:
  PageWriter(const fs::path& path, RowLayout layout) {
    if (layout == RowLayout::lines) {
      rows_ = std::make_unique<RowWriter>(path);
    } else if (path == "-") {
      fail_usage("the published layout is one JSON array: name a file for it");
    } else {
      file_ = std::make_unique<AtomicFile>(path);
    }
  }
  void write(std::string_view row) {
    if (rows_) return rows_->write_text(row);
    file_->write(first_ ? "[\n\t" : ",\n\t");
    file_->write(row);
    first_ = false;
  }
  void commit() {
    if (rows_) return rows_->commit();
    file_->write(first_ ? "[]" : "\n]");
    file_->commit();
  }

 private:
  std::unique_ptr<RowWriter> rows_;
  std::unique_ptr<AtomicFile> file_;
  bool first_ = true;
};

/// Pages that one rank judges at once.
struct PageBlock {
  std::vector<Page> pages;
  std::vector<Unreadable> unreadable;
  std::vector<PageVerdict> verdicts;
};

std::string packed_verdicts(const std::vector<PageVerdict>& verdicts) {
  parallel::Packer to;
  for (const PageVerdict& verdict : verdicts) {
    to.put(static_cast<uint32_t>(verdict.made.size()));
    to.put(static_cast<uint32_t>(verdict.dropped.size()));
    for (const auto& made : verdict.made)
      for (const auto* text : {&made.row, &made.id, &made.key}) to.put_text(*text);
    for (const auto& dropped : verdict.dropped)
      for (const auto* text : {&dropped.reason, &dropped.detail, &dropped.id, &dropped.text}) to.put_text(*text);
  }
  return to.take();
}

void unpack_verdicts(std::string_view packed, std::vector<PageVerdict>& verdicts) {
  parallel::Unpacker from(packed);
  for (PageVerdict& verdict : verdicts) {
    verdict.made.resize(from.get<uint32_t>());
    verdict.dropped.resize(from.get<uint32_t>());
    for (auto& made : verdict.made)
      for (auto* text : {&made.row, &made.id, &made.key}) *text = from.get_text();
    for (auto& dropped : verdict.dropped)
      for (auto* text : {&dropped.reason, &dropped.detail, &dropped.id, &dropped.text}) *text = from.get_text();
  }
}

/// Of ranks each gets a small part of what one process reads at once, since all wait for the last.
PageReadOptions read_options_of(const parallel::ProcessGroup& group) {
  constexpr uint64_t least = uint64_t{1} << 20;
  PageReadOptions options;
  if (!group.is_alone()) options.batch_bytes = std::max(least, options.batch_bytes / (4 * static_cast<uint64_t>(group.size())));
  return options;
}

class PagesPass {
 public:
  PagesPass(const std::string& verb, const PassFiles& files, RowLayout layout, const JudgePage& judge)
      : files_(files), judge_(judge), group_(*files.group), progress_(verb, 0, "pages") {
    report_.verb = verb;
    report_.files = files;
    rejected_ = files.rejected.empty() || !group_.leads() ? std::make_unique<RejectedRows>() : std::make_unique<RejectedRows>(files.rejected);
    reader_ = std::make_unique<PageReader>(files.inputs, *rejected_, read_options_of(group_));
    if (group_.leads()) writer_ = std::make_unique<PageWriter>(files.output, layout);
  }

  PassReport run() {
    while (round()) {}
    if (!group_.leads()) return std::move(report_);
    writer_->commit();
    report_.reasons = rejected_->by_reason();
    report_.in = report_.out + rejected_->count();
    rejected_->commit();
    report_.read.bytes = reader_->bytes();
    report_.read.formats = reader_->formats();
    if (!reader_->unread().empty()) report_.more["unread"] = to_json(reader_->unread());
    report_.read.files = files_.inputs;
    return std::move(report_);
  }

 private:
  /// A block for each rank: all are read everywhere, each is judged by one rank and written by rank 0. False at the end.
  bool round() {
    std::vector<PageBlock> blocks;
    const auto mine = static_cast<size_t>(group_.rank());
    agree_on_rows(group_, [&](RowsRead& read) {
      for (size_t rank = 0; rank < static_cast<size_t>(group_.size()); ++rank) {
        PageBlock block;
        throw_if_interrupted();
        if (!reader_->next(block.pages, block.unreadable)) break;
        if (!group_.is_alone())
          for (const Page& page : block.pages) read.add(page.text, page.source);
        block.verdicts.resize(block.pages.size());
        if (rank == mine) judge_block(block);
        blocks.push_back(std::move(block));
      }
    });
    if (blocks.empty()) return false;
    if (!group_.is_alone()) {
      const auto packed = group_.gather(mine < blocks.size() ? packed_verdicts(blocks[mine].verdicts) : std::string(), 0);
      for (size_t rank = 1; rank < std::min(packed.size(), blocks.size()); ++rank) unpack_verdicts(packed[rank], blocks[rank].verdicts);
    }
    if (!group_.leads()) return true;
    for (PageBlock& block : blocks) write_block(block);
    return true;
  }

  void judge_block(PageBlock& block) const {
    parallel_for(static_cast<int64_t>(block.pages.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        throw_if_interrupted();
        judge_(block.pages[i], block.verdicts[i]);
      }
    });
  }

  void write_block(PageBlock& block) {
    auto broken = block.unreadable.begin();
    const auto reject_broken_before = [&](size_t page) {
      for (; broken != block.unreadable.end() && broken->before <= page; ++broken) rejected_->add(std::move(broken->rejection));
    };
    for (size_t i = 0; i < block.pages.size(); ++i) {
      reject_broken_before(i);
      PageVerdict& verdict = block.verdicts[i];
      report_.repaired += block.pages[i].repaired;
      for (auto& made : verdict.made) {
        const auto [first, fresh] = made.key.empty() ? std::pair(first_with_.end(), true) : first_with_.emplace(made.key, made.id);
        if (fresh) {
          writer_->write(made.row);
          ++report_.out;
        } else {
          verdict.dropped.push_back({"Duplicate", "of " + first->second, made.id, std::move(made.row)});
        }
      }
      for (auto& dropped : verdict.dropped) {
        rejected_->add({block.pages[i].source, 0, std::move(dropped.reason), std::move(dropped.detail), std::move(dropped.id),
                        std::move(dropped.text)});
      }
    }
    reject_broken_before(block.pages.size());
    progress_.advance(block.pages.size());
  }

  const PassFiles& files_;
  const JudgePage& judge_;
  parallel::ProcessGroup& group_;
  Progress progress_;
  PassReport report_;
  std::unique_ptr<RejectedRows> rejected_;
  std::unique_ptr<PageReader> reader_;
  std::unique_ptr<PageWriter> writer_;
  std::unordered_map<std::string, std::string> first_with_;  ///< key → id
};

}  // namespace

PassReport run_pages(const std::string& verb, const PassFiles& files, RowLayout layout, const JudgePage& judge) {
  return PagesPass(verb, files, layout, judge).run();
}

}  // namespace fettle::data
