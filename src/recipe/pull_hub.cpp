#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "recipe/download.h"
#include "recipe/pull.h"

namespace fettle {
namespace {

std::string environment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

struct RemoteFile {
  std::string name;
  DownloadOptions check;
};

/// Weights once: safetensors where they are, else GGUF; never a second copy in another framework's format.
bool is_wanted(const std::string& name, bool has_safetensors) {
  if (name.find("..") != std::string::npos || name.front() == '/') return false;
  const fs::path path(name);
  const std::string ending = path.extension().string();
  if (name.find('/') != std::string::npos) return false;
  if (ending == ".safetensors") return true;
  if (ending == ".gguf") return !has_safetensors;
  static const std::set<std::string> endings{".json", ".jsonl", ".model", ".jinja", ".txt", ".md", ".parquet"};
  return endings.count(ending) != 0 && path.filename() != "README.md";
}

std::vector<RemoteFile> list_files(const Json& listing, const std::string& where) {
  std::vector<RemoteFile> files;
  for (const auto& entry : json_get<Json::array_t>(listing, "siblings", where)) {
    RemoteFile file{json_get<std::string>(entry, "rfilename", where), {}};
    if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
      file.check.sha256 = json_get_or<std::string>(*lfs, "sha256", "", where);
    } else {
      file.check.git_blob_sha1 = json_get_or<std::string>(entry, "blobId", "", where);
    }
    file.check.size = json_get_or<int64_t>(entry, "size", -1, where);
    files.push_back(std::move(file));
  }
  return files;
}

bool is_safe_name(const std::string& text) {
  return !text.empty() && text.find("..") == std::string::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == std::string::npos;
}

}  // namespace

Pulled pull_hub(const std::string& repository, const std::string& revision, const std::string& wanted, const PullOptions& options) {
  const std::string where = fmt::format("hf:{}@{}", repository, revision);
  if (!is_safe_name(repository) || !is_safe_name(revision)) fail_usage("{}: write hf:owner/name[@revision]", where);
  std::string folder_name = repository + "@" + revision;
  std::replace(folder_name.begin(), folder_name.end(), '/', '_');
  const fs::path folder = options.cache / "hub" / folder_name;
  const auto answer = [&] { return Pulled{wanted.empty() ? folder : folder / wanted, where}; };
  // complete.json is written last: with it, everything that was listed is there.
  if (fs::exists(folder / "complete.json") && (wanted.empty() || fs::exists(folder / wanted))) return answer();
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
  const auto files = list_files(parse_json(listing_text, where), where);
  const bool has_safetensors =
      std::any_of(files.begin(), files.end(), [](const RemoteFile& file) { return file.name.ends_with(".safetensors"); });
  size_t taken = 0;
  for (auto file : files) {
    if (wanted.empty() ? !is_wanted(file.name, has_safetensors) : file.name != wanted) continue;
    ++taken;
    if (fs::exists(folder / file.name)) continue;
    file.check.headers = headers;
    download(fmt::format("{}/{}{}/resolve/{}/{}", endpoint, kind, repository, revision, file.name), folder / file.name, file.check);
  }
  if (taken == 0) fail(where, "{}", wanted.empty() ? "holds no model or data file" : "has no file " + wanted);
  if (wanted.empty()) write_file(folder / "complete.json", listing_text);
  return answer();
}

}  // namespace fettle
