#pragma once
// The commands that make files, each stated once: what it takes, what it checks, what it does. The command line and the steps of
// recipes are two ways to call it.
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/keys.h"
#include "parallel/process_group.h"

namespace fettle::verbs {

/// What a verb has to say when it is done.
struct Report {
  OrderedJson json;   ///< null: nothing to report
  std::string text;   ///< the same for a person
  std::vector<std::string> warnings;
  std::string failure;  ///< the output stands, and yet the call failed: what with
};

/// Where a recipe's step lets a verb write.
struct Place {
  fs::path write;   ///< the value of the output's key
  fs::path result;  ///< what the step's output is: the same, or the folder around it
};

/// Immutable; safe to use from many threads.
struct Verb {
  std::string group;  ///< "data" for the verbs of `fettle data`
  std::string name, summary, examples;
  std::vector<KeyInfo> keys;
  int version = 1;  ///< raised when the same values give another output: finished steps then run again

  /// Throws Error(usage) for what can be known to be wrong before anything is read. Values may hold references to outputs of
  /// steps that have not run (`${…}`).
  std::function<void(const KeyValues& values)> check;
  /// Does the work; check() has passed. Every rank of `group` calls it; what rank 0 returns counts.
  std::function<Report(const KeyValues& values, parallel::ProcessGroup& group)> run;
  bool by_ranks = false;  ///< else `group` is the empty one
  /// Where the first output goes inside a step's folder; null: under the key's file name.
  std::function<Place(const KeyValues& values, const fs::path& folder)> place = {};

  /// Checks, where the outputs go too, and runs; throws what the two throw.
  Report call(const KeyValues& values, parallel::ProcessGroup& group = parallel::alone()) const;
};

/// Every verb, in the order that --help shows them.
const std::vector<const Verb*>& verbs();
/// Null where there is none of that name.
const Verb* find_verb(std::string_view group, std::string_view name);

/// A verb over the values of `Options`: `check` and `run` are given what was read into them. One whose `run` takes a group can be
/// run by ranks.
template <typename Options, typename... Group>
Verb make_verb(Verb about, const KeyTable<Options>& table, void (*check)(const Options&, const KeyValues&),
               Report (*run)(Options&, const KeyValues&, Group&...)) {
  about.keys = table.infos();
  about.check = [table, check](const KeyValues& values) {
    Options options;
    table.read(values, options);
    if (check != nullptr) check(options, values);
  };
  about.by_ranks = sizeof...(Group) == 1;
  about.run = [table, run](const KeyValues& values, parallel::ProcessGroup& group) {
    Options options;
    table.read(values, options);
    if constexpr (sizeof...(Group) == 1) {
      return run(options, values, group);
    } else {
      return run(options, values);
    }
  };
  return about;
}

/// True when `text` speaks of the output of a step that has not run.
inline bool has_reference(std::string_view text) { return text.find("${") != std::string_view::npos; }

// One a file.
const Verb& binarize_verb();
const Verb& clean_verb();
const Verb& convert_verb();
const Verb& dedupe_verb();
const Verb& diff_verb();
const Verb& export_verb();
const Verb& filter_verb();
const Verb& generate_verb();
const Verb& judge_verb();
const Verb& mix_verb();
const Verb& score_verb();
const Verb& segment_verb();
const Verb& show_verb();
const Verb& split_verb();
const Verb& stats_verb();
const Verb& tokenize_verb();
const Verb& trace_verb();

}  // namespace fettle::verbs
