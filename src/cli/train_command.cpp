#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/ranks.h"
#include "kernels/backends.h"
#include "train/trainer.h"
#include "verbs/model_argument.h"

namespace fettle::cli {
namespace {

struct TrainState {
  std::string config;
  std::vector<std::string> overrides;
  std::string device;
  bool dry_run = false;
};

/// The first row as it will be learnt; of a long one the beginning and the end.
std::string sample_of(const train::TrainPlan& plan, bool colour) {
  constexpr size_t most = 3000;
  const std::string& text = colour ? plan.coloured_sample : plan.sample;
  if (text.size() <= most) return "the first row, with what is learnt from " + std::string(colour ? "in green" : "in «»") + ":\n" + text;
  size_t head = most / 3, tail = text.size() - (most - head);
  while (head > 0 && (static_cast<uint8_t>(text[head]) & 0xC0) == 0x80) --head;
  while (tail < text.size() && (static_cast<uint8_t>(text[tail]) & 0xC0) == 0x80) ++tail;
  return fmt::format("the first row, with what is learnt from {}:\n{}{}\n[… {} bytes …]\n{}", colour ? "in green" : "in «»",
                     text.substr(0, head), colour ? "\x1b[0m" : "", tail - head, text.substr(tail));
}

OrderedJson plan_json(const train::TrainPlan& plan) {
  const auto& memory = plan.memory;
  return {{"backend", plan.backend},
          {"rows", plan.rows},
          {"data", plan.data_counts},
          {"eval_rows", plan.eval_rows},
          {"steps", plan.steps},
          {"first_step", plan.first_step},
          {"tokens_per_epoch", plan.tokens_per_epoch},
          {"micro_tokens", plan.micro_tokens},
          {"parameters", plan.parameters},
          {"trainable_parameters", plan.trainable_parameters},
          {"flops_per_step", plan.flops_per_step},
          {"reference_flops", plan.reference_flops},
          {"rows_beyond_context", plan.rows_beyond_context},
          {"available_bytes", plan.available_bytes},
          {"fits", plan.shortage.empty()},
          {"tokens", {{"folder", plan.token_folder}, {"bytes", plan.token_bytes}, {"temporary", plan.tokens_temporary}, {"other_bytes", plan.other_token_bytes}}},
          {"memory_bytes",
           {{"weights", memory.weights}, {"shadow_weights", memory.shadow_weights}, {"adapter", memory.adapter},
            {"gradients", memory.gradients}, {"optimizer", memory.optimizer}, {"activations", memory.activations},
            {"head", memory.head}, {"workspace", memory.workspace}, {"program", memory.program}, {"total", memory.total()}}}};
}

void run_train(TrainState& state) {
  check_inputs_of_ranks({state.config});
  parallel::ProcessGroup& group = ranks();
  train::TrainConfig config = train::load_train_config(state.config, state.overrides);
  if (!state.device.empty()) config.device = state.device;
  config.model_path = verbs::resolve_model(config.model);
  if (state.dry_run) {
    const auto plan = train::plan_training(config, group);
    if (group.leads()) print_report(plan_json(plan), plan.describe() + "\n" + sample_of(plan, ::isatty(STDOUT_FILENO) != 0));
    if (!plan.shortage.empty() && !config.force_memory) fail("memory", "{}", plan.shortage);
    return;
  }
  train::TrainCallbacks callbacks;
  callbacks.on_plan = [](const train::TrainPlan& plan) {
    log_info("{}", plan.describe());
    log_info("{}", sample_of(plan, ::isatty(STDERR_FILENO) != 0));
  };
  const auto result = train::train(config, callbacks, group);
  if (!group.leads()) return;
  if (result.finished_before) log_info("{} is finished already; nothing to do", config.out.string());
  OrderedJson report{{"out", config.out.string()}, {"steps", result.steps.size()}, {"seconds", result.seconds}};
  if (!result.steps.empty()) {
    const auto& last = result.steps.back();
    report["loss"] = last.loss;
    if (last.preference) report["reward_accuracy"] = last.preference->reward_accuracy;
  }
  print_report(report, config.out.string());
}

}  // namespace

void add_train_command(CLI::App& app) {
  std::string methods;
  for (const auto& name : train::method_names()) methods += (methods.empty() ? "" : ", ") + name;
  auto& command = add_command(app, "train", "Train a model, or go on where a killed run was; methods: " + methods,
                              "  $ fettle train sft.yaml\n"
                              "  $ fettle train dpo.yaml --set beta=0.05 --set out=runs/beta-0.05\n"
                              "  $ fettle train dpo.yaml --dry-run");
  auto state = std::make_shared<TrainState>();
  command.add_option("CONFIG", state->config, "The training config (docs/training.md); - for standard input")->required();
  command.add_option("--set", state->overrides, "key=value on top of the config, such as adapter.rank=8; may be given often")
      ->allow_extra_args(false);
  command.add_option("--device", state->device, fmt::format("Where it is trained, instead of the config's `device`: {}", device_names));
  command.add_flag("--dry-run", state->dry_run, "Show rows, steps and the memory plan; train nothing");
  on_run_by_ranks(command, state, run_train);
}

}  // namespace fettle::cli
