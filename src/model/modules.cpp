#include "model/modules.h"

#include <array>

#include "base/error.h"

namespace fettle {
namespace {

constexpr std::array<std::string_view, 18> part_names{"embed",  "position", "norm1", "norm1_after", "norm2", "norm2_after",
                                                      "norm_q", "norm_k",   "q",     "k",           "v",     "o",
                                                      "gate",   "up",       "down",  "router",      "norm",  "head"};

class ModuleList {
 public:
  explicit ModuleList(const ModelConfig& config) : config_(config) {}

  void add(ModulePart part, ModuleKind kind, int64_t rows, int64_t cols, bool bias) {
    modules_.push_back({prefix() + std::string(part_name(part)), part, kind, layer_, rows, cols, bias, expert_});
  }
  void norm(ModulePart part) { add(part, ModuleKind::norm, 1, config_.hidden_size, config_.norm_bias); }
  void linear(ModulePart part, int64_t out, int64_t in, bool bias) { add(part, ModuleKind::linear, out, in, bias); }

  void layer(int32_t index) {
    layer_ = index;
    const LayerConfig& layer = config_.layer(index);
    if (layer.mixer == MixerKind::attention) attention(layer);
    if (layer.mlp != MlpKind::none) mlp(layer);
    layer_ = -1;
  }
  std::vector<ModuleSpec> take() { return std::move(modules_); }

 private:
  std::string prefix() const {
    if (layer_ < 0) return {};
    return expert_ < 0 ? fmt::format("layers.{}.", layer_) : fmt::format("layers.{}.experts.{}.", layer_, expert_);
  }

  void attention(const LayerConfig& layer) {
    const int64_t hidden = config_.hidden_size;
    if (layer.norm_before) norm(ModulePart::norm1);
    linear(ModulePart::q, layer.query_size(), hidden, layer.qkv_bias);
    linear(ModulePart::k, layer.kv_size(), hidden, layer.qkv_bias);
    linear(ModulePart::v, layer.kv_size(), hidden, layer.qkv_bias);
    if (layer.qk_norm) {
      add(ModulePart::norm_q, ModuleKind::norm, 1, layer.head_dim, false);
      add(ModulePart::norm_k, ModuleKind::norm, 1, layer.head_dim, false);
    }
    linear(ModulePart::o, hidden, layer.query_size(), layer.output_bias);
    if (layer.norm_after) norm(ModulePart::norm1_after);
  }

  void mlp(const LayerConfig& layer) {
    if (layer.norm_before && layer.block != BlockKind::parallel_shared_norm) norm(ModulePart::norm2);
    if (layer.mlp == MlpKind::experts) {
      linear(ModulePart::router, layer.experts, config_.hidden_size, false);
      for (expert_ = 0; expert_ < layer.experts; ++expert_) projections(layer);
      expert_ = -1;
    } else {
      projections(layer);
    }
    if (layer.norm_after) norm(ModulePart::norm2_after);
  }

  void projections(const LayerConfig& layer) {
    const int64_t hidden = config_.hidden_size, inner = layer.intermediate_size;
    if (layer.gated_mlp) linear(ModulePart::gate, inner, hidden, layer.mlp_bias);
    linear(ModulePart::up, inner, hidden, layer.mlp_bias);
    linear(ModulePart::down, hidden, inner, layer.mlp_bias);
  }

  const ModelConfig& config_;
  int32_t layer_ = -1, expert_ = -1;
  std::vector<ModuleSpec> modules_;
};

}  // namespace

std::string_view part_name(ModulePart part) {
  return part_names[static_cast<size_t>(part)];
}

std::vector<ModuleSpec> modules_of(const ModelConfig& config) {
  ModuleList list(config);
  list.add(ModulePart::embed, ModuleKind::table, config.vocab_size, config.hidden_size, false);
  if (config.position == PositionKind::learned)
    list.add(ModulePart::position, ModuleKind::table, config.context_length, config.hidden_size, false);
  for (int32_t index = 0; index < config.layers; ++index) list.layer(index);
  list.norm(ModulePart::norm);
  if (!config.tied_embeddings)
    list.linear(ModulePart::head, config.vocab_size, config.hidden_size, config.head_bias);
  return list.take();
}

}  // namespace fettle
