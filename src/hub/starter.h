#pragma once
// The files of starter/, embedded in the program at build time.
#include <vector>

#include "base/embedded_file.h"

namespace fettle::hub {

/// Lives as long as the program.
const std::vector<EmbeddedFile>& starter_files();

}  // namespace fettle::hub
