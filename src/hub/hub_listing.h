#pragma once
// What a hub says that a repository holds: the answer of GET /api/models/NAME/revision/REVISION?blobs=true.
#include <string>
#include <vector>

#include "hub/download.h"

namespace fettle::hub {

/// Written into a repository's folder once everything that was listed is there; never taken from a hub.
inline constexpr const char* complete_name = "complete.json";

struct RemoteFile {
  std::string name;        ///< as the hub writes it: not yet a path that may be written
  DownloadOptions check;   ///< its size and hash
};

/// Throws Error with `where` for an answer of another shape, sizes below -1 or above 16 TiB, and more than 100,000 files.
std::vector<RemoteFile> list_files(const std::string& answer, const std::string& where);

}  // namespace fettle::hub
