#include "data/files/reader.h"

#include <simdjson.h>

#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/mapped_pages.h"
#include "base/threads.h"
#include "data/files/input.h"
#include "data/files/paths.h"
#include "data/files/splitter.h"
#include "data/parquet/reader.h"
#include "text/unicode/unicode.h"
#include "text/unicode/wide_text.h"

namespace fettle::data {

std::string Row::where() const {
  return fmt::format("{}:{}", file ? *file : "?", line);
}

namespace {

/// A name that promises a table; its content may still be JSON.
bool is_table_name(std::string_view name) {
  name = without_packing(name);
  return name.ends_with(".csv") || name.ends_with(".tsv");
}

}  // namespace

struct RowReader::Impl {
  std::deque<std::string> files;
  RejectedRows& rejected;
  ReadOptions options;
  ReadReport report;
  std::shared_ptr<const std::string> name;
  std::unique_ptr<ByteInput> input;
  std::optional<WideText> wide;  ///< turns UTF-16 into UTF-8
  std::string narrow;            ///< what it made of a chunk
  std::unique_ptr<Splitter> splitter;
  std::unique_ptr<TemporaryFolder> spool;  ///< holds a Parquet file that came compressed or through a pipe
  std::unique_ptr<MappedFile> mapped;
  std::unique_ptr<ParquetReader> parquet;
  int64_t parquet_row = 0;
  uint64_t parquet_bytes = 0;  ///< of text since the file's pages were given back
  std::vector<Row>* batch = nullptr;
  std::vector<Unreadable>* unreadable = nullptr;  ///< where broken input goes instead of to `rejected`
  uint64_t batch_bytes = 0;
  int64_t next_number = 0, first_number = 0;  ///< the second: of the open file
  /// Fits the processor's second cache; to an aligned place the system copies several times quicker on some processors.
  alignas(64) char chunk[size_t{256} << 10];

  Impl(RejectedRows& sink, const ReadOptions& how) : rejected(sink), options(how) {}

  void open() {
    name = std::make_shared<const std::string>(files.front());
    files.pop_front();
    open_file();
    first_number = next_number;
    if (options.states) options.states->open(*name, input->state());
    size_t got = 0;
    while (got < 4) {
      const size_t more = input->read(chunk + got, sizeof chunk - got);
      if (more == 0) break;
      got += more;
    }
    const std::string_view head(chunk, got);
    if (head.starts_with("PAR1") || head.starts_with("PARE")) return open_parquet(got);
    wide = WideText::found({chunk, got});
    splitter = std::make_unique<Splitter>(
        options.max_row_bytes, [this](ValueText&& piece) { take(std::move(piece)); },
        options.lines ? FileLayout::lines : is_table_name(*name) ? FileLayout::table : FileLayout::unknown);
    if (got > 0) split(got);
  }

  /// An input that a reading before this one found has to be there.
  void open_file() {
    try {
      input = std::make_unique<ByteInput>(*name);
    } catch (const CannotOpen&) {
      if (options.states && options.states->knows(*name)) fail_changed(*name, "it was read once, and is gone");
      throw;
    }
  }

  /// Hands the first `got` bytes of the chunk to the splitter.
  void split(size_t got) {
    report.bytes += got;
    if (!wide) return splitter->feed({chunk, got});
    narrow.clear();
    wide->append({chunk, got}, narrow);
    splitter->feed(narrow);
  }

  /// The first `got` bytes are in `chunk`. Parquet is read from its end, so it has to lie in a file.
  void open_parquet(size_t got) {
    fs::path path = *name;
    if (!input->compression().empty() || !fs::is_regular_file(path)) {
      spool = std::make_unique<TemporaryFolder>();
      path = spool->path() / "rows.parquet";
      AtomicFile file(path);
      for (; got > 0; got = input->read(chunk, sizeof chunk)) file.write(chunk, got);
      file.commit();
    }
    mapped = std::make_unique<MappedFile>(path);
    parquet_row = 0;
    reading_parquet([&] { parquet = std::make_unique<ParquetReader>(mapped->text(), *name); });
    if (!parquet) close();
  }

  void reject(Rejection rejection) {
    ++report.rejected;
    if (unreadable != nullptr) {
      unreadable->push_back({batch->size(), std::move(rejection)});
    } else {
      rejected.add(std::move(rejection));
    }
  }

  void reading_parquet(const std::function<void()>& read) {
    try {
      read();
    } catch (const Error& error) {
      rethrow_unless_of_input(error);
      if (mapped) check_mapped(*mapped);
      reject({*name, parquet_row + 1, "unreadable Parquet file", error.what(), "", ""});
      parquet.reset();
    }
  }

  void feed_parquet() {
    ValueText piece;
    bool more = false;
    reading_parquet([&] { more = parquet->next(piece.text, options.max_row_bytes); });
    check_mapped(*mapped);
    if (!more) return close();
    piece.line = ++parquet_row;
    report.bytes += piece.text.size();
    parquet_bytes += piece.text.size();
    if (parquet_bytes > uint64_t{64} << 20) {
      forget_pages(*mapped);
      parquet_bytes = 0;
    }
    take(std::move(piece));
  }

  void take(ValueText&& piece) {
    if (!piece.problem.empty()) {
      if (!piece.text.empty()) ++next_number;
      reject({*name, piece.line, piece.problem, fmt::format("{} bytes", piece.bytes), "", std::move(piece.text)});
      return;
    }
    if (!simdjson::validate_utf8(piece.text.data(), piece.text.size())) {
      piece.text = unicode::lossy(piece.text);
      ++report.repaired;
    }
    ++report.rows;
    batch_bytes += piece.text.size();
    batch->push_back({std::move(piece.text), next_number++, piece.line, name});
  }

  /// The next rows; false when there are none. Broken input goes to `broken` where that is given.
  bool fill(std::vector<Row>& rows, std::vector<Unreadable>* broken) {
    rows.clear();
    batch = &rows;
    unreadable = broken;
    batch_bytes = 0;
    const uint64_t enough =
        options.whole_batch_bytes > 0 ? options.whole_batch_bytes : options.batch_bytes * static_cast<uint64_t>(threads());
    while (batch_bytes < enough) {
      throw_if_interrupted();
      if (!input) {
        if (files.empty()) break;
        open();
        continue;
      }
      if (parquet) {
        feed_parquet();
        continue;
      }
      const size_t got = input->read(chunk, sizeof chunk);
      if (got == 0) {
        close();
      } else {
        split(got);
      }
    }
    return !rows.empty();
  }

  void finish_wide() {
    narrow.clear();
    wide->finish(narrow);
    splitter->feed(narrow);
    report.repaired += wide->replaced() > 0;
  }

  void close() {
    std::string kind = "parquet";
    if (splitter) {
      if (wide) finish_wide();
      splitter->finish(input->problem());
      kind = splitter->layout_name();
      if (wide) kind += ", " + wide->name();
    }
    if (mapped) check_mapped(*mapped);
    if (options.states) options.states->close(*name, input->state(), next_number - first_number);
    if (!input->compression().empty()) kind += ", " + input->compression();
    ++report.formats[kind];
    report.files.push_back(*name);
    splitter.reset();
    wide.reset();
    parquet.reset();
    mapped.reset();
    spool.reset();
    input.reset();
  }
};

RowReader::RowReader(const std::vector<std::string>& paths, RejectedRows& rejected, ReadOptions options)
    : impl_(std::make_unique<Impl>(rejected, options)) {
  const auto files = expand_paths(paths);
  impl_->files.assign(files.begin(), files.end());
}

RowReader::~RowReader() = default;

const ReadReport& RowReader::report() const {
  return impl_->report;
}

bool RowReader::next(std::vector<Row>& batch) {
  return impl_->fill(batch, nullptr);
}

bool RowReader::next(std::vector<Row>& batch, std::vector<Unreadable>& unreadable) {
  unreadable.clear();
  return impl_->fill(batch, &unreadable) || !unreadable.empty();
}

bool RowReader::next(std::vector<Row>& batch, std::vector<OrderedJson>& values) {
  for (;;) {
    values.clear();
    if (!next(batch)) return false;
    const auto count = static_cast<int64_t>(batch.size());
    values.resize(batch.size());
    std::vector<std::string> problems(batch.size());
    std::vector<uint8_t> repaired(batch.size(), 0);
    parallel_for(count, 64, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        try {
          bool changed = false;
          values[i] = parse_row(batch[i], &changed);
          repaired[i] = changed;
          if (!values[i].is_object())
            problems[i] = fmt::format("a {} where an object was expected", values[i].type_name());
        } catch (const Error& error) {
          rethrow_unless_of_input(error);
          problems[i] = error.what();
        }
      }
    });
    size_t kept = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      impl_->report.repaired += repaired[i];
      if (!problems[i].empty()) {
        --impl_->report.rows;
        ++impl_->report.rejected;
        impl_->rejected.add({*batch[i].file, batch[i].line,
                             values[i].is_null() ? "not valid JSON" : "not a JSON object",
                             std::move(problems[i]), "", std::move(batch[i].text)});
        continue;
      }
      if (kept != i) {
        batch[kept] = std::move(batch[i]);
        values[kept] = std::move(values[i]);
      }
      ++kept;
    }
    batch.resize(kept);
    values.resize(kept);
    if (kept > 0) return true;
  }
}

std::vector<OrderedJson> read_rows(const std::vector<std::string>& paths, RejectedRows& rejected,
                                   ReadReport* report) {
  RowReader reader(paths, rejected);
  std::vector<OrderedJson> all, values;
  std::vector<Row> batch;
  while (reader.next(batch, values)) std::move(values.begin(), values.end(), std::back_inserter(all));
  if (report != nullptr) *report = reader.report();
  return all;
}

}  // namespace fettle::data
