#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"
#include "recipe/runner.h"
#include "recipe/steps_page.h"

namespace fettle::cli {
namespace {

struct RunState {
  std::string recipe, out, only;
  std::vector<std::string> overrides;
  bool dry_run = false, steps = false;
};

OrderedJson plan_json(const std::vector<PlannedStep>& plan) {
  OrderedJson steps = OrderedJson::array();
  for (const auto& planned : plan) {
    OrderedJson step{{"step", planned.step->name}, {"do", planned.step->kind}, {"key", planned.key}, {"finished", planned.cached},
                     {"needs", planned.step->needs}, {"outputs", planned.outputs}};
    if (planned.estimate.bytes >= 0) step["memory_bytes"] = planned.estimate.bytes;
    if (planned.estimate.seconds >= 0) step["seconds"] = planned.estimate.seconds;
    steps.push_back(std::move(step));
  }
  return {{"steps", steps}};
}

void run_run(RunState& state) {
  if (state.steps) return print_report(steps_json(), steps_page());
  if (state.recipe.empty()) fail_usage("run: name a RECIPE, or --steps to see what one is made of");
  const Recipe recipe = load_recipe(state.recipe, state.overrides);
  RunOptions options;
  options.out = state.out.empty() ? fs::path("runs") / recipe.name : fs::path(state.out);
  options.only = state.only;
  if (state.dry_run) {
    const auto plan = plan_recipe(recipe, options, true);
    print_report(plan_json(plan), describe_plan(plan));
    return;
  }
  size_t number = 0;
  const auto plan = run_recipe(recipe, options, [&](const PlannedStep& planned) {
    ++number;
    log_info("==> {} ({}){}", planned.step->name, planned.step->kind, planned.started ? ", going on" : "");
  });
  if (number == 0) log_info("nothing to do: every step is finished");
  std::string text;
  for (const auto& planned : plan) {
    for (const auto& [name, path] : planned.outputs) text += fmt::format("{}{}{}: {}\n", planned.step->name, name.empty() ? "" : ".", name, path);
  }
  if (!text.empty()) text.pop_back();
  print_report(plan_json(plan), text);
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto& command = add_command(app, "run", "Run a recipe: a graph of steps whose finished outputs are never made twice",
                              "  $ fettle run recipes/starter.yaml\n"
                              "  $ fettle run recipes/zephyr.yaml --dry-run\n"
                              "  $ fettle run recipes/zephyr.yaml --set setting=small --set dpo.beta=0.05 --only dpo");
  auto state = std::make_shared<RunState>();
  command.add_option("RECIPE", state->recipe, "The recipe's YAML file; - for standard input");
  command.add_option("--set", state->overrides, "step.key=value, or setting=NAME; may be given often")->allow_extra_args(false);
  command.add_option("--only", state->only, "Run this step and what it needs");
  command.add_option("--out", state->out, "Output folder (default: runs/NAME)");
  command.add_flag("--dry-run", state->dry_run, "Show steps, what is finished, memory and time; run nothing");
  command.add_flag("--steps", state->steps, "Show every kind of step and its keys (docs/steps.md)");
  on_run(command, state, run_run);
}

}  // namespace fettle::cli
