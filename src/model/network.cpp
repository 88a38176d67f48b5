#include "model/network.h"

#include <algorithm>

namespace fettle {

Network::Network(const ModelConfig& model, Parameters& parameters, Backend& backend,
                 const DecoderOptions& options)
    : config(model),
      product(options.product == Product::bf16 && backend.has_bf16() ? Product::bf16 : Product::f32),
      parameters_(parameters),
      backend_(backend) {
  config.validate("model config");
  const int64_t hidden = config.hidden_size;
  embedding.token = &parameters.require("embed.weight", config.vocab_size, hidden);
  if (config.position == PositionKind::learned) {
    embedding.position = &parameters.require("position.weight", config.context_length, hidden);
  }
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = fmt::format("layers.{}.", layer);
    Block block;
    block.norm1 = norm(prefix + "norm1");
    if (config.block != BlockKind::parallel_shared_norm) block.norm2 = norm(prefix + "norm2");
    block.attention.q = linear(prefix + "q", config.query_size(), hidden, config.qkv_bias);
    block.attention.k = linear(prefix + "k", config.kv_size(), hidden, config.qkv_bias);
    block.attention.v = linear(prefix + "v", config.kv_size(), hidden, config.qkv_bias);
    block.attention.o = linear(prefix + "o", hidden, config.query_size(), config.output_bias);
    block.mlp.gated = config.gated_mlp;
    if (config.gated_mlp)
      block.mlp.gate = linear(prefix + "gate", config.intermediate_size, hidden, config.mlp_bias);
    block.mlp.up = linear(prefix + "up", config.intermediate_size, hidden, config.mlp_bias);
    block.mlp.down = linear(prefix + "down", hidden, config.intermediate_size, config.mlp_bias);
    blocks.push_back(std::move(block));
  }
  head.norm = norm("norm");
  if (config.tied_embeddings) {
    head.projection.weight = embedding.token;
  } else {
    head.projection = linear("head", config.vocab_size, hidden, config.head_bias);
  }
  if (config.position == PositionKind::rope) {
    const RopeTable table =
        rope_table(config, options.context_length > 0 ? options.context_length : config.context_length);
    owned_.emplace_back(static_cast<int64_t>(table.inverse_frequencies.size() * sizeof(float)),
                        backend.memory());
    inverse_frequencies =
        Tensor(owned_.back().data(), DType::f32, 1, static_cast<int64_t>(table.inverse_frequencies.size()));
    backend.copy_from_host(inverse_frequencies, table.inverse_frequencies.data());
    rope_magnitude = table.magnitude;
  }
  if (config.position == PositionKind::alibi) alibi = alibi_slopes(config.heads, config.alibi_max_bias);
  collect_slots();
  if (product == Product::bf16) make_shadows();
}

Network::~Network() {
  unlink();
  for (Parameter* parameter : shadowed_) parameter->bf16 = Tensor();
}

Tensor Network::take(std::vector<Buffer>& owner, int64_t rows, int64_t cols) {
  owner.emplace_back(row_bytes(DType::f32, rows * cols), backend_.memory());
  return {owner.back().data(), DType::f32, rows, cols};
}

Tensor Network::in_f32(const Parameter& parameter, std::vector<Buffer>& owner) {
  if (parameter.value.dtype == DType::f32) return parameter.value;
  const Tensor copy = take(owner, 1, parameter.value.cols);
  backend_.copy(copy, parameter.value);
  return copy;
}

Norm Network::norm(const std::string& name) {
  Norm norm;
  norm.weight = &parameters_.require(name + ".weight", 1, config.hidden_size);
  norm.weight_value = in_f32(*norm.weight, owned_);
  if (!config.norm_bias) return norm;
  norm.bias = &parameters_.require(name + ".bias", 1, config.hidden_size);
  norm.bias_value = in_f32(*norm.bias, owned_);
  return norm;
}

Linear Network::linear(const std::string& name, int64_t out, int64_t in, bool bias) {
  Linear linear;
  linear.weight = &parameters_.require(name + ".weight", out, in);
  if (!bias) return linear;
  linear.bias = &parameters_.require(name + ".bias", 1, out);
  linear.bias_value = in_f32(*linear.bias, owned_);
  return linear;
}

void Network::for_each_linear(const std::function<void(size_t, const std::string&, Linear&)>& visit) {
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    Block& block = blocks[layer];
    const std::string prefix = fmt::format("layers.{}.", layer);
    visit(layer, prefix + "q", block.attention.q);
    visit(layer, prefix + "k", block.attention.k);
    visit(layer, prefix + "v", block.attention.v);
    visit(layer, prefix + "o", block.attention.o);
    if (block.mlp.gated) visit(layer, prefix + "gate", block.mlp.gate);
    visit(layer, prefix + "up", block.mlp.up);
    visit(layer, prefix + "down", block.mlp.down);
  }
  visit(blocks.size(), "head", head.projection);
}

void Network::make_shadows() {
  std::vector<Parameter*> weights;
  for_each_linear([&](size_t, const std::string&, Linear& linear) { weights.push_back(linear.weight); });
  std::erase_if(weights, [](const Parameter* weight) {
    return weight->value.dtype != DType::f32 || !weight->bf16.empty();
  });
  shadow(weights, owned_);
  shadowed_ = weights;
}

void Network::shadow(const std::vector<Parameter*>& parameters, std::vector<Buffer>& owner) {
  int64_t elements = 0;
  for (const Parameter* parameter : parameters) elements += parameter->value.size();
  if (elements == 0) return;
  owner.emplace_back(row_bytes(DType::bf16, elements), backend_.memory());
  auto* cursor = static_cast<std::byte*>(owner.back().data());
  for (Parameter* parameter : parameters) {
    parameter->bf16 = Tensor(cursor, DType::bf16, parameter->value.rows, parameter->value.cols);
    cursor += row_bytes(DType::bf16, parameter->value.size());
    backend_.copy(parameter->bf16, parameter->value);
  }
}

int64_t Network::first_trainable_layer() const {
  if (embedding.trainable()) return -1;
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    if (blocks[layer].trainable(config)) return static_cast<int64_t>(layer);
  }
  return static_cast<int64_t>(blocks.size());
}

void Network::check_gradients() const {
  const auto check = [](const Parameter& parameter) {
    FETTLE_CHECK(!parameter.trainable ||
                 (!parameter.grad.empty() && parameter.grad.rows == parameter.value.rows &&
                  parameter.grad.cols == parameter.value.cols && parameter.value.dtype == DType::f32));
  };
  for (const auto& parameter : parameters_.all()) check(*parameter);
  for (const Decoder::ActiveAdapter& active : adapters_)
    for (const auto& parameter : active.adapter->parameters.all()) check(*parameter);
}

}  // namespace fettle
