#include "data/pages.h"

#include <iconv.h>
#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <optional>

#include "data/input.h"
#include "data/utf8.h"
#include "data/warc.h"

namespace fettle::data {
namespace {

std::string plain_name(std::string name) {
  for (const std::string_view ending : {".gz", ".zst"}) {
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}
bool is_archive(const std::string& path) {
  return plain_name(path).ends_with(".warc");
}
bool is_page_name(const std::string& path) {
  const std::string name = plain_name(path);
  return name.ends_with(".html") || name.ends_with(".htm") || name.ends_with(".xhtml") ||
         name.ends_with(".warc");
}

/// The encoding that <meta charset=…> or the like names in the first bytes; "" when none.
std::string charset_in_head(std::string_view html) {
  constexpr size_t looked_at = 2048;
  std::string head(html.substr(0, looked_at));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const size_t meta = head.find("<meta"), at = meta == std::string::npos ? meta : head.find("charset=", meta);
  if (at == std::string::npos) return "";
  size_t begin = at + 8;
  while (begin < head.size() && (head[begin] == '"' || head[begin] == '\'' || head[begin] == ' ')) ++begin;
  size_t end = begin;
  while (end < head.size() &&
         (std::isalnum(static_cast<unsigned char>(head[end])) != 0 || head[end] == '-' || head[end] == '_'))
    ++end;
  return head.substr(begin, end - begin);
}

/// Nothing when the encoding is unknown. Bytes that mean nothing in it become U+FFFD.
std::optional<std::string> to_utf8(std::string_view bytes, std::string charset) {
  // Browsers read Latin-1 as Windows-1252 (WHATWG Encoding).
  if (charset == "iso-8859-1" || charset == "latin1" || charset == "us-ascii" || charset == "ascii")
    charset = "windows-1252";
  if (charset == "gb2312") charset = "gbk";
  const iconv_t converter = ::iconv_open("UTF-8", charset.c_str());
  if (converter == reinterpret_cast<iconv_t>(intptr_t{-1})) return std::nullopt;
  std::string out(bytes.size() * 3 + 16, '\0');
  char* from = const_cast<char*>(bytes.data());
  char* to = out.data();
  size_t left = bytes.size(), room = out.size();
  while (left > 0 && ::iconv(converter, &from, &left, &to, &room) == static_cast<size_t>(-1)) {
    if (left == 0 || room < 3 || errno == E2BIG) break;
    for (const char c : {'\xEF', '\xBF', '\xBD'}) *to++ = c;
    room -= 3;
    ++from;
    --left;
  }
  ::iconv_close(converter);
  out.resize(static_cast<size_t>(to - out.data()));
  return out;
}

void set_text(Page& page, std::string bytes, const std::string& charset) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  if (simdjson::validate_utf8(bytes)) {
    page.text = std::move(bytes);
    return;
  }
  const std::string named = charset.empty() ? charset_in_head(bytes) : charset;
  if (!named.empty() && named != "utf-8" && named != "utf8") {
    if (auto converted = to_utf8(bytes, named)) {
      page.text = std::move(*converted);
      return;
    }
  }
  page.repaired = true;
  page.text = replace_invalid_utf8(bytes);
}

std::vector<std::string> expand_pages(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (!fs::is_directory(path)) {
      const auto more = expand_paths({path});
      for (const auto& file : more) {
        if (more.size() == 1 || is_page_name(file)) files.push_back(file);
      }
      continue;
    }
    const size_t before = files.size();
    for (const auto& entry :
         fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied)) {
      if (entry.is_regular_file() && is_page_name(entry.path().string()))
        files.push_back(entry.path().string());
    }
    if (files.size() == before)
      fail(path, "holds no page; expected *.html, *.htm or *.warc (.gz and .zst too)");
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
  std::shared_ptr<const std::string> file;
  std::unique_ptr<ByteInput> input;
  std::unique_ptr<WarcReader> archive;

  void reject(const std::string& reason, const std::string& detail) {
    rejected.add({*file, 0, reason, detail, "", ""});
  }

  void count_format(const char* kind) {
    ++formats[input->compression().empty() ? kind : fmt::format("{}, {}", kind, input->compression())];
  }

  bool read_page(Page& page) {
    count_format("html");
    std::string text;
    constexpr size_t piece = size_t{1} << 16;
    size_t got = 0;
    do {
      const size_t before = text.size();
      text.resize(before + piece);
      got = input->read(text.data() + before, piece);
      text.resize(before + got);
    } while (got > 0 && text.size() <= options.max_page_bytes);
    bytes += text.size();
    if (text.size() > options.max_page_bytes) {
      reject("page too large", fmt::format("more than {} bytes", options.max_page_bytes));
      return false;
    }
    page.source = *file;
    page.file = file;
    page.problem = input->problem();
    set_text(page, std::move(text), "");
    return true;
  }

  /// Opens the next file: a page comes back at once, an archive's pages one by one.
  bool open_next(Page& page) {
    file = std::make_shared<const std::string>(files[next_file++]);
    input = std::make_unique<ByteInput>(*file);
    if (!is_archive(*file)) return read_page(page);
    count_format("warc");
    archive = std::make_unique<WarcReader>(
        [this](char* to, size_t size) {
          const size_t got = input->read(to, size);
          bytes += got;
          return got;
        },
        [this](const std::string& reason, const std::string& detail) { reject(reason, detail); },
        options.max_page_bytes);
    return false;
  }

  bool from_archive(Page& page) {
    WarcPage found;
    if (!archive->next(found)) {
      if (!input->problem().empty()) reject("damaged compressed file", input->problem());
      archive.reset();
      return false;
    }
    page.source = found.address.empty() ? *file : found.address;
    page.file = file;
    set_text(page, std::move(found.body), found.charset);
    return true;
  }
};

PageReader::PageReader(const std::vector<std::string>& paths, RejectedRows& rejected, PageReadOptions options)
    : impl_(new Impl{expand_pages(paths), rejected, options}) {}
PageReader::~PageReader() = default;

bool PageReader::next(std::vector<Page>& batch) {
  batch.clear();
  uint64_t gathered = 0;
  while (gathered < impl_->options.batch_bytes &&
         (impl_->archive || impl_->next_file < impl_->files.size())) {
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

}  // namespace fettle::data
