#pragma once
// `fettle generate`: prompts to answers of one model.
#include <memory>
#include <string>
#include <vector>

#include "generate/constrain/token_grammar.h"
#include "text/chat/message.h"
#include "verbs/generation.h"
#include "verbs/verb.h"

namespace fettle::verbs {

struct Generate {
  ModelChoice model;
  SamplingChoice sampling;
  EngineChoice engine;
  std::string prompt, system, input, output = "-";
  std::string schema, regex;  ///< what answers keep to: a schema's file, a pattern
  int32_t n = 1;
  bool raw = false;
};
const KeyTable<Generate>& generate_keys();

/// Everything that is needed to turn prompts into answers. `options` must outlive it. One thread.
class Generator {
 public:
  explicit Generator(const Generate& options);

  /// `text` as it is under `raw`, else as one message of the user.
  GenerationRequest request(const std::string& text) const { return request_of(encode(text)); }
  /// The prompt of a row of any format, with its tools and template variables. Throws Error naming `where`.
  GenerationRequest request(const OrderedJson& row, const std::string& where) const;
  Engine& engine() { return engine_; }

 private:
  GenerationRequest request_of(std::vector<int32_t> prompt) const;
  std::vector<int32_t> encode(const std::string& text) const;
  std::vector<int32_t> encode(Messages messages, const OrderedJson& variables = nullptr) const;

  const Generate& options_;
  std::unique_ptr<OpenModel> model_;
  Engine engine_;
  SamplingOptions sampling_;
  std::shared_ptr<const TokenConstraint> constraint_;
};

/// [{"text", "finish_reason", "tokens"}]
OrderedJson answers_json(const GenerationResult& result);

}  // namespace fettle::verbs
