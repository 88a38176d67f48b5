// The table of methods. A new one is a file beside this one and a line in this list.
#define FETTLE_METHODS(X) \
  X(pretrain)             \
  X(sft)                  \
  X(weighted_sft)         \
  X(dpo)                  \
  X(cdpo)                 \
  X(ipo)                  \
  X(kto)                  \
  X(orpo)                 \
  X(simpo)                \
  X(apo_zero)             \
  X(apo_down)

#include "base/error.h"
#include "train/losses/loss.h"

namespace fettle::train {

#define FETTLE_DECLARE(name) extern const Method method_##name;
FETTLE_METHODS(FETTLE_DECLARE)
#undef FETTLE_DECLARE

const std::vector<const Method*>& methods() {
#define FETTLE_ADDRESS(name) &method_##name,
  static const std::vector<const Method*> table{FETTLE_METHODS(FETTLE_ADDRESS)};
#undef FETTLE_ADDRESS
  return table;
}

const Method& method_from_name(std::string_view name) {
  std::vector<std::string> names;
  for (const Method* method : methods()) {
    if (method->name == name) return *method;
    names.emplace_back(method->name);
  }
  const std::string near = nearest_name(name, names);
  fail_usage("method: no method is called '{}'{}; methods are {}", name,
             near.empty() ? "" : fmt::format("; did you mean '{}'?", near), fmt::join(names, ", "));
}

}  // namespace fettle::train
