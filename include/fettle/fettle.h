#pragma once
/// \file
/// The public face of fettle: load a model, let it answer, score text with it, train it. Everything else is internal and
/// may change. Link with the CMake target `fettle::fettle` (find_package(fettle)).
///
/// Errors are thrown as std::runtime_error whose text says where, what was expected, what was found and what to do.
/// A Model may be used by one thread at a time; different Models are independent. Strings are UTF-8.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#if defined(__GNUC__)
#define FETTLE_API __attribute__((visibility("default")))
#else
#define FETTLE_API
#endif

namespace fettle {
inline namespace v1 {

/// One turn of a conversation: role is "system", "user" or "assistant".
struct Turn {
  std::string role, content;
};

struct AnswerOptions {
  int64_t max_tokens = 256;
  double temperature = 0.0;  ///< 0: the most likely token each time
  double top_p = 1.0;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  /// Called with each piece of text as it is certain; may be empty.
  std::function<void(std::string_view)> on_text;
};

/// Log-probability of a completion given a prompt.
struct Scored {
  double logp = 0.0;         ///< sum over the completion's tokens, natural logarithm
  int64_t tokens = 0;
  bool greedy = false;       ///< every token is the model's first choice
  std::vector<double> logps;  ///< one per token
};

/// A model in memory: a Hugging Face folder, a .gguf, a llama2.c .bin, or the folder that training wrote.
class FETTLE_API Model {
 public:
  /// `adapter`: a PEFT folder to apply, or empty.
  static Model load(const std::string& path, const std::string& adapter = "");
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// The answer to a conversation under the model's chat template.
  std::string answer(const std::vector<Turn>& conversation, const AnswerOptions& options = {});
  /// Continues a text as it stands, without a template.
  std::string complete(const std::string& text, const AnswerOptions& options = {});
  /// Prompt and completion as plain text, without a template.
  Scored score(const std::string& prompt, const std::string& completion);
  std::vector<int32_t> tokenize(const std::string& text) const;
  int64_t parameter_count() const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TrainingStep {
  int64_t step = 0;
  double loss = 0.0, learning_rate = 0.0, grad_norm = 0.0, tokens_per_second = 0.0;
};

/// Trains as `fettle train CONFIG.yaml --set …` does; goes on where a killed run was. Returns the output folder, which
/// Model::load opens.
FETTLE_API std::string train_model(const std::string& config_path, const std::vector<std::string>& overrides = {},
                                   const std::function<void(const TrainingStep&)>& on_step = {});

/// "0.1.0"
FETTLE_API const char* version();

}  // namespace v1
}  // namespace fettle
