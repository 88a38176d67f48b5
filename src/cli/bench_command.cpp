// Speeds of training, prefill and decoding as fractions of what the machine was just measured to reach.
#include <algorithm>
#include <chrono>
#include <functional>

#include "base/progress.h"
#include "base/threads.h"
#include "checkpoint/load.h"
#include "cli/command.h"
#include "verbs/model_argument.h"
#include "kernels/backends.h"
#include "kernels/measure.h"
#include "model/decoder.h"
#include "model/device.h"
#include "train/optimizer.h"
#include "train/plan.h"

namespace fettle::cli {
namespace {

struct BenchState {
  std::string model, device = "auto";
  int64_t tokens = 1024;
  double seconds = 6.0;
};

/// Without --model: random weights in the shape of SmolLM2-135M. Speeds do not depend on values.
ModelConfig default_shape() {
  ModelConfig config;
  config.family = "llama";
  config.vocab_size = 49152;
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.layers = 30;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.context_length = 8192;
  config.tied_embeddings = true;
  return config;
}

struct Figure {
  std::string name;
  double tokens_per_second, amount, limit;  ///< amount and limit in the same unit
  const char* unit;
};

class Bench {
 public:
  explicit Bench(const BenchState& state) : state_(state), backend_(make_backend(state.device)) {
    if (state.model.empty()) {
      config_ = default_shape();
      parameters_ = random_parameters(config_, 1);
    } else {
      loaded_ = load_model(verbs::resolve_model(state.model));
      config_ = loaded_->config;
      parameters_ = std::move(loaded_->parameters);
    }
    move_to(parameters_, *backend_);
    product_ = backend_->has_bf16() ? Product::bf16 : Product::f32;
    speed_ = measure_machine(*backend_, 2.0);
  }

  void run() {
    train_adapter();
    prefill_and_decode();
    train_full();
  }

  OrderedJson json() const {
    OrderedJson rows = OrderedJson::array();
    for (const Figure& f : figures_)
      rows.push_back({{"name", f.name},
                      {"tokens_per_second", f.tokens_per_second},
                      {"amount", f.amount},
                      {"limit", f.limit},
                      {"unit", f.unit},
                      {"fraction", f.amount / f.limit}});
    return {{"backend", backend_->name()},
            {"threads", threads()},
            {"product", product_name()},
            {"tokens", state_.tokens},
            {"figures", rows}};
  }

  std::string text() const {
    std::string out = fmt::format("{}, {} threads, products in {}, {} tokens\n", backend_->name(), threads(),
                                  product_name(), state_.tokens);
    for (const Figure& f : figures_)
      out += fmt::format("{:<34} {:>9.1f} tokens/s {:>9.1f} of {:>7.1f} {:<8} {:>4.0f} %\n", f.name,
                         f.tokens_per_second, f.amount, f.limit, f.unit, 100 * f.amount / f.limit);
    out.pop_back();
    return out;
  }

 private:
  using Clock = std::chrono::steady_clock;

  const char* product_name() const { return product_ == Product::bf16 ? "bf16" : "f32"; }
  double product_peak() const { return product_ == Product::bf16 ? speed_.bf16_gflops : speed_.f32_gflops; }

  /// Seconds of the fastest run, after one that is not counted.
  double best_time(const std::function<void()>& body) const {
    body();
    double best = 1e30;
    const Clock::time_point begin = Clock::now();
    const auto since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    do {
      const Clock::time_point start = Clock::now();
      body();
      best = std::min(best, since(start));
    } while (since(begin) < state_.seconds);
    return best;
  }

  /// Multiply-adds of causal attention count two: forward q·k and p·v; backward twice that.
  double attention_flops(int64_t length, double passes) const {
    return passes * 2.0 * static_cast<double>(length) * static_cast<double>(length) * config_.query_size() *
           config_.layers;
  }

  std::vector<int32_t> some_tokens(int64_t count) const {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<int32_t>((i * 2654435761U) % static_cast<size_t>(config_.vocab_size));
    return tokens;
  }

  void train_step(const std::string& name, Decoder& decoder, Parameters& trained, bool adapter) {
    Batch batch;
    const int64_t length = state_.tokens / 2;
    for (int i = 0; i < 2; ++i) append_sequence(batch, some_tokens(length));
    train::Optimizer optimizer({}, trained, *backend_);
    decoder.reserve_training(batch.size(), batch.size());
    const std::vector<float> gradient(batch.labels.size(), -1.0F / static_cast<float>(batch.labels.size()));
    int64_t step = 0;
    const double time = best_time([&] {
      optimizer.zero_gradients();
      decoder.forward(batch, {});
      decoder.backward(batch, gradient);
      optimizer.update(++step, 1e-6, train::clip_factor(optimizer.gradient_norm(), 1.0));
      decoder.weights_changed();
    });
    const double flops =
        train::step_flops(config_, adapter, Recompute::none, static_cast<double>(batch.size()),
                          static_cast<double>(batch.labels.size())) +
        2 * attention_flops(length, 3.0);
    add(name, static_cast<double>(batch.size()) / time, 1e-9 * flops / time, product_peak(), "GFLOP/s");
  }

  void train_full() {
    Parameters trained = to_f32(on_host(parameters_, *backend_));
    move_to(trained, *backend_);
    for (auto& parameter : trained.all()) parameter->trainable = true;
    Decoder decoder(config_, trained, *backend_, {.product = product_});
    train_step("training step, all weights", decoder, trained, false);
  }

  void train_adapter() {
    AdapterConfig lora;
    lora.targets = {"all-linear"};
    Adapter adapter = make_adapter(config_, lora, 1);
    for (auto& parameter : adapter.parameters.all()) parameter->trainable = true;
    move_to(adapter.parameters, *backend_);
    Decoder decoder(config_, parameters_, *backend_, {.product = product_});
    decoder.set_adapters({{&adapter, 1.0F}});
    train_step("training step, LoRA of rank 16", decoder, adapter.parameters, true);
  }

  void prefill_and_decode() {
    Decoder decoder(config_, parameters_, *backend_, {.product = product_});
    const auto rows = static_cast<int32_t>(state_.tokens);
    KvCache cache = KvCache::make(config_, rows + 1, DType::f32, *backend_);
    Buffer memory(row_bytes(DType::f32, config_.vocab_size), backend_->memory());
    const Tensor logits(memory.data(), DType::f32, 1, config_.vocab_size);

    Batch prompt;
    append_sequence(prompt, some_tokens(rows));
    prompt.label_rows = {rows - 1};
    std::vector<int32_t> places(static_cast<size_t>(rows));
    for (int32_t i = 0; i < rows; ++i) places[static_cast<size_t>(i)] = i;
    const double prefill = best_time([&] { decoder.extend(prompt, places, cache, logits); });
    add("prefill", rows / prefill,
        1e-9 * (train::forward_flops(config_, rows, 1) + attention_flops(rows, 1.0)) / prefill,
        product_peak(), "GFLOP/s");

    Batch token;
    token.tokens = {1};
    token.positions = {rows};
    token.spans = {{0, 1, rows, 0, 1}};
    token.ranges = {{0, rows}};
    token.label_rows = {0};
    const double decode =
        best_time([&] { decoder.extend(token, std::vector<int32_t>{rows}, cache, logits); });
    const double embedding =
        config_.tied_embeddings ? 0.0 : static_cast<double>(parameters_.find("embed.weight")->value.bytes());
    const double bytes = static_cast<double>(parameters_.value_bytes()) - embedding +
                         static_cast<double>(rows * KvCache::bytes_per_row(config_, DType::f32));
    add("decoding, one answer", 1.0 / decode, 1e-9 * bytes / decode, speed_.read_gbs, "GB/s");
  }

  void add(const std::string& name, double tokens_per_second, double amount, double limit, const char* unit) {
    figures_.push_back({name, tokens_per_second, amount, limit, unit});
  }

  BenchState state_;
  std::unique_ptr<Backend> backend_;
  std::optional<LoadedModel> loaded_;
  ModelConfig config_;
  Parameters parameters_;
  Product product_ = Product::f32;
  MachineSpeed speed_;
  std::vector<Figure> figures_;
};

void run_bench(BenchState& state) {
  Bench bench(state);
  bench.run();
  print_report(bench.json(), bench.text());
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto& command = add_command(
      app, "bench", "Speed of training, prefill and decoding against this machine's measured limits",
      "  $ fettle bench\n"
      "  $ fettle bench --model smollm2-135m-instruct --tokens 2048\n"
      "  $ fettle --json bench");
  auto state = std::make_shared<BenchState>();
  command.add_option("--model", state->model,
                     "A model; without it random weights in the shape of SmolLM2-135M");
  command
      .add_option("--tokens", state->tokens, "Tokens of a training step (two sequences) and of the prompt")
      ->check(CLI::Range(16, 1 << 16));
  command.add_option("--device", state->device, fmt::format("What is measured: {}", device_names))->capture_default_str();
  command.add_option("--seconds", state->seconds, "Time per figure")->check(CLI::Range(0.0, 3600.0));
  on_run(command, state, run_bench);
}

}  // namespace fettle::cli
