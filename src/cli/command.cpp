#include "cli/command.h"

#include <cerrno>
#include <cstdio>

namespace fettle::cli {

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& summary, const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, summary);
  command->footer("Examples:\n" + examples);
  return *command;
}

void print_line(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fputc('\n', stdout) == EOF ||
      std::fflush(stdout) != 0) {
    fail_io("standard output", "cannot write");
  }
}

void print_report(const OrderedJson& report, const std::string& text) {
  print_line(json_output() ? dump_json(report, 2) : text);
}

}  // namespace fettle::cli
