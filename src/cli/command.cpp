#include "cli/command.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/error.h"

namespace fettle::cli {

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& summary, const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, summary);
  command->footer("Examples:\n" + examples);
  return *command;
}

void print_line(std::string_view text) {
  errno = 0;
  // An empty view may point nowhere, which fwrite does not allow.
  if ((!text.empty() && std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) || std::fputc('\n', stdout) == EOF ||
      std::fflush(stdout) != 0) {
    fail_io("standard output", "cannot write");
  }
}

void print_part(std::string_view text) {
  errno = 0;
  if ((!text.empty() && std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) || std::fflush(stdout) != 0) {
    fail_io("standard output", "cannot write");
  }
}

void print_report(const OrderedJson& report, const std::string& text) {
  print_line(json_output() ? dump_json(report, 2) : text);
}

std::string did_you_mean(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    std::vector<std::string> known;
    if (word.rfind("--", 0) == 0) {
      const std::string name = word.substr(0, word.find('='));
      for (const CLI::App* level = at; level != nullptr; level = level->get_parent())
        for (const CLI::Option* option : level->get_options())
          for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string near = nearest_name(name, known);
      return near.empty() ? std::string() : fmt::format("'{}' is unknown; did you mean '{}'?", name, near);
    }
    for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
    }
    if (known.empty() || word.rfind('-', 0) == 0) continue;
    if (std::find(known.begin(), known.end(), word) != known.end()) {
      at = at->get_subcommand(word);
      continue;
    }
    const std::string near = nearest_name(word, known);
    if (!near.empty()) return fmt::format("there is no command '{}'; did you mean '{}'?", word, near);
  }
  return {};
}

}  // namespace fettle::cli
