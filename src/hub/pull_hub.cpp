#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/progress.h"
#include "hub/download.h"
#include "hub/hub_listing.h"
#include "hub/pull.h"

namespace fettle::hub {
namespace {

std::string environment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

/// Weights once: safetensors where they are, else GGUF; never a second copy in another framework's format.
bool is_wanted(const std::string& name, bool has_safetensors) {
  if (!is_safe_path(name) || name.find('/') != std::string::npos) return false;
  const fs::path path(name);
  const std::string ending = path.extension().string();
  if (ending == ".safetensors") return true;
  if (ending == ".gguf") return !has_safetensors;
  static const std::set<std::string> endings{".json", ".jsonl", ".model", ".jinja", ".txt", ".md", ".parquet"};
  return endings.count(ending) != 0 && path.filename() != "README.md";
}

/// "--" stands for a '/' in the names of the cache, and in no name of the hub.
bool is_hub_text(std::string_view text) {
  constexpr size_t longest = 200;
  return is_safe_path(text) && text.size() <= longest && text.front() != '-' && text.find("--") == std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == std::string_view::npos;
}

std::string in_address(const std::string& name) {
  std::string text;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-_.~/").find(c) != std::string_view::npos;
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

std::string cache_name(std::string text) {
  for (size_t at = text.find('/'); at != std::string::npos; at = text.find('/', at)) text.replace(at, 1, "--");
  return text;
}

/// Announced sizes that the disk has no room for are refused before the first byte.
void check_room(const std::vector<RemoteFile>& files, const fs::path& cache, const std::string& where) {
  int64_t wanted = 0;
  for (const auto& file : files) wanted += std::max<int64_t>(0, file.check.size);
  std::error_code unknown;
  const auto room = fs::space(cache, unknown);
  if (unknown || static_cast<uint64_t>(wanted) <= room.available) return;
  throw Error(Error::Kind::io, fmt::format("{}: its files have {}, and {} has room for {}", where, human_bytes(static_cast<double>(wanted)), cache.string(),
                                           human_bytes(static_cast<double>(room.available))));
}

}  // namespace

void check_hub_name(const std::string& repository, const std::string& revision, const std::string& file) {
  const bool one_slash = std::count(repository.begin(), repository.end(), '/') == 1;
  if (!one_slash || !is_hub_text(repository) || !is_hub_text(revision)) fail_usage("hf:{}@{}: write hf:owner/name[@revision][/file]", repository, revision);
  if (!file.empty() && (!is_safe_path(file) || file == complete_name)) fail_usage("hf:{}/{}: that is no file's name", repository, file);
}

Pulled pull_hub(const std::string& repository, const std::string& revision, const std::string& wanted, const PullOptions& options) {
  const std::string where = fmt::format("hf:{}@{}", repository, revision);
  check_hub_name(repository, revision, wanted);
  const fs::path folder = options.folder() / "hub" / (cache_name(repository) + "@" + cache_name(revision));
  const auto answer = [&] { return Pulled{wanted.empty() ? folder : folder / wanted, where}; };
  // complete.json is written last: with it, everything that was listed is there.
  if (fs::exists(folder / complete_name) && (wanted.empty() || fs::exists(folder / wanted))) return answer();
  if (options.offline) fail(where, "is not in the cache");

  const std::string endpoint = environment("HF_ENDPOINT", "https://huggingface.co");
  std::map<std::string, std::string> headers;
  if (const std::string token = environment("HF_TOKEN", ""); !token.empty()) headers["Authorization"] = "Bearer " + token;
  std::string listing_text, kind;
  try {
    listing_text = http_get(fmt::format("{}/api/models/{}/revision/{}?blobs=true", endpoint, repository, revision), headers);
  } catch (const Error& error) {
    if (std::string_view(error.what()).find("answered 40") == std::string_view::npos) throw;
    kind = "datasets/";
    listing_text = http_get(fmt::format("{}/api/datasets/{}/revision/{}?blobs=true", endpoint, repository, revision), headers);
  }
  auto files = list_files(listing_text, where);
  const bool has_safetensors =
      std::any_of(files.begin(), files.end(), [](const RemoteFile& file) { return file.name.ends_with(".safetensors"); });
  std::erase_if(files, [&](const RemoteFile& file) { return wanted.empty() ? !is_wanted(file.name, has_safetensors) : file.name != wanted; });
  if (files.empty()) fail(where, "{}", wanted.empty() ? "holds no model or data file" : "has no file " + wanted);
  std::erase_if(files, [&](const RemoteFile& file) { return fs::exists(folder / file.name); });
  check_room(files, options.folder(), where);
  for (auto& file : files) {
    file.check.headers = headers;
    download(fmt::format("{}/{}{}/resolve/{}/{}", endpoint, kind, repository, revision, in_address(file.name)), folder / file.name, file.check);
  }
  if (wanted.empty()) write_file(folder / complete_name, listing_text);
  return answer();
}

}  // namespace fettle::hub
