// Tokens per second of generation: a prompt of 512 tokens, and decoding with 1, 8, 16 and 32 answers at once.
//
//   generate_bench [MODEL] [--peer COMMAND]
//
// Without MODEL: a random model of SmolLM2-135M's shape in q4_1. COMMAND is run in the same call and prints
// one line of JSON with the keys prefill_512, decode_1, decode_8, decode_16, decode_32 (tokens per second);
// the ratios are shown beside ours. Checks its own answer: log-probabilities of what was decoded against
// those of scoring it.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "base/threads.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "generate/request_group.h"
#include "generate/score.h"

namespace fettle {
namespace {

using Clock = std::chrono::steady_clock;

/// A model from files, or a random one.
struct Subject {
  std::unique_ptr<OpenModel> opened;
  ModelConfig config;
  Parameters parameters;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Decoder> made;
  Decoder& decoder() { return opened ? opened->decoder() : *made; }
};

Subject open_subject(const std::string& path) {
  Subject subject;
  if (!path.empty()) {
    subject.opened = std::make_unique<OpenModel>(path);
    return subject;
  }
  ModelConfig& c = subject.config;
  c.family = "llama";
  c.vocab_size = 49152;
  c.hidden_size = 576;
  c.intermediate_size = 1536;
  c.layers = 30;
  c.heads = 9;
  c.kv_heads = 3;
  c.head_dim = 64;
  c.context_length = 8192;
  c.tied_embeddings = true;
  subject.backend = make_cpu_backend();
  const Parameters random = random_parameters(c, 1);
  for (const auto& parameter : random.all()) {
    const bool matrix = parameter->value.rows > 1;
    const Tensor& from = parameter->value;
    const DType dtype = matrix ? DType::q4_1 : DType::f32;
    auto memory = std::make_shared<Buffer>(row_bytes(dtype, from.cols) * from.rows);
    const Tensor to(memory->data(), dtype, from.rows, from.cols);
    subject.backend->copy(to, from);
    subject.parameters.add(parameter->name, to);
    subject.parameters.keep_alive(memory);
  }
  subject.made = std::make_unique<Decoder>(c, subject.parameters, *subject.backend);
  return subject;
}

GenerationRequest request_of(int32_t tokens, int32_t which, int64_t max_tokens) {
  GenerationRequest request;
  for (int32_t i = 0; i < tokens; ++i) request.prompt.push_back(100 + (i * 7 + which) % 4000);
  request.sampling.temperature = 0.0F;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

double seconds(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double prefill(Decoder& decoder) {
  EngineOptions options;
  options.prefix_cache = false;
  Engine engine(decoder, nullptr, options);
  double best = 0.0;
  for (int round = 0; round < 4; ++round) {
    const auto begin = Clock::now();
    engine.generate(request_of(512, round, 1));
    best = std::max(best, 512 / seconds(begin));
  }
  return best;
}

double decode(Decoder& decoder, int32_t answers) {
  constexpr int64_t steps = 64;
  EngineOptions options;
  options.max_running = answers;
  Engine engine(decoder, nullptr, options);
  double best = 0.0;
  for (int round = 0; round < 2; ++round) {
    RequestGroup requests(engine);
    for (int32_t i = 0; i < answers; ++i) requests.submit(request_of(16, i + 100 * round, steps + 1));
    const int64_t before = engine.stats().generated_tokens;
    while (engine.stats().generated_tokens < before + answers) engine.step();  // the prompts
    const auto begin = Clock::now();
    const int64_t first = engine.stats().generated_tokens;
    while (engine.step()) {
    }
    best = std::max(best, static_cast<double>(engine.stats().generated_tokens - first) / seconds(begin));
  }
  return best;
}

/// The largest difference between log-probabilities of decoding and of scoring.
double check(Decoder& decoder) {
  Engine engine(decoder, nullptr, {});
  auto request = request_of(48, 3, 24);
  request.logprobs = true;
  const auto sample = engine.generate(request).samples[0];
  const ScoreRow row{request.prompt, sample.tokens};
  const auto scored = score(decoder, {&row, 1}).front();
  double worst = 0.0;
  for (size_t i = 0; i < scored.logps.size(); ++i) {
    worst = std::max(worst, std::abs(double{scored.logps[i]} - double{sample.infos[i].logp}));
  }
  return worst;
}

Json run_peer(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail_io(command, "cannot run");
  std::string line, last;
  std::array<char, 4096> room{};
  while (std::fgets(room.data(), room.size(), pipe) != nullptr) {
    line = room.data();
    if (line.starts_with('{')) last = line;
  }
  if (::pclose(pipe) != 0 || last.empty()) fail(command, "printed no line of JSON");
  return parse_json(last, command);
}

int run(int argc, char** argv) {
  std::string path, peer_command;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--peer" && i + 1 < argc) {
      peer_command = argv[++i];
    } else {
      path = argument;
    }
  }
  Subject subject = open_subject(path);
  Decoder& decoder = subject.decoder();
  fmt::print("{} on {} threads, {}\n", path.empty() ? "random 135M model, q4_1" : path, threads(),
             decoder.backend().name());
  const double difference = check(decoder);
  fmt::print("largest difference of log-probabilities, decoding and scoring: {:.2g}\n", difference);
  std::vector<std::pair<std::string, double>> figures{{"prefill_512", prefill(decoder)}};
  for (const int32_t answers : {1, 8, 16, 32})
    figures.emplace_back(fmt::format("decode_{}", answers), decode(decoder, answers));
  Json peer = Json::object();
  if (!peer_command.empty()) peer = run_peer(peer_command);
  for (const auto& [name, rate] : figures) {
    fmt::print("{:<12} {:8.1f} tokens/s", name, rate);
    if (peer.contains(name))
      fmt::print("   peer {:8.1f}   ratio {:.2f}", peer[name].get<double>(), rate / peer[name].get<double>());
    fmt::print("\n");
  }
  return difference < 1e-3 ? 0 : 1;
}

}  // namespace
}  // namespace fettle

int main(int argc, char** argv) {
  fettle::sleep_when_idle(argv);
  try {
    return fettle::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
