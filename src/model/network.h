#pragma once
// The decoder's layers with their weights, tied together by name. Owns what is derived from the weights:
// rounded copies for bf16 products, norms and biases in f32, the rotary frequencies, what adapters make of them.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "model/layers/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"
#include "model/modules.h"

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
  /// After trainable values changed: rounded copies, and what adapters derive from their own.
  void refresh();

  ModelConfig config;
  Product product;
  Embedding embedding;
  std::vector<Block> blocks;
  Head head;
  Tensor alibi;  ///< slopes, f32 [1, heads]; absent without
  /// Of all layers with attention: what a plan of attention is cut for.
  int32_t fewest_kv_heads() const;

 private:
  /// A place where a layer keeps one of the base's parameters, which an adapter may replace.
  struct Slot {
    std::string name;
    Parameter** parameter;
    Tensor* value;  ///< of it in f32, null for matrices
    Parameter* base;
    Tensor base_value;
  };

  /// A linear layer or a norm under the name of its module.
  struct Bound {
    ModuleSpec module;
    Linear* linear = nullptr;
    Norm* norm = nullptr;
  };
  void bind(const ModuleSpec& module);
  Norm make_norm(const ModuleSpec& module);
  Linear make_linear(const ModuleSpec& module);
  Linear* linear_at(const ModuleSpec& module);
  Norm* norm_at(const ModuleSpec& module);
  const Rotation* rotation(const LayerConfig& layer, int64_t length);
  Tensor in_f32(const Parameter& parameter, std::vector<Buffer>& owner);
  Tensor take(std::vector<Buffer>& owner, int64_t rows, int64_t cols, DType dtype = DType::f32);
  void collect_slots();
  void make_shadows();
  void shadow(const std::vector<Parameter*>& parameters, std::vector<Buffer>& owner);
  void for_each_linear(const std::function<void(const ModuleSpec& module, Linear&)>& visit);

  void unlink();
  void replace(const std::vector<Decoder::ActiveAdapter>& adapters);
  void link_loras(Adapter& adapter, size_t index, float factor);
  LoraLink make_link(Adapter& adapter, const LoraPair& pair, float factor, const Parameter& weight, bool embedding);
  void blend(const Tensor& to, const Tensor& base, const Tensor& from, float factor);
  void link_rows(Adapter& adapter, float factor);
  void derive(Adapter& adapter, LoraLink& link, const std::string& module, const Tensor& weight, bool embedding);
  void derive(TokenRows& rows, const Tensor& table);

  Parameters& parameters_;
  Backend& backend_;
  std::vector<Bound> bound_;
  std::vector<std::pair<const LayerConfig*, std::unique_ptr<Rotation>>> rotations_;  ///< one for layers that turn alike
  std::vector<Buffer> owned_;
  std::vector<Parameter*> shadowed_;
  std::vector<Slot> slots_;
  std::vector<Decoder::ActiveAdapter> adapters_;
  std::vector<Buffer> linked_owned_;                ///< derived for the adapters that are linked
  std::vector<std::unique_ptr<Parameter>> blends_;  ///< of the base and what replaces it in part
  std::vector<Parameter*> linked_shadows_;
};

}  // namespace fettle
