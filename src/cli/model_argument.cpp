#include "cli/model_argument.h"

#include "recipe/pull.h"

namespace fettle::cli {

fs::path resolve_model(const std::string& name) { return pull(name).path; }

}  // namespace fettle::cli
