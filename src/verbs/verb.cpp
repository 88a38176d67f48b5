#include "verbs/verb.h"

#include <algorithm>

#include "base/error.h"
#include "verbs/destinations.h"

namespace fettle::verbs {

Report Verb::call(const KeyValues& values, parallel::ProcessGroup& group) const {
  FETTLE_CHECK(by_ranks || group.is_alone());
  check_destinations(keys, values);
  check(values);
  return run(values, group);
}

const std::vector<const Verb*>& verbs() {
  static const std::vector<const Verb*> list{&clean_verb(),   &convert_verb(), &binarize_verb(), &filter_verb(),
                                             &dedupe_verb(),  &segment_verb(), &split_verb(),    &mix_verb(),
                                             &stats_verb(),   &show_verb(),    &trace_verb(),  &generate_verb(), &judge_verb(),
                                             &score_verb(),   &tokenize_verb(), &export_verb(),  &diff_verb()};
  return list;
}

const Verb* find_verb(std::string_view group, std::string_view name) {
  const auto found = std::find_if(verbs().begin(), verbs().end(), [&](const Verb* verb) { return verb->group == group && verb->name == name; });
  return found == verbs().end() ? nullptr : *found;
}

}  // namespace fettle::verbs
