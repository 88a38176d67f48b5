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
  blocks.resize(static_cast<size_t>(config.layers));
  const int64_t length = options.context_length > 0 ? options.context_length : config.context_length;
  for (int32_t index = 0; index < config.layers; ++index) {
    Block& block = blocks[static_cast<size_t>(index)];
    block.config = block.attention.config = block.mlp.config = block.experts.config = &config.layer(index);
    if (block.config->mlp == MlpKind::experts) {
      block.experts.experts.resize(static_cast<size_t>(block.config->experts));
      for (Mlp& expert : block.experts.experts) expert.config = block.config;
    }
    block.attention.rotation = rotation(*block.config, length);
  }
  for (const ModuleSpec& module : modules_of(config)) bind(module);
  if (config.tied_embeddings) {
    head.projection.weight = embedding.token;
    bound_.push_back({{"head", ModulePart::head, ModuleKind::linear}, &head.projection, nullptr});
  }
  if (config.position == PositionKind::alibi) {
    alibi = take(owned_, 1, config.heads);
    backend_.copy_from_host(alibi, alibi_slopes(config.heads, config.alibi_max_bias).data());
  }
  collect_slots();
  if (product == Product::bf16) make_shadows();
}

Network::~Network() {
  unlink();
  for (Parameter* parameter : shadowed_) parameter->bf16 = Tensor();
}

Tensor Network::take(std::vector<Buffer>& owner, int64_t rows, int64_t cols, DType dtype) {
  owner.emplace_back(row_bytes(dtype, rows * cols), backend_.memory());
  return {owner.back().data(), dtype, rows, cols};
}

int32_t Network::fewest_kv_heads() const {
  int32_t fewest = config.kv_heads;
  for (const Block& block : blocks)
    if (block.config->mixer == MixerKind::attention) fewest = std::min(fewest, block.config->kv_heads);
  return std::max(fewest, 1);
}

Tensor Network::in_f32(const Parameter& parameter, std::vector<Buffer>& owner) {
  if (parameter.value.dtype == DType::f32) return parameter.value;
  const Tensor copy = take(owner, 1, parameter.value.cols);
  backend_.copy(copy, parameter.value);
  return copy;
}

Norm Network::make_norm(const ModuleSpec& module) {
  Norm norm;
  norm.weight = &parameters_.require(module.name + ".weight", module.rows, module.cols);
  norm.weight_value = in_f32(*norm.weight, owned_);
  if (!module.bias) return norm;
  norm.bias = &parameters_.require(module.name + ".bias", 1, module.cols);
  norm.bias_value = in_f32(*norm.bias, owned_);
  return norm;
}

Linear Network::make_linear(const ModuleSpec& module) {
  Linear linear;
  linear.weight = &parameters_.require(module.name + ".weight", module.rows, module.cols);
  if (!module.bias) return linear;
  linear.bias = &parameters_.require(module.name + ".bias", 1, module.rows);
  linear.bias_value = in_f32(*linear.bias, owned_);
  return linear;
}

Linear* Network::linear_at(const ModuleSpec& module) {
  if (module.part == ModulePart::head) return &head.projection;
  Block& block = blocks[static_cast<size_t>(module.layer)];
  Mlp& mlp = module.expert < 0 ? block.mlp : block.experts.experts[static_cast<size_t>(module.expert)];
  switch (module.part) {
    case ModulePart::q:
      return &block.attention.q;
    case ModulePart::k:
      return &block.attention.k;
    case ModulePart::v:
      return &block.attention.v;
    case ModulePart::o:
      return &block.attention.o;
    case ModulePart::gate:
      return &mlp.gate;
    case ModulePart::up:
      return &mlp.up;
    case ModulePart::down:
      return &mlp.down;
    case ModulePart::router:
      return &block.experts.router;
    default:
      FETTLE_CHECK(false);
      return nullptr;
  }
}

Norm* Network::norm_at(const ModuleSpec& module) {
  if (module.part == ModulePart::norm) return &head.norm;
  Block& block = blocks[static_cast<size_t>(module.layer)];
  switch (module.part) {
    case ModulePart::norm1:
      return &block.norm1;
    case ModulePart::norm1_after:
      return &block.norm1_after;
    case ModulePart::norm2:
      return &block.norm2;
    case ModulePart::norm2_after:
      return &block.norm2_after;
    case ModulePart::norm_q:
      return &block.attention.norm_q;
    case ModulePart::norm_k:
      return &block.attention.norm_k;
    default:
      FETTLE_CHECK(false);
      return nullptr;
  }
}

void Network::bind(const ModuleSpec& module) {
  if (module.kind == ModuleKind::table) {
    Parameter*& table = module.part == ModulePart::embed ? embedding.token : embedding.position;
    table = &parameters_.require(module.name + ".weight", module.rows, module.cols);
    return;
  }
  Bound bound{module, nullptr, nullptr};
  if (module.kind == ModuleKind::norm) {
    bound.norm = norm_at(module);
    *bound.norm = make_norm(module);
  } else {
    bound.linear = linear_at(module);
    *bound.linear = make_linear(module);
  }
  bound_.push_back(std::move(bound));
}

const Rotation* Network::rotation(const LayerConfig& layer, int64_t length) {
  if (layer.position != PositionKind::rope || layer.mixer != MixerKind::attention) return nullptr;
  for (const auto& [like, made] : rotations_)
    if (like->rope == layer.rope && like->head_dim == layer.head_dim) return made.get();
  const RopeTable table = rope_table(layer, config.context_length, length);
  const auto count = static_cast<int64_t>(table.inverse_frequencies.size());
  auto made = std::make_unique<Rotation>(Rotation{take(owned_, 1, count), table.magnitude});
  backend_.copy_from_host(made->inverse_frequencies, table.inverse_frequencies.data());
  rotations_.emplace_back(&layer, std::move(made));
  return rotations_.back().second.get();
}

void Network::for_each_linear(const std::function<void(const ModuleSpec&, Linear&)>& visit) {
  for (const Bound& bound : bound_)
    if (bound.linear != nullptr) visit(bound.module, *bound.linear);
}

void Network::make_shadows() {
  std::vector<Parameter*> weights;
  for_each_linear([&](const ModuleSpec&, Linear& linear) { weights.push_back(linear.weight); });
  std::erase_if(weights, [](const Parameter* weight) {
    return weight->value.dtype != DType::f32 || !weight->bf16.absent();
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
    if (blocks[layer].trainable()) return static_cast<int64_t>(layer);
  }
  return static_cast<int64_t>(blocks.size());
}

void Network::check_gradients() const {
  const auto check = [](const Parameter& parameter) {
    FETTLE_CHECK(!parameter.trainable ||
                 (!parameter.grad.absent() && parameter.grad.rows == parameter.value.rows &&
                  parameter.grad.cols == parameter.value.cols &&
                  (parameter.value.dtype == DType::f32 ||
                   (parameter.value.dtype == DType::bf16 && parameter.value.rows > 1))));
  };
  for (const auto& parameter : parameters_.all()) check(*parameter);
  for (const Decoder::ActiveAdapter& active : adapters_)
    for (const auto& parameter : active.adapter->parameters.all()) check(*parameter);
}

}  // namespace fettle
