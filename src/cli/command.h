#pragma once
// The commands of the program. Each file X_command.cpp registers one subcommand; main.cpp lists them all in one place.
// Results go to standard output or the named file, everything else to standard error. Exit status: 0 done, 1 the work
// failed, 2 the call was wrong: throw fettle::Error (usage for a wrong call), main turns it into a message and a status.
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "verbs/verb.h"

namespace fettle::cli {

/// Adds a subcommand with a one-line summary and examples ("$ fettle …" lines shown under --help).
CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& summary, const std::string& examples);

/// For a command of one process (cli/ranks.h has the others): throws Error(usage) where mpirun or srun started several.
void check_one_process(const CLI::App& command);

/// Options live in `state`, which the callback keeps alive: `run(*state)` is called when the subcommand was given.
template <typename State>
void on_run(CLI::App& command, std::shared_ptr<State> state, void (*run)(State&)) {
  command.callback([&command, state, run] {
    check_one_process(command);
    run(*state);
  });
}

/// For a call that does not parse: the first word that is no command or option, with the nearest one; or empty.
std::string did_you_mean(const CLI::App& app, int argc, char** argv);

/// Set by --json before any command runs: reports are printed as one JSON document.
bool json_output();

/// Writes a line to standard output; throws Error(io) when it is closed or full.
void print_line(std::string_view text);
/// The same without the end of the line.
void print_part(std::string_view text);
/// Prints a report: pretty JSON under --json, otherwise `text`.
void print_report(const OrderedJson& report, const std::string& text);

/// A command as verbs/ states it. `instead` may do the work of a call itself, and then says so.
void add_verb_command(CLI::App& parent, const verbs::Verb& verb, bool (*instead)(const KeyValues&) = nullptr);

void add_bench_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_clean_cache(CLI::App& data);
void add_data_command(CLI::App& app);
void add_doctor_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_pull_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_serve_command(CLI::App& app);
void add_train_command(CLI::App& app);

}  // namespace fettle::cli
