#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "checkpoint/save.h"
#include "checkpoint/weight_difference.h"
#include "verbs/model_argument.h"
#include "verbs/verb.h"

namespace fettle::verbs {
namespace {

struct Diff {
  std::string base, other, apply, output;
  uint64_t most = 20;
};

KeyTable<Diff> diff_keys() {
  KeyTable<Diff> keys;
  keys.add("base", "The model to compare with, or to apply to", [](auto& o) -> auto& { return o.base; }).positional().input().required();
  keys.add("other", "The model that is compared", [](auto& o) -> auto& { return o.other; }).positional().input().not_with({"apply"});
  keys.add("apply", "A difference that an earlier call wrote: base + difference", [](auto& o) -> auto& { return o.apply; })
      .input()
      .only_with({"output"});
  keys.add("output", "Folder to write: other - base, or with apply the sum", [](auto& o) -> auto& { return o.output; }).output("model");
  keys.add("most", "Tensors to list", [](auto& o) -> auto& { return o.most; }).on_terminal();
  return keys;
}

void check_diff(const Diff& diff, const KeyValues& values) {
  if (diff.other.empty() && diff.apply.empty())
    fail_usage("{}name two models, or one with {}", values.style().where, values.style().shown("apply"));
}

Report write_combined(const LoadedModel& a, const LoadedModel& b, float sign, const std::string& output) {
  const Parameters combined = combine_weights(a, b, sign);
  ModelToSave model = to_save(b);
  ModelConfig config = b.config;
  config.vocab_size = static_cast<int32_t>(combined.find("embed.weight")->value.rows);
  model.config = &config;
  model.weights = {&combined, nullptr};
  save_hf(output, model, DType::f32);
  return {{{"output", output}}, output, {}, {}};
}

Report report_difference(const LoadedModel& a, const LoadedModel& b, size_t most) {
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
  return {{{"elements", elements}, {"changed", changed}, {"norm", std::sqrt(squares)}, {"tensors", tensors}}, text, {}, {}};
}

Report run_diff(Diff& diff, const KeyValues&) {
  const LoadedModel base = load_model(resolve_model(diff.base));
  if (!diff.apply.empty()) return write_combined(base, load_model(resolve_model(diff.apply)), +1.0F, diff.output);
  const LoadedModel other = load_model(resolve_model(diff.other));
  return diff.output.empty() ? report_difference(base, other, diff.most) : write_combined(base, other, -1.0F, diff.output);
}

}  // namespace

const Verb& diff_verb() {
  static const Verb verb = make_verb({.name = "diff",
                                      .summary = "Compare the weights of two models, write the difference, or apply one",
                                      .examples = "  $ fettle diff smollm2-135m-instruct runs/sft\n"
                                                  "  $ fettle diff base tuned --output difference\n"
                                                  "  $ fettle diff base --apply difference --output tuned"},
                                     diff_keys(), check_diff, run_diff);
  return verb;
}

}  // namespace fettle::verbs
