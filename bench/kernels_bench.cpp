// How near the kernels come to what the machine can do: products in the shapes of SmolLM2-135M (and its
// head), attention, decoding, elementwise passes. Every timed result is compared with the reference loops on
// sampled rows; a wrong one makes the program fail.  Usage: kernels_bench [tokens] [seconds per line]
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "kernels/measure.h"

namespace fettle {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Bench {
  std::unique_ptr<Backend> cpu = make_cpu_backend(), reference = make_reference_backend();
  MachineSpeed peak;
  double budget = 0.3;
  int failures = 0;
  uint64_t seed = 0;

  double best_time(const std::function<void()>& run) const {
    double best = 1e30;
    const double begin = now();
    for (int i = 0; i < 2 || now() - begin < budget; ++i) {
      const double start = now();
      run();
      best = std::min(best, now() - start);
    }
    return best;
  }
  void line(const std::string& what, double amount, const char* unit, double limit, double error,
            double allowed) {
    const bool right = error <= allowed;
    failures += right ? 0 : 1;
    fmt::print("{:<52} {:>9.1f} {:<8} {:>5.0f} % of peak   error {:.1e} {}\n", what, amount, unit,
               100 * amount / limit, error, right ? "" : "WRONG");
    std::fflush(stdout);
  }
};

/// A tensor of random values, of any type, with its memory.
struct Held {
  Buffer block;
  Tensor tensor;
  Held(Bench& bench, DType type, int64_t rows, int64_t cols)
      : block(row_bytes(type, rows * cols)), tensor(block.data(), type, rows, cols) {
    Buffer values_block(rows * cols * 4);
    const Tensor values(values_block.data(), DType::f32, rows, cols);
    Random random(++bench.seed);
    for (float& v : values.flat<float>()) v = static_cast<float>(random.uniform() - 0.5);
    bench.cpu->copy(tensor, values);
  }
};

/// Row and column of op(x) as the reference product takes them: a few rows of c against a few columns.
double product_error(Bench& bench, const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& o) {
  const int64_t rows = std::min<int64_t>(2, c.rows), cols = std::min<int64_t>(8, c.cols);
  const Tensor left = o.transpose_a ? a.col_slice(c.rows - rows, c.rows) : a.row_slice(c.rows - rows, c.rows);
  const Tensor right = o.transpose_b ? b.row_slice(c.cols - cols, c.cols) : b;
  const int64_t out_cols = o.transpose_b ? cols : c.cols;
  Buffer block(rows * out_cols * 4);
  const Tensor expected(block.data(), DType::f32, rows, out_cols);
  bench.reference->matmul(expected, left, right, o);
  double error = 0, size = 1e-30;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      const double e = double{expected.row<float>(i)[out_cols - cols + j]};
      error = std::max(error, std::abs(e - double{c.row<float>(c.rows - rows + i)[c.cols - cols + j]}));
      size = std::max(size, std::abs(e));
    }
  }
  return error / size;
}

void product(Bench& bench, const char* form, int64_t m, int64_t n, int64_t k, MatMul o, DType weight) {
  const Held a(bench, DType::f32, o.transpose_a ? k : m, o.transpose_a ? m : k);
  const Held b(bench, weight, o.transpose_b ? n : k, o.transpose_b ? k : n);
  Held c(bench, DType::f32, m, n);
  const double time = bench.best_time([&] { bench.cpu->matmul(c.tensor, a.tensor, b.tensor, o); });
  MatMul check = o;
  check.beta = 0;
  bench.cpu->matmul(c.tensor, a.tensor, b.tensor, check);
  const bool bf16 = o.product == Product::bf16;
  const double error = product_error(bench, c.tensor, a.tensor, b.tensor, check);
  bench.line(fmt::format("{:<4} {} x {:<5} m {:<5} n {:<5} k {:<5}", form, bf16 ? "bf16" : "f32 ",
                         dtype_name(weight), m, n, k),
             2e-9 * static_cast<double>(m * n * k) / time, "GFLOP/s",
             bf16 ? bench.peak.bf16_gflops : bench.peak.f32_gflops, error, bf16 ? 2e-2 : 2e-5);
}

void products(Bench& bench, int64_t tokens) {
  constexpr int64_t shapes[][2] = {{576, 576}, {192, 576}, {1536, 576}, {576, 1536}, {49152, 576}};
  for (const Product p : {Product::f32, Product::bf16}) {
    if (p == Product::bf16 && !bench.cpu->has_bf16()) continue;
    for (const auto& [out, in] : shapes) {
      const DType cached = p == Product::bf16 ? DType::bf16 : DType::f32;
      product(bench, "y", tokens, out, in, {.transpose_b = true, .product = p}, cached);
      product(bench, "dx", tokens, in, out, {.product = p}, cached);
      product(bench, "dW", out, in, tokens, {.transpose_a = true, .beta = 1.0F, .product = p}, DType::f32);
    }
    // The adapters of LoRA, and weights that stay quantised.
    product(bench, "y", tokens, 16, 576, {.transpose_b = true, .product = p}, DType::f32);
    product(bench, "y", tokens, 1536, 16, {.transpose_b = true, .beta = 1.0F, .product = p}, DType::f32);
    product(bench, "dW", 16, 576, tokens, {.transpose_a = true, .beta = 1.0F, .product = p}, DType::f32);
    product(bench, "y", tokens, 1536, 576, {.transpose_b = true, .product = p}, DType::q4_1);
    product(bench, "dx", tokens, 576, 1536, {.product = p}, DType::q4_1);
  }
}

void attention(Bench& bench, int32_t tokens) {
  const Attention o{9, 3, 64, 0.125F};
  const std::vector<Span> spans{{0, tokens, 0, 0, 0}};
  std::vector<Span> words = spans;
  std::vector<int32_t> schedule = bench.cpu->plan_attention(spans, {}, o.kv_heads, true);
  AttentionPlan table;
  table.spans = Tensor(words.data(), DType::i32, 1, sizeof(Span) / sizeof(int32_t));
  table.schedule = Tensor(schedule.data(), DType::i32, 1, static_cast<int64_t>(schedule.size()));
  const Held q(bench, DType::f32, tokens, 576), k(bench, DType::f32, tokens, 192),
      v(bench, DType::f32, tokens, 192);
  const Held dout(bench, DType::f32, tokens, 576);
  Held out(bench, DType::f32, tokens, 576), lse(bench, DType::f32, tokens, 9),
      delta(bench, DType::f32, tokens, 9);
  Held dq(bench, DType::f32, tokens, 576), dk(bench, DType::f32, tokens, 192),
      dv(bench, DType::f32, tokens, 192);
  const double forward = bench.best_time(
      [&] { bench.cpu->attention(out.tensor, lse.tensor, q.tensor, k.tensor, v.tensor, table, o); });
  const double backward = bench.best_time([&] {
    bench.cpu->attention_backward(dq.tensor, dk.tensor, dv.tensor, delta.tensor, dout.tensor, out.tensor,
                                  lse.tensor, q.tensor, k.tensor, v.tensor, table, o);
  });
  // Causal: half of the products of a square.
  const double flops = 2.0 * 576 * tokens * (tokens + 1) / 2;
  double error = 0;
  const int64_t row = tokens - 1;
  for (int64_t d = 0; d < 64; ++d) {  // the last query of head 0, summed in double precision
    double sum = 0, total = 0;
    for (int64_t j = 0; j < tokens; ++j) {
      double dot = 0;
      for (int64_t i = 0; i < 64; ++i)
        dot += double{q.tensor.row<float>(row)[i]} * double{k.tensor.row<float>(j)[i]};
      const double p = std::exp(dot * 0.125);
      total += p;
      sum += p * double{v.tensor.row<float>(j)[d]};
    }
    error = std::max(error, std::abs(sum / total - double{out.tensor.row<float>(row)[d]}));
  }
  bench.line(fmt::format("attention forward, {} tokens, 9/3 heads of 64", tokens), 2e-9 * flops / forward,
             "GFLOP/s", bench.peak.f32_gflops, error, 1e-5);
  // Σ_t q·dq = Σ_t k·dk: both are Σ ds·s.
  double left = 0, right = 0;
  bench.cpu->fill(dk.tensor, 0.0F);
  bench.cpu->attention_backward(dq.tensor, dk.tensor, dv.tensor, delta.tensor, dout.tensor, out.tensor,
                                lse.tensor, q.tensor, k.tensor, v.tensor, table, o);
  for (size_t i = 0; i < q.tensor.flat<float>().size(); ++i)
    left += double{q.tensor.flat<float>()[i]} * double{dq.tensor.flat<float>()[i]};
  for (size_t i = 0; i < k.tensor.flat<float>().size(); ++i)
    right += double{k.tensor.flat<float>()[i]} * double{dk.tensor.flat<float>()[i]};
  bench.line(fmt::format("attention backward, {} tokens", tokens), 5e-9 * flops / backward, "GFLOP/s",
             bench.peak.f32_gflops, std::abs(left - right) / (std::abs(left) + std::abs(right) + 1), 1e-4);
}

void decoding(Bench& bench) {
  for (const DType type :
       {DType::q4_1, DType::q4_k, DType::q6_k, DType::q8_0, DType::bf16, DType::f16, DType::f32}) {
    for (const int64_t m : {1, 4}) {
      // About 100 MB of weights, so that they come from memory and not from a cache.
      const int64_t k = 1536, n = 100'000'000 / row_bytes(type, k) / 64 * 64;
      const Held a(bench, DType::f32, m, k), b(bench, type, n, k);
      Held c(bench, DType::f32, m, n);
      const MatMul o{.transpose_b = true};
      const double time = bench.best_time([&] { bench.cpu->matmul(c.tensor, a.tensor, b.tensor, o); });
      bench.line(fmt::format("decode {} row(s) x {}", m, dtype_name(type)),
                 1e-9 * static_cast<double>(b.tensor.bytes()) / time, "GB/s", bench.peak.read_gbs,
                 product_error(bench, c.tensor, a.tensor, b.tensor, o), 2e-5);
    }
  }
}

void passes(Bench& bench, int64_t tokens) {
  Held x(bench, DType::f32, tokens, 1536), y(bench, DType::f32, tokens, 1536),
      z(bench, DType::f32, tokens, 1536);
  Held weight(bench, DType::f32, 1, 1536), rstd(bench, DType::f32, 1, tokens),
      half(bench, DType::bf16, tokens, 1536);
  const double bytes = 1e-9 * static_cast<double>(tokens) * 1536 * 4;
  const auto pass = [&](const char* what, double arrays, const std::function<void()>& run) {
    bench.line(what, arrays * bytes / bench.best_time(run), "GB/s", bench.peak.copy_gbs, 0, 0);
  };
  pass("add", 3, [&] { bench.cpu->add(y.tensor, x.tensor); });
  pass("f32 to bf16", 1.5, [&] { bench.cpu->copy(half.tensor, x.tensor); });
  pass("gated silu", 3, [&] { bench.cpu->gated(z.tensor, x.tensor, y.tensor, Activation::silu); });
  pass("rms_norm", 2, [&] { bench.cpu->rms_norm(z.tensor, x.tensor, weight.tensor, 1e-5F, 0, rstd.tensor); });
  pass("rms_norm backward", 4, [&] {
    bench.cpu->rms_norm_backward(z.tensor, weight.tensor, x.tensor, y.tensor, weight.tensor, 0, rstd.tensor);
  });
  pass("dropout", 2, [&] { bench.cpu->dropout(x.tensor, 0.01F, 1, 2); });
  const int64_t n = 30'000'000;
  Held p(bench, DType::f32, 1, n), g(bench, DType::f32, 1, n), m(bench, DType::f32, 1, n),
      v(bench, DType::f32, 1, n);
  bench.cpu->fill(v.tensor, 1.0F);
  const double time = bench.best_time([&] {
    bench.cpu->adamw(p.tensor, g.tensor, m.tensor, v.tensor, {1e-3F, 0.9F, 0.99F, 1e-8F, 0, 1, 3});
  });
  bench.line("adamw", 7e-9 * 4 * static_cast<double>(n) / time, "GB/s", bench.peak.copy_gbs, 0, 0);
  Held m8(bench, DType::u8, 1, n), v8(bench, DType::u8, 1, n), ms(bench, DType::f32, 1, n / 256 + 1),
      vs(bench, DType::f32, 1, n / 256 + 1);
  const double time8 = bench.best_time([&] {
    bench.cpu->adamw_8bit(p.tensor, g.tensor, m8.tensor, v8.tensor, ms.tensor, vs.tensor,
                          {1e-3F, 0.9F, 0.99F, 1e-8F, 0, 1, 3});
  });
  bench.line("adamw, 8 bit state", 1e-9 * 16 * static_cast<double>(n) / time8, "GB/s", bench.peak.copy_gbs, 0,
             0);
  const int64_t rows = 64;
  Held logits(bench, DType::f32, rows, 49152), logp(bench, DType::f32, 1, rows),
      dlogp(bench, DType::f32, 1, rows);
  Buffer labels(rows * 4);
  const double head = bench.best_time([&] {
    bench.cpu->log_probabilities(logits.tensor, Tensor(labels.data(), DType::i32, 1, rows), logp.tensor,
                                 Tensor(), dlogp.tensor);
  });
  bench.line("log-probabilities with gradient, 49152 wide",
             2e-9 * 4 * 49152 * static_cast<double>(rows) / head, "GB/s", bench.peak.copy_gbs, 0, 0);
}

int run(int64_t tokens, double seconds) {
  Bench bench;
  bench.budget = seconds;
  bench.peak = measure_machine(*bench.cpu, 4 * seconds);
  fmt::print(
      "{}, {} threads; peak {:.0f} GFLOP/s f32, {:.0f} GFLOP/s bf16; memory {:.1f} GB/s read, {:.1f} GB/s "
      "copied\n",
      bench.cpu->name(), threads(), bench.peak.f32_gflops, bench.peak.bf16_gflops, bench.peak.read_gbs,
      bench.peak.copy_gbs);
  products(bench, tokens);
  attention(bench, static_cast<int32_t>(tokens));
  decoding(bench);
  passes(bench, tokens);
  fmt::print("{}\n",
             bench.failures == 0 ? "all answers right" : fmt::format("{} wrong answers", bench.failures));
  return bench.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace fettle

int main(int argc, char** argv) {
  fettle::sleep_when_idle(argv);
  return fettle::run(argc > 1 ? std::atoll(argv[1]) : 1024, argc > 2 ? std::atof(argv[2]) : 0.3);
}
