#pragma once
// Names of files that stand for standard output.
#include "base/file.h"

namespace fettle {

/// Whether what AtomicFile and write_file write to `path` goes to standard output: "-", "/dev/stdout", "/dev/fd/1". Like pipes
/// and devices it takes bytes as they come.
bool is_standard_output(const fs::path& path);

}  // namespace fettle
