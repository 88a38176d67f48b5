#include "data/html/pages.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "base/folder.h"
#include "base/interrupt.h"
#include "data/compression/decompress.h"
#include "data/files/input.h"
#include "data/files/paths.h"
#include "data/html/page_encoding.h"
#include "data/html/warc.h"

namespace fettle::data {
namespace {

bool is_page_name(const std::string& path) {
  std::string name(without_packing(path));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 4> kinds{".html", ".htm", ".xhtml", ".warc"};
  return std::any_of(kinds.begin(), kinds.end(), [&](std::string_view kind) { return name.ends_with(kind); });
}

/// A page that a browser saved with its pictures.
bool is_mhtml(std::string_view text) {
  const auto head = text.substr(0, 1024);
  return head.find("MIME-Version:") != std::string_view::npos && head.find("multipart/related") != std::string_view::npos &&
         head.find('<') > head.find(':');
}

/// Folders that cannot be looked into go to `unread`.
std::vector<std::string> expand_pages(const std::vector<std::string>& paths, std::vector<UnreadInput>& unread) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    std::error_code unknown;
    if (!fs::is_directory(path, unknown)) {
      const auto more = expand_paths({path});
      for (const auto& file : more) {
        if (more.size() == 1 || is_page_name(file)) files.push_back(file);
      }
      continue;
    }
    const size_t before = files.size(), unread_before = unread.size();
    const auto below = files_below(path, [&](const fs::path& part, const std::string& why) { unread.push_back({part.string(), why}); });
    for (const auto& file : below) {
      if (is_page_name(file.string())) files.push_back(file.string());
    }
    if (files.size() == before && unread.size() == unread_before)
      fail(path, "holds no page; expected *.html, *.htm or *.warc (.gz, .zst, .xz, .bz2, .lz4 too)");
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(before), files.end());
  }
  return files;
}

}  // namespace

struct PageReader::Impl {
  std::vector<std::string> files;
  RejectedRows& rejected;
  PageReadOptions options;
  size_t next_file = 0;
  uint64_t bytes = 0;
  std::map<std::string, int64_t> formats;
  std::vector<UnreadInput> unread;
  std::shared_ptr<const std::string> file;
  std::string first_problem;  ///< of the open archive
  std::unique_ptr<ByteInput> input;
  std::string head;  ///< the open file's first bytes, not taken yet
  std::unique_ptr<WarcReader> archive;
  std::vector<Page>* batch = nullptr;
  std::vector<Unreadable>* unreadable = nullptr;  ///< where broken input goes instead of to `rejected`

  void reject(const std::string& reason, const std::string& detail) {
    if (first_problem.empty()) first_problem = detail.empty() ? reason : reason + ": " + detail;
    Rejection rejection{*file, 0, reason, detail, "", ""};
    if (unreadable == nullptr) return rejected.add(std::move(rejection));
    unreadable->push_back({batch->size(), std::move(rejection)});
  }

  void count_format(const char* kind) {
    ++formats[input->compression().empty() ? kind : fmt::format("{}, {}", kind, input->compression())];
  }

  size_t read(char* to, size_t size) {
    if (head.empty()) return input->read(to, size);
    const size_t count = std::min(size, head.size());
    std::memcpy(to, head.data(), count);
    head.erase(0, count);
    return count;
  }

  /// Nothing of it when its encoding cannot be found out.
  bool set_text(Page& page, std::string_view bytes, const std::string& charset) {
    PageText decoded = decode_page(bytes, charset);
    if (!decoded.problem.empty()) {
      reject("cannot be decoded", page.source + ": " + decoded.problem);
      return false;
    }
    page.text = std::move(decoded.text);
    page.repaired = decoded.replaced > 0;
    return true;
  }

  bool read_page(Page& page) {
    count_format("html");
    std::string text;
    constexpr size_t piece = size_t{1} << 16;
    size_t got = 0;
    do {
      const size_t before = text.size();
      text.resize(before + piece);
      got = read(text.data() + before, piece);
      text.resize(before + got);
    } while (got > 0 && text.size() <= options.max_page_bytes);
    bytes += text.size();
    if (text.size() > options.max_page_bytes) {
      reject("page too large", fmt::format("more than {} bytes", options.max_page_bytes));
      return false;
    }
    if (text.empty() && !input->problem().empty()) {
      unread.push_back({*file, input->problem()});
      return false;
    }
    page.source = *file;
    page.file = file;
    page.problem = input->problem();
    if (is_mhtml(text)) {
      unread.push_back({*file, "is MHTML, which is not read; save the page as HTML"});
      return false;
    }
    return set_text(page, text, "");
  }

  /// Opens the next file: a page comes back at once, an archive's pages one by one.
  bool open_next(Page& page) {
    file = std::make_shared<const std::string>(files[next_file++]);
    first_problem.clear();
    try {
      input = std::make_unique<ByteInput>(*file);
    } catch (const Error& error) {
      rethrow_unless_of_file(error);
      unread.push_back({*file, error.what()});
      return false;
    }
    constexpr std::string_view warc = "WARC/";
    head.resize(warc.size());
    size_t got = 0, more = 0;
    do {
      more = input->read(head.data() + got, head.size() - got);
      got += more;
    } while (more > 0 && got < head.size());
    head.resize(got);
    if (head != warc) return read_page(page);
    count_format("warc");
    archive = std::make_unique<WarcReader>(
        [this](char* to, size_t size) {
          const size_t count = read(to, size);
          bytes += count;
          return count;
        },
        [this](const std::string& reason, const std::string& detail) { reject(reason, detail); },
        options.max_page_bytes);
    return false;
  }

  bool from_archive(Page& page) {
    WarcPage found;
    if (!archive->next(found)) {
      if (!input->problem().empty()) reject("damaged compressed file", input->problem());
      if (archive->records() == 0 && !first_problem.empty()) unread.push_back({*file, first_problem});
      archive.reset();
      return false;
    }
    page.source = found.address.empty() ? *file : found.address;
    page.file = file;
    return set_text(page, found.body, found.charset);
  }
};

PageReader::PageReader(const std::vector<std::string>& paths, RejectedRows& rejected, PageReadOptions options)
    : impl_(new Impl{{}, rejected, options}) {
  impl_->files = expand_pages(paths, impl_->unread);
}
PageReader::~PageReader() = default;

bool PageReader::next(std::vector<Page>& batch) {
  impl_->unreadable = nullptr;
  return fill(batch);
}

bool PageReader::next(std::vector<Page>& batch, std::vector<Unreadable>& unreadable) {
  unreadable.clear();
  impl_->batch = &batch;
  impl_->unreadable = &unreadable;
  return fill(batch) || !unreadable.empty();
}

bool PageReader::fill(std::vector<Page>& batch) {
  batch.clear();
  uint64_t gathered = 0;
  while (gathered < impl_->options.batch_bytes &&
         (impl_->archive || impl_->next_file < impl_->files.size())) {
    throw_if_interrupted();
    Page page;
    if (impl_->archive ? !impl_->from_archive(page) : !impl_->open_next(page)) continue;
    gathered += page.text.size() + 1024;
    batch.push_back(std::move(page));
  }
  return !batch.empty();
}

uint64_t PageReader::bytes() const {
  return impl_->bytes;
}
const std::map<std::string, int64_t>& PageReader::formats() const {
  return impl_->formats;
}
const std::vector<UnreadInput>& PageReader::unread() const {
  return impl_->unread;
}

}  // namespace fettle::data
