#pragma once
// The files of web/, embedded in the program at build time.
#include <vector>

#include "base/embedded_file.h"

namespace fettle::serve {

/// Lives as long as the program.
const std::vector<EmbeddedFile>& page_files();

}  // namespace fettle::serve
