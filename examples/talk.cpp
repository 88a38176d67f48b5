// Asks a model one question and says how likely it found its own answer: the public interface in thirty lines.
//   talk starter "What is the capital of Norway?"
#include <fettle/fettle.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: talk MODEL QUESTION\n");
    return 2;
  }
  try {
    auto model = fettle::Model::load(argv[1]);
    fettle::AnswerOptions options;
    options.max_tokens = 64;
    options.on_text = [](std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    };
    const std::string answer = model.answer({{"user", argv[2]}}, options);
    if (answer.empty()) return 1;
    const auto scored = model.score(argv[2], " " + answer);
    std::printf("\n(%lld parameters; as plain text the answer's log-probability is %.2f over %lld tokens)\n",
                static_cast<long long>(model.parameter_count()), scored.logp, static_cast<long long>(scored.tokens));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "talk: %s\n", error.what());
    return 1;
  }
}
