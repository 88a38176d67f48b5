#pragma once
// A model ready to run: files opened, weights on a backend, adapter applied, chat template parsed.
#include <functional>
#include <memory>
#include <optional>

#include "checkpoint/load.h"
#include "generate/sampling_defaults.h"
#include "model/decoder.h"
#include "text/chat/chat_template.h"

namespace fettle {

struct OpenModelOptions {
  fs::path adapter;    ///< a PEFT folder on top of the model; empty: none beyond the one `path` itself may be
  fs::path tokenizer;  ///< instead of the model's own
  std::string device = "auto";  ///< see make_backend
  Product product = Product::f32;
  std::function<fs::path(const std::string& name)> resolve;  ///< see LoadOptions
};

/// Not movable: the decoder keeps references into it.
class OpenModel {
 public:
  /// Throws Error as load_model does, and when the model has no tokenizer.
  explicit OpenModel(const fs::path& path, const OpenModelOptions& options = {});
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;

  LoadedModel& loaded() { return loaded_; }
  Decoder& decoder() { return *decoder_; }
  Backend& backend() { return *backend_; }
  const std::shared_ptr<const Tokenizer>& tokenizer() const { return loaded_.tokenizer; }
  /// Throws Error when the tokenizer carries no template.
  const ChatTemplate& chat() const;
  /// Ids that end an answer.
  const std::vector<int32_t>& eos() const { return loaded_.eos; }
  /// How it is sampled where a request does not say. Throws Error naming the file whose values are out of range.
  SamplingDefaults sampling_defaults() const;

 private:
  LoadedModel loaded_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Decoder> decoder_;
  mutable std::optional<ChatTemplate> chat_;
};

}  // namespace fettle
