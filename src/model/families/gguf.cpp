// GGUF's metadata keys (the format's specification, "Standardized key-value pairs") and llama2.c's header.
#include <algorithm>
#include <cmath>
#include <limits>

#include "model/families/family.h"

namespace fettle {
namespace {

/// Reads "{arch}.key".
class Metadata {
 public:
  Metadata(const Json& metadata, std::string architecture, std::string_view where)
      : metadata_(metadata), architecture_(std::move(architecture)), where_(where) {}
  std::string key(std::string_view name) const { return fmt::format("{}.{}", architecture_, name); }
  bool has(std::string_view name) const { return metadata_.contains(key(name)); }
  int32_t size(std::string_view name) const { return get_size(metadata_, key(name).c_str(), where_); }
  int32_t size_or(std::string_view name, int32_t fallback) const {
    // Written as an array when layers differ.
    const auto found = metadata_.find(key(name));
    if (found != metadata_.end() && found->is_array()) {
      fail(where_, "key '{}': layers that differ from each other are not supported", key(name));
    }
    return get_size_or(metadata_, key(name).c_str(), fallback, where_);
  }
  template <typename T>
  T get_or(std::string_view name, T fallback) const {
    return json_get_or<T>(metadata_, key(name).c_str(), fallback, where_);
  }

 private:
  const Json& metadata_;
  std::string architecture_;
  std::string_view where_;
};

void read_gguf_rope(const Metadata& metadata, ModelConfig& out, std::string_view where) {
  RopeConfig& rope = out.rope;
  rope.theta = metadata.get_or<double>("rope.freq_base", 10000.0);
  const int32_t rotary = metadata.size_or("rope.dimension_count", out.head_dim);
  rope.rotary_dim = rotary == out.head_dim ? 0 : rotary;
  const auto type = metadata.get_or<std::string>("rope.scaling.type", "none");
  const auto linear = metadata.get_or<double>("rope.scale_linear", 1.0);  // the key of 2023
  rope.factor = metadata.get_or<double>("rope.scaling.factor", linear);
  rope.original_context =
      metadata.get_or<int64_t>("rope.scaling.original_context_length", out.context_length);
  if (type == "yarn") {
    rope.scaling = RopeScaling::yarn;
    rope.beta_fast = metadata.get_or<double>("rope.scaling.yarn_beta_fast", 32.0);
    rope.beta_slow = metadata.get_or<double>("rope.scaling.yarn_beta_slow", 1.0);
    const auto extra = metadata.get_or<double>("rope.scaling.attn_factor", 1.0);
    if (extra != 1.0) rope.attention_factor = extra * (0.1 * std::log(rope.factor) + 1.0);
  } else if (type == "linear" || (type == "none" && linear != 1.0)) {
    rope.scaling = rope.factor == 1.0 ? RopeScaling::none : RopeScaling::linear;
  } else if (type != "none") {
    fail(where, "key '{}': '{}' is not supported; known are none, linear and yarn",
         metadata.key("rope.scaling.type"), type);
  }
  if (rope.scaling == RopeScaling::none) rope.factor = 1.0;
}

void write_gguf_rope(const ModelConfig& config, Json& out, const std::string& prefix) {
  const RopeConfig& rope = config.rope;
  out[prefix + "rope.freq_base"] = rope.theta;
  out[prefix + "rope.dimension_count"] = rope.rotary_dim == 0 ? config.head_dim : rope.rotary_dim;
  if (rope.scaling == RopeScaling::dynamic)
    fail("GGUF", "dynamic RoPE scaling cannot be written; GGUF knows linear, yarn and llama3");
  if (rope.scaling == RopeScaling::linear || rope.scaling == RopeScaling::yarn) {
    out[prefix + "rope.scaling.type"] = rope.scaling == RopeScaling::linear ? "linear" : "yarn";
    out[prefix + "rope.scaling.factor"] = rope.factor;
  }
  if (rope.scaling == RopeScaling::yarn) {
    out[prefix + "rope.scaling.original_context_length"] = rope.original_context;
    out[prefix + "rope.scaling.yarn_beta_fast"] = rope.beta_fast;
    out[prefix + "rope.scaling.yarn_beta_slow"] = rope.beta_slow;
    if (rope.attention_factor > 0.0) {
      out[prefix + "rope.scaling.attn_factor"] = rope.attention_factor / (0.1 * std::log(rope.factor) + 1.0);
    }
  }
}

/// Sizes, and what only the presence of tensors tells.
void read_gguf_sizes(const Metadata& metadata, ModelConfig& out,
                     const std::function<bool(std::string_view)>& has_tensor, std::string_view where) {
  out.hidden_size = metadata.size("embedding_length");
  out.intermediate_size = metadata.size("feed_forward_length");
  out.layers = metadata.size("block_count");
  out.heads = metadata.size("attention.head_count");
  out.kv_heads = metadata.size_or("attention.head_count_kv", out.heads);
  out.head_dim = metadata.size_or("attention.key_length", out.heads > 0 ? out.hidden_size / out.heads : 0);
  if (metadata.size_or("attention.value_length", out.head_dim) != out.head_dim) {
    fail(where, "key '{}': value heads of another size than key heads are not supported",
         metadata.key("attention.value_length"));
  }
  out.context_length = metadata.size("context_length");
  out.sliding_window = metadata.size_or("attention.sliding_window", 0);
  out.tied_embeddings = !has_tensor("output.weight");
  out.head_bias = has_tensor("output.bias");
  out.norm_bias = has_tensor("output_norm.bias");
  out.qkv_bias = has_tensor("blk.0.attn_q.bias") || has_tensor("blk.0.attn_qkv.bias");
  out.output_bias = has_tensor("blk.0.attn_output.bias");
  out.mlp_bias = has_tensor("blk.0.ffn_up.bias");
}

}  // namespace

ModelConfig config_from_gguf(const Json& metadata, int32_t vocab_size,
                             const std::function<bool(std::string_view)>& has_tensor,
                             std::string_view where) {
  const auto architecture = json_get<std::string>(metadata, "general.architecture", where);
  const Family* family = nullptr;
  std::vector<std::string_view> known;
  for (const Family* candidate : all_families()) {
    if (candidate->gguf == architecture && family == nullptr) family = candidate;
    if (known.empty() || known.back() != candidate->gguf) known.push_back(candidate->gguf);
  }
  if (family == nullptr) {
    fail(where, "key 'general.architecture': '{}' is not supported; known are {}", architecture,
         fmt::join(known, ", "));
  }
  const Metadata keys(metadata, architecture, where);
  // The file of a Mixtral says "llama"; only its experts tell them apart.
  if (keys.size_or("expert_count", 0) != 0) {
    if (family != &llama_family)
      fail(where, "key '{}': mixtures of experts are not supported in '{}'", keys.key("expert_count"), architecture);
    family = &mixtral_family;
  }
  ModelConfig out;
  out.vocab_size = vocab_size;
  out.hidden_size = keys.size("embedding_length");
  family->gguf_defaults(out);
  read_gguf_sizes(keys, out, has_tensor, where);
  // The file of a Mistral says "llama"; only its window tells them apart.
  if (family == &llama_family && out.sliding_window > 0) family = &mistral_family;
  out.family = family->model_type;
  out.norm_eps = keys.get_or<float>(
      out.norm == NormKind::rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-5F);
  if (out.position == PositionKind::rope) {
    read_gguf_rope(keys, out, where);
  }
  if (family->from_gguf != nullptr) family->from_gguf(metadata, out, where);
  if (out.position == PositionKind::rope) out.set_interleaved(family->gguf_interleaved);
  out.alibi_max_bias = keys.get_or<float>("attention.max_alibi_bias", 8.0F);
  out.clip_qkv = keys.get_or<float>("attention.clamp_kqv", 0.0F);
  if (out.block == BlockKind::parallel_two_norms && !keys.get_or<bool>("use_parallel_residual", true)) {
    out.block = BlockKind::sequential;
  }
  out.bos = get_size_or(metadata, "tokenizer.ggml.bos_token_id", -1, where);
  out.pad = get_size_or(metadata, "tokenizer.ggml.padding_token_id", -1, where);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const int32_t id = get_size_or(metadata, key, -1, where);
    if (id >= 0 && std::find(out.eos.begin(), out.eos.end(), id) == out.eos.end()) out.eos.push_back(id);
  }
  out.validate(where);
  return out;
}

Json config_to_gguf(const ModelConfig& config) {
  const Family& family = family_named(config.family);
  if (family.gguf == "starcoder" && config.kv_heads != 1)
    fail("GGUF", "'starcoder' means one key/value head, this model has {}", config.kv_heads);
  ModelConfig usual;
  usual.hidden_size = config.hidden_size;
  family.gguf_defaults(usual);
  if (config.activation != usual.activation) {
    fail("GGUF", "'{}' means the activation {}, this model has {}", family.gguf, activation_name(usual.activation),
         activation_name(config.activation));
  }
  if (!config.each.empty() && family.to_gguf == nullptr)
    fail("GGUF", "layers that differ from each other cannot be written for '{}'", family.gguf);
  if (config.attention_scale != 0.0F && family.to_gguf == nullptr)
    fail("GGUF", "an attention scale of {} cannot be written for '{}'", config.attention_scale, family.gguf);
  Json out;
  const std::string prefix = std::string(family.gguf) + ".";
  out["general.architecture"] = family.gguf;
  out[prefix + "vocab_size"] = config.vocab_size;
  out[prefix + "context_length"] = config.context_length;
  out[prefix + "embedding_length"] = config.hidden_size;
  out[prefix + "feed_forward_length"] = config.intermediate_size;
  out[prefix + "block_count"] = config.layers;
  out[prefix + "attention.head_count"] = config.heads;
  out[prefix + "attention.head_count_kv"] = config.kv_heads;
  if (config.head_dim * config.heads != config.hidden_size) {
    out[prefix + "attention.key_length"] = out[prefix + "attention.value_length"] = config.head_dim;
  }
  out[prefix + (config.norm == NormKind::rms ? "attention.layer_norm_rms_epsilon"
                                             : "attention.layer_norm_epsilon")] = config.norm_eps;
  if (config.position == PositionKind::rope) write_gguf_rope(config, out, prefix);
  if (config.position == PositionKind::alibi)
    out[prefix + "attention.max_alibi_bias"] = config.alibi_max_bias;
  if (config.clip_qkv > 0.0F) out[prefix + "attention.clamp_kqv"] = config.clip_qkv;
  if (config.sliding_window > 0) out[prefix + "attention.sliding_window"] = config.sliding_window;
  if (family.gguf == "gptneox")
    out[prefix + "use_parallel_residual"] = config.block == BlockKind::parallel_two_norms;
  if (config.bos >= 0) out["tokenizer.ggml.bos_token_id"] = config.bos;
  if (config.pad >= 0) out["tokenizer.ggml.padding_token_id"] = config.pad;
  if (!config.eos.empty()) out["tokenizer.ggml.eos_token_id"] = config.eos[0];
  if (family.to_gguf != nullptr) family.to_gguf(config, out);
  return out;
}

bool keeps_windows_in_gguf(const ModelConfig& config) {
  return family_named(config.family).gguf_windows;
}

std::vector<float> gguf_rope_factors(const ModelConfig& config) {
  if (config.position != PositionKind::rope || config.rope.scaling != RopeScaling::llama3) return {};
  if (!config.each.empty())
    fail("GGUF", "Llama 3's RoPE scaling in layers that differ cannot be written");
  ModelConfig plain = config;
  plain.rope.scaling = RopeScaling::none;
  const RopeTable scaled = rope_table(config, 0), unscaled = rope_table(plain, 0);
  std::vector<float> factors;
  for (size_t i = 0; i < scaled.inverse_frequencies.size(); ++i) {
    factors.push_back(unscaled.inverse_frequencies[i] / scaled.inverse_frequencies[i]);
  }
  return factors;
}

void apply_gguf_rope_factors(ModelConfig& config, std::span<const float> factors, std::string_view where) {
  const auto close = [](float a, float b) { return std::abs(a - b) <= 1e-3F * std::abs(b); };
  if (std::all_of(factors.begin(), factors.end(), [&](float factor) { return close(factor, 1.0F); })) return;
  // A GGUF holds the factors alone. Llama 3.1, 3.2 and 3.3 differ in the largest; models made after them in
  // the length they were first trained on, a power of two.
  ModelConfig candidate = config;
  candidate.rope.scaling = RopeScaling::llama3;
  candidate.rope.factor = std::round(static_cast<double>(*std::max_element(factors.begin(), factors.end())));
  candidate.rope.low_freq_factor = 1.0;
  candidate.rope.high_freq_factor = 4.0;
  const auto fits = [&](int32_t original_context) {
    candidate.rope.original_context = original_context;
    const std::vector<float> expected = gguf_rope_factors(candidate);
    return expected.size() == factors.size() &&
           std::equal(factors.begin(), factors.end(), expected.begin(), close);
  };
  bool found = fits(8192);
  for (int32_t length = 32; !found && length <= 1 << 20; length *= 2) found = fits(length);
  if (!found) {
    fail(where,
         "the factors in 'rope_freqs.weight' are not those of Llama 3; other RoPE factors are not supported");
  }
  config = candidate;
}

ModelConfig config_from_llama2c(const Llama2cHeader& header, std::string_view where) {
  if (header.vocab_size == std::numeric_limits<int32_t>::min())
    fail(where, "vocab_size {} is no size", header.vocab_size);
  ModelConfig out;
  out.family = "llama";
  out.hidden_size = header.dim;
  out.intermediate_size = header.hidden_dim;
  out.layers = header.n_layers;
  out.heads = header.n_heads;
  out.kv_heads = header.n_kv_heads;
  out.head_dim = header.n_heads > 0 ? header.dim / header.n_heads : 0;
  out.tied_embeddings = header.vocab_size > 0;
  out.vocab_size = header.vocab_size > 0 ? header.vocab_size : -header.vocab_size;
  out.context_length = header.seq_len;
  out.rope.interleaved = true;
  out.bos = 1;
  out.eos = {2};
  out.validate(where);
  if (out.head_dim * out.heads != out.hidden_size)
    fail(where, "dim ({}) must be a multiple of n_heads ({})", header.dim, header.n_heads);
  return out;
}

Llama2cHeader config_to_llama2c(const ModelConfig& config) {
  const bool plain =
      config.each.empty() && config.mlp == MlpKind::dense && config.norm_before && !config.norm_after && !config.qk_norm &&
      config.norm == NormKind::rms && config.norm_offset == 0.0F && !config.norm_bias &&
      config.position == PositionKind::rope && config.rope.rotary_dim == 0 && config.rope.theta == 10000.0 &&
      config.rope.scaling == RopeScaling::none && config.sliding_window == 0 &&
      config.attention_scale == 0.0F && config.clip_qkv == 0.0F && config.block == BlockKind::sequential &&
      config.gated_mlp && config.activation == Activation::silu && !config.qkv_bias && !config.output_bias &&
      !config.mlp_bias && !config.head_bias && config.embedding_scale == 1.0F && config.logit_scale == 1.0F &&
      config.head_dim * config.heads == config.hidden_size && std::abs(config.norm_eps - 1e-5F) < 1e-9F;
  if (!plain) {
    fail("llama2.c",
         "it holds only the plain Llama 2 architecture (SiLU, no biases, RoPE with theta 10000, norm epsilon "
         "1e-5); write another format");
  }
  return {config.hidden_size,
          config.intermediate_size,
          config.layers,
          config.heads,
          config.kv_heads,
          config.tied_embeddings ? config.vocab_size : -config.vocab_size,
          static_cast<int32_t>(config.context_length)};
}

}  // namespace fettle
