#include "base/folder.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"

namespace fettle {
namespace {

void report(const fs::path& path, std::error_code code, const OnUnreadable& unreadable) {
  const bool of_path = code == std::errc::permission_denied || code == std::errc::operation_not_permitted ||
                       code == std::errc::too_many_symbolic_link_levels || code == std::errc::filename_too_long ||
                       code == std::errc::no_such_file_or_directory;
  if (!of_path || !unreadable) throw Error(Error::Kind::io, fmt::format("{}: cannot be looked into: {}", path.string(), code.message()));
  unreadable(path, code.message());
}

}  // namespace

std::vector<fs::path> files_below(const fs::path& folder, const OnUnreadable& unreadable) {
  std::vector<fs::path> files, folders{folder};
  while (!folders.empty()) {
    const fs::path open = std::move(folders.back());
    folders.pop_back();
    std::error_code code;
    fs::directory_iterator entry(open, code);
    for (; !code && entry != fs::directory_iterator(); entry.increment(code)) {
      std::error_code problem;
      const bool link = entry->is_symlink(problem);
      const auto status = problem ? fs::file_status() : entry->status(problem);
      if (problem && problem != std::errc::no_such_file_or_directory) {
        report(entry->path(), problem, unreadable);
      } else if (status.type() == fs::file_type::regular) {
        files.push_back(entry->path());
      } else if (status.type() == fs::file_type::directory && !link) {
        folders.push_back(entry->path());
      }
    }
    if (code) report(open, code, unreadable);
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace fettle
