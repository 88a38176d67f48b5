#include "serve/http/api_keys.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/error.h"

namespace fettle::serve {
namespace {

constexpr std::string_view key_blanks = " \t\v\f";

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(key_blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(key_blanks) - first + 1);
}

}  // namespace

std::vector<std::string> read_keys(std::string_view text, const std::string& where, bool commas) {
  std::vector<std::string> keys;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string_view ends = commas ? "\r\n," : "\r\n";
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(ends, at), text.size());
    const std::string_view key = without_blanks(text.substr(at, end - at));
    at = end + 1;
    if (key.empty() || key.front() == '#') continue;
    const bool sendable = std::ranges::all_of(key, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!sendable) fail(where, "key {} holds a blank, a control character or a letter beyond ASCII, which no client can send", keys.size() + 1);
    keys.emplace_back(key);
  }
  if (keys.empty()) fail(where, "holds no key; write one, or leave it out for a server that everybody may ask");
  return keys;
}

std::vector<std::string> read_keys_file(const fs::path& path) {
  return read_keys(read_file(path, 1 << 20), path.string(), false);
}

std::string secret_file_warning(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 077) == 0) return {};
  return fmt::format("{} can be read by others on this machine (mode {:o}); chmod 600 keeps it to you", path.string(), info.st_mode & 0777U);
}

}  // namespace fettle::serve
