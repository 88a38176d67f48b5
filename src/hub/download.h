#pragma once
// Downloads that resume and are checked.
#include <cstdint>
#include <map>
#include <string>

#include "base/file.h"

namespace fettle::hub {

struct DownloadOptions {
  std::map<std::string, std::string> headers;
  int64_t size = -1;         ///< expected bytes, -1 when unknown
  std::string sha256;        ///< expected, empty when unknown
  std::string git_blob_sha1;  ///< expected git object id of the content, empty when unknown
};

/// GET `url` (http or https, redirects followed, but never from https to http; an Authorization header goes to the first host
/// only) into `target`. Bytes come into `target`.part, which a later call continues; `target` appears whole, checked and
/// flushed. Throws Error(io), also where more comes than `size`.
void download(const std::string& url, const fs::path& target, const DownloadOptions& options = {});

/// Where a redirection of `url` to `location` leads. Throws Error for other schemes than http and https, and for a way out of
/// https: in the open anybody on the way could change what comes.
std::string redirect_target(const std::string& url, const std::string& location);

/// The body of a small GET; throws Error(io) with the status when it is not 200, and where it is longer than 64 MiB.
std::string http_get(const std::string& url, const std::map<std::string, std::string>& headers = {});

}  // namespace fettle::hub
