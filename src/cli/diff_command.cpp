#include <algorithm>
#include <cmath>

#include "checkpoint/save.h"
#include "checkpoint/weight_difference.h"
#include "cli/command.h"
#include "cli/model_argument.h"

namespace fettle::cli {
namespace {

struct DiffState {
  std::string base, other, apply, output;
  size_t most = 20;
};

void write_combined(const LoadedModel& a, const LoadedModel& b, float sign, const std::string& output) {
  const Parameters combined = combine_weights(a, b, sign);
  ModelToSave model = to_save(b);
  ModelConfig config = b.config;
  config.vocab_size = static_cast<int32_t>(combined.find("embed.weight")->value.rows);
  model.config = &config;
  model.weights = {&combined, nullptr};
  save_hf(output, model, DType::f32);
}

void report_difference(const LoadedModel& a, const LoadedModel& b, size_t most) {
  auto differences = compare_weights(a, b);
  double squares = 0;
  int64_t elements = 0, changed = 0, touched = 0;
  for (const auto& difference : differences) {
    squares += difference.norm * difference.norm;
    elements += difference.elements;
    changed += difference.changed;
    touched += difference.changed > 0;
  }
  std::stable_sort(differences.begin(), differences.end(), [](const auto& x, const auto& y) { return x.relative > y.relative; });
  OrderedJson tensors = OrderedJson::array();
  std::string text = fmt::format("{} of {} tensors differ, {} of {} weights; norm of the difference {:.6g}\n", touched, differences.size(),
                                 changed, elements, std::sqrt(squares));
  if (touched > 0) text += fmt::format("{:<32} {:>12} {:>12} {:>12}\n", "tensor", "relative", "largest", "changed");
  for (size_t i = 0; i < differences.size(); ++i) {
    const auto& d = differences[i];
    tensors.push_back({{"name", d.name}, {"elements", d.elements}, {"changed", d.changed}, {"largest", d.largest}, {"norm", d.norm}, {"relative", d.relative}});
    if (i < most && d.changed > 0) text += fmt::format("{:<32} {:>12.4g} {:>12.4g} {:>12}\n", d.name, d.relative, d.largest, d.changed);
  }
  text.pop_back();
  print_report({{"elements", elements}, {"changed", changed}, {"norm", std::sqrt(squares)}, {"tensors", tensors}}, text);
}

void run_diff(DiffState& state) {
  const LoadedModel base = load_model(resolve_model(state.base));
  if (!state.apply.empty()) {
    if (!state.other.empty() || state.output.empty()) fail_usage("diff: --apply takes one model and --output");
    write_combined(base, load_model(resolve_model(state.apply)), +1.0F, state.output);
    return print_report({{"output", state.output}}, state.output);
  }
  if (state.other.empty()) fail_usage("diff: name two models, or one with --apply");
  const LoadedModel other = load_model(resolve_model(state.other));
  if (state.output.empty()) return report_difference(base, other, state.most);
  write_combined(base, other, -1.0F, state.output);
  print_report({{"output", state.output}}, state.output);
}

}  // namespace

void add_diff_command(CLI::App& app) {
  auto& command = add_command(app, "diff", "Compare the weights of two models, write the difference, or apply one",
                              "  $ fettle diff smollm2-135m-instruct runs/sft\n"
                              "  $ fettle diff base tuned --output difference\n"
                              "  $ fettle diff base --apply difference --output tuned");
  auto state = std::make_shared<DiffState>();
  command.add_option("BASE", state->base, "The model to compare with, or to apply to")->required();
  command.add_option("OTHER", state->other, "The model that is compared");
  command.add_option("--apply", state->apply, "A difference that --output wrote: base + difference");
  command.add_option("--output", state->output, "Folder to write: OTHER - BASE, or with --apply the sum");
  command.add_option("--most", state->most, "Tensors to list")->capture_default_str();
  on_run(command, state, run_diff);
}

}  // namespace fettle::cli
