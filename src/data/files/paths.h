#pragma once
// Which files a path on the command line means.
#include <string>
#include <vector>

#include "base/folder.h"

namespace fettle::data {

/// The files that `paths` mean, in a stable order: a file; a folder's data files (*.jsonl, *.json, *.ndjson,
/// *.parquet and their .gz and .zst, sorted by name, subfolders included); a pattern with * ? [ ]; "-". Error
/// when one matches nothing, CannotOpen when something cannot be looked into; folders below a folder that cannot go to
/// `unreadable` where that is given.
std::vector<std::string> expand_paths(const std::vector<std::string>& paths, const OnUnreadable& unreadable = {});

}  // namespace fettle::data
