#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "model/parameters.h"

namespace fettle {
namespace {

void require_positive(std::string_view where, std::string_view name, int64_t value) {
  if (value <= 0) fail(where, "{} must be positive, got {}", name, value);
}

void require_finite(std::string_view where, std::string_view name, double value, bool may_be_zero) {
  if (!std::isfinite(value) || value < 0 || (value == 0 && !may_be_zero)) {
    fail(where, "{} must be a {} number, got {}", name,
         may_be_zero ? "finite, not negative" : "finite positive", value);
  }
}

void validate_rope(const LayerConfig& layer, std::string_view where) {
  const RopeConfig& rope = layer.rope;
  const int32_t rotary = layer.rotary_dim();
  if (rotary < 2 || rotary > layer.head_dim || rotary % 2 != 0) {
    fail(where, "the rotary part of a head must be even and at most head_dim = {}, got {} columns",
         layer.head_dim, rotary);
  }
  if (!(rope.theta > 1.0) || !std::isfinite(rope.theta))
    fail(where, "rope_theta must be above 1, got {}", rope.theta);
  if (rope.scaling == RopeScaling::none) return;
  require_finite(where, "rope scaling factor", rope.factor, false);
  if (rope.scaling == RopeScaling::dynamic && rotary == 2) {
    fail(where, "dynamic RoPE scaling needs more than 2 rotary columns");
  }
  if (rope.scaling == RopeScaling::llama3) {
    require_positive(where, "original_max_position_embeddings", rope.original_context);
    require_finite(where, "low_freq_factor", rope.low_freq_factor, false);
    if (!(rope.high_freq_factor > rope.low_freq_factor)) {
      fail(where, "high_freq_factor ({}) must exceed low_freq_factor ({})", rope.high_freq_factor,
           rope.low_freq_factor);
    }
  }
  if (rope.scaling == RopeScaling::yarn) {
    require_positive(where, "original_max_position_embeddings", rope.original_context);
    require_finite(where, "beta_fast", rope.beta_fast, false);
    require_finite(where, "beta_slow", rope.beta_slow, false);
    require_finite(where, "attention_factor", rope.attention_factor, true);
  }
}

/// The rotation count of YaRN's eq. 17 solved for the column: where `rotations` full turns fit the original
/// context.
double yarn_column(double rotations, double rotary, const RopeConfig& rope) {
  const double turn = static_cast<double>(rope.original_context) / (rotations * 2.0 * std::numbers::pi);
  return rotary * std::log(turn) / (2.0 * std::log(rope.theta));
}

void scale_yarn(std::vector<double>& frequencies, double rotary, const RopeConfig& rope) {
  const double low = std::max(std::floor(yarn_column(rope.beta_fast, rotary, rope)), 0.0);
  double high = std::min(std::ceil(yarn_column(rope.beta_slow, rotary, rope)), rotary - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double interpolated = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= interpolated / rope.factor + (1.0 - interpolated);
  }
}

void scale_llama3(std::vector<double>& frequencies, const RopeConfig& rope) {
  const auto context = static_cast<double>(rope.original_context);
  for (double& frequency : frequencies) {
    const double turns = context * frequency / (2.0 * std::numbers::pi);
    if (turns > rope.high_freq_factor) continue;
    if (turns < rope.low_freq_factor) {
      frequency /= rope.factor;
      continue;
    }
    const double smooth = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    frequency *= (1.0 - smooth) / rope.factor + smooth;
  }
}

// So that no product of sizes below overflows 64 bits, whatever a file claims.
constexpr int64_t widest = int64_t{1} << 22;
constexpr int32_t most_experts = 4096;
constexpr int64_t most_experts_of_all_layers = int64_t{1} << 17;  // so that their list stays short, whatever a file claims

[[noreturn]] void fail_width(std::string_view where, int64_t width) {
  fail(where, "a layer of {} columns is too wide; at most {} are supported", width, widest);
}

void validate_attention(const LayerConfig& layer, std::string_view where) {
  require_positive(where, "the number of attention heads", layer.heads);
  require_positive(where, "the number of key/value heads", layer.kv_heads);
  require_positive(where, "head_dim", layer.head_dim);
  if (layer.heads % layer.kv_heads != 0) {
    fail(where, "the number of attention heads ({}) must be a multiple of that of key/value heads ({})", layer.heads,
         layer.kv_heads);
  }
  if (const int64_t width = int64_t{layer.heads} * layer.head_dim; width > widest) fail_width(where, width);
  require_finite(where, "the attention scale (softmax_scale)", layer.attention_scale, true);
  require_finite(where, "clip_qkv", layer.clip_qkv, true);
  if (layer.sliding_window < 0) fail(where, "sliding_window must not be negative, got {}", layer.sliding_window);
  if (layer.position == PositionKind::rope) validate_rope(layer, where);
  if (layer.clip_qkv > 0.0F && (layer.position == PositionKind::rope || layer.qk_norm))
    fail(where, "clip_qkv together with RoPE or norms of q and k is not supported");
}

void validate_layer(const LayerConfig& layer, std::string_view where) {
  if (layer.mixer == MixerKind::attention) validate_attention(layer, where);
  if (layer.mlp != MlpKind::none) {
    require_positive(where, "intermediate_size", layer.intermediate_size);
    if (layer.intermediate_size > widest) fail_width(where, layer.intermediate_size);
  }
  if (layer.mlp == MlpKind::experts) {
    require_positive(where, "the number of experts", layer.experts);
    if (layer.experts > most_experts) fail(where, "{} experts are too many", layer.experts);
    if (layer.experts_per_token < 1 || layer.experts_per_token > layer.experts)
      fail(where, "of {} experts each token cannot go to {}", layer.experts, layer.experts_per_token);
    if (!layer.gated_mlp || layer.mlp_bias) fail(where, "experts must be gated and without biases");
  }
  const bool both = layer.mixer != MixerKind::none && layer.mlp != MlpKind::none;
  if (layer.mixer == MixerKind::none && layer.mlp == MlpKind::none)
    fail(where, "a layer needs a mixer, an MLP or both");
  if (layer.block != BlockKind::sequential && (!both || layer.mlp == MlpKind::experts || layer.norm_after || !layer.norm_before))
    fail(where, "a parallel block has attention and a dense MLP, and norms before them alone");
  if (!layer.norm_before && !layer.norm_after) fail(where, "a layer needs norms before or after its branches");
}

}  // namespace

void ModelConfig::validate(std::string_view where) const {
  require_positive(where, "vocab_size", vocab_size);
  require_positive(where, "hidden_size", hidden_size);
  require_positive(where, "the number of layers", layers);
  if (layers > most_layers) fail(where, "{} layers are too many", layers);
  require_positive(where, "the context length", context_length);
  if (hidden_size > widest) fail_width(where, hidden_size);
  constexpr int64_t limit = std::numeric_limits<int32_t>::max();
  if (context_length > limit) fail(where, "a context of {} tokens is too long", context_length);
  require_finite(where, "the norm's epsilon (rms_norm_eps, layer_norm_eps, layer_norm_epsilon)", norm_eps, true);
  require_finite(where, "the embedding scale", embedding_scale, false);
  require_finite(where, "the logit scale", logit_scale, false);
  if (!each.empty() && each.size() != static_cast<size_t>(layers))
    fail(where, "{} layers are described, the model has {}", each.size(), layers);
  for (size_t i = 0; i < std::max<size_t>(each.size(), 1); ++i) validate_layer(layer(static_cast<int64_t>(i)), where);
  for (const LayerConfig& layer : each) {
    const bool whole = layer.position == PositionKind::alibi || layer.position == PositionKind::learned;
    if (whole && layer.position != position) fail(where, "ALiBi and learned positions are those of a whole model");
    if (position == PositionKind::alibi && layer.heads != heads)
      fail(where, "ALiBi needs as many heads in every layer");
  }
  if (position == PositionKind::alibi) require_finite(where, "alibi_bias_max", alibi_max_bias, false);
  for (const LayerConfig& layer : each) {
    if (layer.mlp == MlpKind::experts && layer.experts != expert_count())
      fail(where, "layers with {} and {} experts in one model are not supported", expert_count(), layer.experts);
  }
  if (const int64_t all = int64_t{layers} * expert_count(); all > most_experts_of_all_layers)
    fail(where, "{} experts in {} layers are too many", all, layers);
  require_finite(where, "the weight of the routers' loss (router_aux_loss_coef)", router_loss_weight, true);
  if (tied_embeddings && head_bias) fail(where, "a head tied to the embeddings cannot have a bias");
}

int32_t ModelConfig::expert_count() const {
  for (int32_t i = 0; i < layers; ++i)
    if (layer(i).mlp == MlpKind::experts) return layer(i).experts;
  return 0;
}

int32_t ModelConfig::longest_window() const {
  int32_t longest = 0;
  for (int32_t i = 0; i < layers; ++i) {
    const LayerConfig& one = layer(i);
    if (one.mixer == MixerKind::none) continue;
    if (one.sliding_window == 0) return 0;
    longest = std::max(longest, one.sliding_window);
  }
  return longest;
}

std::vector<int32_t> ModelConfig::cache_windows() const {
  std::vector<int32_t> windows{0};
  for (int32_t i = 0; i < layers; ++i)
    if (layer(i).mixer != MixerKind::none) windows.push_back(layer(i).sliding_window);
  std::sort(windows.begin(), windows.end());
  windows.erase(std::unique(windows.begin(), windows.end()), windows.end());
  return windows;
}

int32_t ModelConfig::cache_group(int64_t index) const {
  if (layer(index).mixer == MixerKind::none) return 0;
  const std::vector<int32_t> windows = cache_windows();
  return static_cast<int32_t>(std::lower_bound(windows.begin(), windows.end(), layer(index).sliding_window) -
                              windows.begin());
}

void ModelConfig::set_interleaved(bool interleaved) {
  rope.interleaved = interleaved;
  for (LayerConfig& layer : each) layer.rope.interleaved = interleaved;
}

int64_t ModelConfig::parameter_count() const {
  int64_t count = 0;
  for (const ParameterShape& shape : parameter_shapes(*this)) count += shape.rows * shape.cols;
  return count;
}

RopeTable rope_table(const LayerConfig& layer, int64_t context_length, int64_t length) {
  const RopeConfig& rope = layer.rope;
  const double rotary = layer.rotary_dim();
  double theta = rope.theta;
  if (rope.scaling == RopeScaling::dynamic) {
    // Stretches the base only once a sequence outgrows the context the model was trained on.
    const auto context = static_cast<double>(context_length);
    const double ratio = std::max(static_cast<double>(length), context) / context;
    theta *= std::pow(rope.factor * ratio - (rope.factor - 1.0), rotary / (rotary - 2.0));
  }
  std::vector<double> frequencies(static_cast<size_t>(rotary) / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = std::pow(theta, -2.0 * static_cast<double>(i) / rotary);

  RopeTable table;
  if (rope.scaling == RopeScaling::linear) {
    for (double& frequency : frequencies) frequency /= rope.factor;
  } else if (rope.scaling == RopeScaling::llama3) {
    scale_llama3(frequencies, rope);
  } else if (rope.scaling == RopeScaling::yarn) {
    scale_yarn(frequencies, rotary, rope);
    const double suggested = rope.factor <= 1.0 ? 1.0 : 0.1 * std::log(rope.factor) + 1.0;
    table.magnitude = static_cast<float>(rope.attention_factor > 0.0 ? rope.attention_factor : suggested);
  }
  table.inverse_frequencies.assign(frequencies.begin(), frequencies.end());
  return table;
}

std::vector<float> alibi_slopes(int32_t heads, float max_bias) {
  int32_t power = 1;
  while (power < heads) power *= 2;
  std::vector<float> slopes;
  for (int32_t i = 1; i <= power; ++i) {
    slopes.push_back(static_cast<float>(std::exp2(-static_cast<double>(max_bias) * i / power)));
  }
  if (power == heads) return slopes;
  // Every second slope of the next power of two first, then the ones between.
  std::vector<float> chosen;
  for (int32_t i = 1; i < power; i += 2) chosen.push_back(slopes[static_cast<size_t>(i)]);
  for (int32_t i = 0; i < power; i += 2) chosen.push_back(slopes[static_cast<size_t>(i)]);
  chosen.resize(static_cast<size_t>(heads));
  return chosen;
}

}  // namespace fettle
