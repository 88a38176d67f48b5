#include "data/files/paths.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "base/folder.h"
#include "data/compression/decompress.h"
#include "data/files/input.h"
#include "data/files/reader.h"

namespace fettle::data {
namespace {

bool is_data_name(std::string_view name) {
  constexpr std::array<std::string_view, 6> kinds{".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv"};
  name = without_packing(name);
  return std::any_of(kinds.begin(), kinds.end(), [&](std::string_view kind) { return name.ends_with(kind); });
}

std::vector<std::string> in_folder(const std::string& folder, const OnUnreadable& unreadable) {
  std::vector<std::string> files;
  bool all_seen = true;
  const OnUnreadable noted = [&](const fs::path& path, const std::string& why) {
    all_seen = false;
    unreadable(path, why);
  };
  for (const auto& path : files_below(folder, unreadable ? noted : unreadable)) {
    if (is_data_name(path.filename().string())) files.push_back(path.string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty() && all_seen) {
    fail(folder, "holds no data file; expected *.jsonl, *.json, *.ndjson, *.parquet, *.csv or *.tsv (.gz, .zst, .xz, .bz2, .lz4 too)");
  }
  return files;
}

std::vector<std::string> matching(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  const int code = errno;
  std::vector<std::string> files;
  if (status == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (status == GLOB_NOSPACE) throw std::bad_alloc();
  if (status == GLOB_ABORTED) {
    errno = code;
    fail_io(pattern, "a folder on the way cannot be looked into");
  }
  return files;
}

/// What the path is; CannotOpen when the system does not let us see.
fs::file_type type_of(const std::string& path) {
  std::error_code code;
  const auto type = fs::status(path, code).type();
  if (code && type == fs::file_type::none) fail_open(path, code.value());
  return type;
}

}  // namespace

std::vector<std::string> expand_paths(const std::vector<std::string>& paths, const OnUnreadable& unreadable) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    const auto type = path == "-" ? fs::file_type::regular : type_of(path);
    if (type == fs::file_type::directory) {
      const auto inside = in_folder(path, unreadable);
      files.insert(files.end(), inside.begin(), inside.end());
    } else if (type != fs::file_type::not_found) {  // a pipe or a device, too
      files.push_back(path);
    } else if (path.find_first_of("*?[") != std::string::npos) {
      const auto matches = matching(path);
      if (matches.empty()) fail(path, "matches no file");
      const auto inside = expand_paths(matches, unreadable);
      files.insert(files.end(), inside.begin(), inside.end());
    } else {
      fail(path, "there is no such file or folder");
    }
  }
  if (paths.empty()) fail_usage("no input file was given");
  return files;
}

}  // namespace fettle::data
