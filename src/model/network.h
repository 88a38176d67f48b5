#pragma once
// The decoder's layers with their weights, tied together by name. Owns what is derived from the weights:
// rounded copies for bf16 products, norms and biases in f32, the rotary frequencies.
#include <vector>

#include "model/decoder.h"
#include "model/layers/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"

namespace fettle {

struct Network {
  /// Throws Error when a weight is missing or has another shape than the config asks for.
  Network(const ModelConfig& config, Parameters& parameters, Backend& backend, const DecoderOptions& options);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void link_adapters(const std::vector<Decoder::ActiveAdapter>& adapters);
  /// The lowest layer with something to train; -1 when the embeddings are, the number of layers when no layer
  /// is.
  int64_t first_trainable_layer() const;
  /// Asserts that whatever is trainable has somewhere to put its gradient.
  void check_gradients() const;
  void refresh_shadows();

  ModelConfig config;
  Product product;
  Embedding embedding;
  std::vector<Block> blocks;
  Head head;
  Tensor inverse_frequencies;
  float rope_magnitude = 1.0F;
  std::vector<float> alibi;

 private:
  Norm norm(const std::string& name);
  Linear linear(const std::string& name, int64_t out, int64_t in, bool bias);
  Tensor in_f32(const Parameter& parameter);
  void make_shadows();
  template <typename Visit>
  void for_each_linear(Visit visit);

  Parameters& parameters_;
  Backend& backend_;
  std::vector<Buffer> owned_;
  std::vector<Parameter*> shadowed_;
  std::vector<Parameter*> linked_;  ///< the adapters' parameters
};

}  // namespace fettle
