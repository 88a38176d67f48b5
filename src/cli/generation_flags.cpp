#include "cli/generation_flags.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/log.h"
#include "cli/model_argument.h"

namespace fettle::cli {
namespace {

/// CLI11's own checks spell out the largest number there is.
CLI::Validator number_from(double least, bool itself = true) {
  const auto check = [least, itself](std::string& text) {
    double value = 0;
    const bool good = CLI::detail::lexical_cast(text, value) && (itself ? value >= least : value > least);
    return good ? std::string() : fmt::format("should be a number {} {:g}, got '{}'", itself ? "of at least" : "above", least, text);
  };
  return CLI::Validator(check, itself ? "NUMBER" : "NUMBER>0");
}

}  // namespace

void ModelFlags::add_to(CLI::App& command) {
  command.add_option("--model", model, "The model: a folder, .gguf, .bin, or a name")->required();
  command.add_option("--adapter", adapter, "A PEFT adapter's folder");
  command.add_option("--tokenizer", tokenizer,
                     "A tokenizer instead of the model's own (llama2.c models have none)");
  command
      .add_option("--dtype", dtype,
                  "What products multiply in: f32, or bf16 where the machine has it in hardware")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
}

std::unique_ptr<OpenModel> ModelFlags::open() const {
  OpenModelOptions options;
  options.adapter = adapter;
  options.tokenizer = tokenizer;
  options.product = dtype == "bf16" ? Product::bf16 : Product::f32;
  options.resolve = resolve_model;
  return std::make_unique<OpenModel>(resolve_model(model), options);
}

void SamplingFlags::add_to(CLI::App& command) {
  command
      .add_option("--max-tokens", max_tokens,
                  "Most tokens of an answer; 0: to the end of the context (default: 512)")
      ->check(number_from(0));
  command
      .add_option("--temperature", temperature,
                  "0: always the most likely token (default of this and the next four: what the model's "
                  "generation_config.json says, else 0)")
      ->check(number_from(0));
  command.add_option("--top-p", top_p, "Draw from the fewest tokens whose probabilities reach this")
      ->check(CLI::Range(1e-9, 1.0));
  command.add_option("--top-k", top_k, "Draw from this many tokens; 0: all")->check(number_from(0));
  command
      .add_option("--min-p", min_p, "Draw from tokens at least this likely, relative to the most likely")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--repetition-penalty", repetition_penalty,
                  "Divides the logits of tokens that stand in the text already")
      ->check(number_from(0, false));
  command
      .add_option("--presence-penalty", presence_penalty, "Subtracted from tokens that the answer holds")
      ->capture_default_str();
  command
      .add_option("--frequency-penalty", frequency_penalty,
                  "Subtracted each time the answer holds the token")
      ->capture_default_str();
  command.add_option("--seed", seed, "Same seed, same request: same answer")->capture_default_str();
  command.add_option("--stop", stop, "End before this text; may be given several times")
      ->allow_extra_args(false);
}

SamplingOptions SamplingFlags::over(const SamplingDefaults& defaults) const {
  for (const std::string& key : defaults.ignored)
    log_warning("generation_config.json: {} has no effect here", key);
  SamplingOptions sampling = defaults.sampling;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = presence_penalty;
  sampling.frequency_penalty = frequency_penalty;
  sampling.seed = seed;
  return sampling;
}

int64_t SamplingFlags::limit(int64_t prompt, int64_t context) const {
  if (!max_tokens.empty()) return std::stoll(max_tokens);
  return std::max<int64_t>(1, std::min<int64_t>(512, context - prompt));
}

void EngineFlags::add_to(CLI::App& command) {
  command.add_option("--kv-dtype", kv_dtype, "Keys and values are kept as f32, f16 or bf16")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  command
      .add_option("--kv-memory", kv_gigabytes,
                  "Memory for keys and values, in GB (default: what --parallel answers need)")
      ->check(number_from(0, false));
  command.add_option("--parallel", parallel, "Answers computed at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
}

EngineOptions EngineFlags::options() const {
  EngineOptions options;
  options.kv_dtype = *dtype_from_name(kv_dtype);
  options.kv_bytes = static_cast<int64_t>(kv_gigabytes * 1e9);
  options.max_running = parallel;
  options.step_tokens = std::max(options.step_tokens, parallel + options.page_rows);
  return options;
}

void print_part(std::string_view text) {
  errno = 0;
  if ((!text.empty() && std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) || std::fflush(stdout) != 0) {
    fail_io("standard output", "cannot write");
  }
}

}  // namespace fettle::cli
