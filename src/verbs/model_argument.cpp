#include "verbs/model_argument.h"

#include "hub/pull.h"

namespace fettle::verbs {

fs::path resolve_model(const std::string& name) { return hub::pull(name).path; }

}  // namespace fettle::verbs
