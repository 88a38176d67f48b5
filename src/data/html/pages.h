#pragma once
// Pages out of files, folders and web archives, and passes over them.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/files/unread_input.h"
#include "data/passes/pass.h"

namespace fettle::data {

/// One page. `text` is UTF-8.
struct Page {
  std::string text;
  std::string source;   ///< its address where an archive names it, else its file
  std::string problem;  ///< what was wrong with the file it came from: what could be read is in `text`
  std::shared_ptr<const std::string> file;
  bool repaired = false;  ///< invalid UTF-8 became U+FFFD
};

struct PageReadOptions {
  uint64_t max_page_bytes = uint64_t{64} << 20;
  uint64_t batch_bytes = uint64_t{16} << 20;
};

/// Reads *.html, *.htm, *.xhtml and WARC files (ISO 28500: responses and resources of type text/html), all
/// also compressed. Archives are told from pages by their content. Folders are read whole, sorted by name. One thread at
/// a time. Broken files and records, and pages whose encoding cannot be found out (page_encoding.h), go to `rejected`; a
/// path that matches nothing throws.
class PageReader {
 public:
  PageReader(const std::vector<std::string>& paths, RejectedRows& rejected, PageReadOptions options = {});
  ~PageReader();
  PageReader(const PageReader&) = delete;
  PageReader& operator=(const PageReader&) = delete;

  /// Replaces `batch` by the next pages; false (and an empty batch) when there are none left.
  bool next(std::vector<Page>& batch);
  /// The same, but broken input goes to `unreadable` instead, with its place among the pages. True also when there are no pages,
  /// but something that could not be read.
  bool next(std::vector<Page>& batch, std::vector<Unreadable>& unreadable);
  uint64_t bytes() const;  ///< uncompressed, so far
  const std::map<std::string, int64_t>& formats() const;
  /// Inputs that could not be opened or of which no page could be read. An archive without pages is none of them.
  const std::vector<UnreadInput>& unread() const;

 private:
  struct Impl;
  bool fill(std::vector<Page>& batch);
  std::unique_ptr<Impl> impl_;
};

/// What a page became: rows to write, and rows that were not made, each with its reason.
struct PageVerdict {
  struct Made {
    std::string row, id,
        key;  ///< rows with the same key are duplicates: the first stays. Empty: never a duplicate
  };
  struct Dropped {
    std::string reason, detail, id, text;
  };
  std::vector<Made> made;
  std::vector<Dropped> dropped;
};
enum class RowLayout {
  lines,   ///< as RowWriter writes them
  python,  ///< the file that json.dump(rows, file, indent="\t") makes; rows come at depth 1
};

/// Judges pages in parallel (`judge` must be thread-safe), and writes in the pages' order: the same for any
/// number of threads. In the report, in = rows written + rows dropped. Rows made twice are dropped as
/// "Duplicate".
using JudgePage = std::function<void(const Page& page, PageVerdict& verdict)>;
PassReport run_pages(const std::string& verb, const PassFiles& files, RowLayout layout,
                     const JudgePage& judge);

}  // namespace fettle::data
