#pragma once
// What lies below a folder, without passing over what cannot be looked at.
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"

namespace fettle {

using OnUnreadable = std::function<void(const fs::path& path, const std::string& why)>;

/// Every file in `folder` and the folders below it, sorted; links to files count, links to folders are not followed. What
/// cannot be looked at (no permission) goes to `unreadable`, or is an Error(io) naming it where that is empty; a disk that
/// fails, or too many open files, always is.
std::vector<fs::path> files_below(const fs::path& folder, const OnUnreadable& unreadable = {});

}  // namespace fettle
