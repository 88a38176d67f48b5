#pragma once
// A table of keys as options of the command line.
#include <functional>
#include <memory>

#include "base/keys.h"
#include "cli/command.h"

namespace fettle::cli {

/// Adds an option for each key; `set` is called with what was given, as a recipe would say it.
void add_key_options(CLI::App& command, const std::vector<KeyInfo>& keys, const std::function<void(const KeyInfo&, OrderedJson)>& set);

/// The same, straight into `options`, which must outlive the command.
template <typename Options>
void add_key_options(CLI::App& command, const KeyTable<Options>& table, Options& options) {
  add_key_options(command, table.infos(), [&table, &options, where = command.get_name() + ": "](const KeyInfo& key, OrderedJson value) {
    for (size_t i = 0; i < table.infos().size(); ++i) {
      if (table.infos()[i].name != key.name) continue;
      const ConfigValue given{value, key.name, where + key.flag()};
      key.check(given);
      table.setter(i)(options, given);
    }
  });
}

}  // namespace fettle::cli
