#include <glob.h>

#include <algorithm>
#include <array>

#include "data/decompress.h"
#include "data/reader.h"

namespace fettle::data {
namespace {

bool is_data_name(std::string_view name) {
  constexpr std::array<std::string_view, 6> kinds{".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv"};
  name = without_packing(name);
  return std::any_of(kinds.begin(), kinds.end(), [&](std::string_view kind) { return name.ends_with(kind); });
}

std::vector<std::string> in_folder(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
    if (entry.is_regular_file() && is_data_name(entry.path().filename().string())) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    fail(folder, "holds no data file; expected *.jsonl, *.json, *.ndjson, *.parquet, *.csv or *.tsv (.gz, .zst, .xz, .bz2, .lz4 too)");
  }
  return files;
}

std::vector<std::string> matching(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> files;
  if (status == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

}  // namespace

std::vector<std::string> expand_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (path == "-" || fs::is_regular_file(path)) {
      files.push_back(path);
    } else if (fs::is_directory(path)) {
      const auto inside = in_folder(path);
      files.insert(files.end(), inside.begin(), inside.end());
    } else if (fs::exists(path)) {  // a pipe or a device
      files.push_back(path);
    } else if (path.find_first_of("*?[") != std::string::npos) {
      const auto matches = matching(path);
      if (matches.empty()) fail(path, "matches no file");
      const auto inside = expand_paths(matches);
      files.insert(files.end(), inside.begin(), inside.end());
    } else {
      fail(path, "there is no such file or folder");
    }
  }
  if (files.empty()) fail_usage("no input file was given");
  return files;
}

}  // namespace fettle::data
