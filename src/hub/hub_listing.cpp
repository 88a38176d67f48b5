#include "hub/hub_listing.h"

#include "base/error.h"
#include "base/json.h"

namespace fettle::hub {
namespace {

constexpr int64_t largest_file = int64_t{1} << 44;
constexpr size_t most_files = 100'000;

}  // namespace

std::vector<RemoteFile> list_files(const std::string& answer, const std::string& where) {
  const Json listing = parse_json(answer, where);
  if (!listing.is_object()) fail(where, "the hub's answer is no object; is HF_ENDPOINT a hub?");
  std::vector<RemoteFile> files;
  for (const auto& entry : json_get<Json::array_t>(listing, "siblings", where)) {
    if (!entry.is_object()) fail(where, "siblings: every entry must be an object");
    RemoteFile file{json_get<std::string>(entry, "rfilename", where), {}};
    if (file.name == complete_name) continue;
    if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
      file.check.sha256 = json_get_or<std::string>(*lfs, "sha256", "", where);
    } else {
      file.check.git_blob_sha1 = json_get_or<std::string>(entry, "blobId", "", where);
    }
    file.check.size = json_get_or<int64_t>(entry, "size", -1, where);
    if (file.check.size < -1 || file.check.size > largest_file)
      fail(where, "says that {} has {} bytes; at most {} are taken", file.name, file.check.size, largest_file);
    files.push_back(std::move(file));
  }
  if (files.size() > most_files) fail(where, "lists {} files, at most {} are taken", files.size(), most_files);
  return files;
}

}  // namespace fettle::hub
