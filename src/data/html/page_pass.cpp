#include <unordered_map>

#include "base/interrupt.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/files/writer.h"
#include "data/html/pages.h"

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

}  // namespace

PassReport run_pages(const std::string& verb, const PassFiles& files, RowLayout layout,
                     const JudgePage& judge) {
  PassReport report;
  report.verb = verb;
  report.files = files;
  RejectedRows rejected_rows;
  std::unique_ptr<RejectedRows> to_file;
  if (!files.rejected.empty()) to_file = std::make_unique<RejectedRows>(files.rejected);
  RejectedRows& rejected = to_file ? *to_file : rejected_rows;
  PageReader reader(files.inputs, rejected);
  PageWriter writer(files.output, layout);
  Progress progress(verb, 0, "pages");
  std::unordered_map<std::string, std::string> first_with;  // key → id
  std::vector<Page> batch;
  while (reader.next(batch)) {
    throw_if_interrupted();
    std::vector<PageVerdict> verdicts(batch.size());
    parallel_for(static_cast<int64_t>(batch.size()), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        throw_if_interrupted();
        judge(batch[i], verdicts[i]);
      }
    });
    for (size_t i = 0; i < batch.size(); ++i) {
      report.repaired += batch[i].repaired;
      for (auto& made : verdicts[i].made) {
        const auto [first, fresh] =
            made.key.empty() ? std::pair(first_with.end(), true) : first_with.emplace(made.key, made.id);
        if (fresh) {
          writer.write(made.row);
          ++report.out;
        } else {
          verdicts[i].dropped.push_back({"Duplicate", "of " + first->second, made.id, std::move(made.row)});
        }
      }
      for (auto& dropped : verdicts[i].dropped) {
        rejected.add({batch[i].source, 0, std::move(dropped.reason), std::move(dropped.detail),
                      std::move(dropped.id), std::move(dropped.text)});
      }
    }
    progress.advance(batch.size());
  }
  writer.commit();
  report.reasons = rejected.by_reason();
  report.in = report.out + rejected.count();
  rejected.commit();
  report.read.bytes = reader.bytes();
  report.read.formats = reader.formats();
  if (!reader.unread().empty()) report.more["unread"] = to_json(reader.unread());
  report.read.files = files.inputs;
  return report;
}

}  // namespace fettle::data
