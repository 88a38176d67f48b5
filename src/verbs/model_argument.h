#pragma once
// `--model M`: a path or a name that `fettle pull` knows.
#include <string>

#include "base/file.h"

namespace fettle::verbs {

/// The path of a model, fetched into the cache when M is a name. Throws Error naming what was tried.
fs::path resolve_model(const std::string& name);

}  // namespace fettle::verbs
