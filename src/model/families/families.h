#pragma once
// Model families: how a published config and published weight names map onto ModelConfig and fettle's own
// names. Nothing outside families/ knows a family by name. Adding one: a file with its modules and config
// keys, a line in families.cpp, and a case in tests/golden/model/make_models.py. Everything here is a pure
// function of its arguments; thread-safe.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/adapter.h"
#include "model/config.h"

namespace fettle {

// ---- configs

/// config.json of a Hugging Face folder. Throws Error naming `where` and the key for whatever the decoder
/// cannot do (an unknown model_type or RoPE type, layers that differ from each other, …). The result is
/// validated.
ModelConfig config_from_hf(const Json& config, std::string_view where);

/// A config.json that transformers opens: model_type, architectures, sizes, token ids, dtype float32
/// (overwrite "dtype" when writing another). Hugging Face's RoPE layout is meant whatever
/// config.rope.interleaved says: hf_weights() permutes.
Json config_to_hf(const ModelConfig& config);

/// Metadata of a GGUF file as an object of key → number, string or bool (arrays may be left out), the
/// vocabulary size (rows of token_embd.weight), and whether the file has a tensor of some name (biases and an
/// untied head are only told by that). A Llama-layout file gives rope.interleaved = true, so that its q and k
/// rows need no copy.
ModelConfig config_from_gguf(const Json& metadata, int32_t vocab_size,
                             const std::function<bool(std::string_view)>& has_tensor, std::string_view where);

/// general.architecture, {arch}.* and tokenizer.ggml.{bos,eos,padding}_token_id keys for `config`; integers
/// are to be written as u32 and floats as f32. Throws Error when GGUF has no way to say it.
Json config_to_gguf(const ModelConfig& config);

/// Whether llama.cpp keeps to the sliding windows of a model of this architecture.
bool keeps_windows_in_gguf(const ModelConfig& config);

/// Llama 3's RoPE scaling is not in GGUF's metadata but in a tensor rope_freqs.weight, f32 [head_dim/2]:
/// frequency i is divided by factor i. gguf_rope_factors: the tensor to write, empty when none is needed.
/// apply_gguf_rope_factors: finds the scaling that gives these factors, or throws.
std::vector<float> gguf_rope_factors(const ModelConfig& config);
void apply_gguf_rope_factors(ModelConfig& config, std::span<const float> factors, std::string_view where);

/// The seven numbers at the start of a llama2.c checkpoint. A negative vocab_size means an untied head.
struct Llama2cHeader {
  int32_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len;
};
ModelConfig config_from_llama2c(const Llama2cHeader& header, std::string_view where);
/// Throws Error when llama2.c cannot say it (anything but the plain Llama 2 architecture).
Llama2cHeader config_to_llama2c(const ModelConfig& config);

// ---- weights

/// `count` rows of a published tensor: begin, begin + step, …
struct RowRun {
  int64_t begin = 0, count = 0, step = 1;
};

/// One of fettle's parameters inside a published tensor. The runs, one after the other, are its rows in
/// order; for a published vector (shape of one number) they are its elements. A single run of step 1 can be a
/// view of the file.
struct WeightPart {
  std::string name;            ///< "layers.3.q.weight"
  int64_t rows = 0, cols = 0;  ///< as parameter_shapes() has it: a vector is [1, n]
  std::vector<RowRun> runs;
  bool contiguous() const { return runs.size() == 1 && (runs[0].step == 1 || runs[0].count <= 1); }
};

/// A published tensor and the parameters it is made of; together they are all of its rows (elements).
struct WeightEntry {
  std::string published;
  /// As published, outermost first: [out, in]; [in, out] when transposed; [n] for a vector. (GGUF files write
  /// the reverse order of dimensions: GGUF's ne = {in, out}.)
  std::vector<int64_t> shape;
  bool transposed = false;  ///< stored [in, out] (GPT-2's Conv1D); the runs speak of `out`
  /// ours = published + offset, elementwise (Gemma's norms: Hugging Face stores w, GGUF 1 + w).
  float offset = 0.0F;
  std::vector<WeightPart> parts;
};

struct WeightMap {
  /// Some published files leave out this prefix of every name ("transformer."); a reader tries both. May be
  /// empty.
  std::string optional_prefix;
  std::vector<WeightEntry> entries;
  /// Tensors that a file may hold beside the entries and that mean nothing (masks, rotary tables, a copy of
  /// tied embeddings): names that end so.
  std::vector<std::string> ignored_suffixes;
  bool ignores(std::string_view published) const;
};

/// Names in model.safetensors. Writing is reading backwards: every entry becomes one tensor of its shape.
WeightMap hf_weights(const ModelConfig& config);
/// Names in a GGUF file.
WeightMap gguf_weights(const ModelConfig& config);
/// llama2.c: no names in the file, but its order: the entries follow each other as f32, except that after the
/// last norm
/// ("norm.weight") stand 2 * seq_len * head_dim/2 numbers of rotary tables, to be skipped (write zeros).
WeightMap llama2c_weights(const ModelConfig& config);

// ---- adapters

/// A published module that LoRA can stand beside: PEFT writes base_model.model.{published}.lora_A.weight [rank, in] and
/// .lora_B.weight [out, rank]. lora_A is `{modules[0]}.lora_a`: the parts of a fused module share one, named
/// after the first. lora_B's rows are split by the parts' runs; the parts are named `{modules[i]}.lora_b`,
/// cols = rank. An embedding has lora_embedding_A [rank, vocabulary] and lora_embedding_B [hidden, rank] instead: in is
/// the vocabulary, and `embed.lora_a` is [vocabulary, rank], so that its rows can be gathered.
struct AdapterEntry {
  std::string published;  ///< "model.layers.3.self_attn.q_proj"
  int32_t layer = -1;     ///< none for embeddings and head
  bool embedding = false;
  bool expert = false;  ///< inside a mixture of experts
  int64_t in = 0, out = 0;
  bool conv1d =
      false;  ///< GPT-2: PEFT's config needs fan_in_fan_out (lora_A and lora_B are laid out as ever)
  std::vector<std::string> modules;  ///< ours: "layers.3.q", …, "embed", "head"
  std::vector<WeightPart> parts;     ///< one per module
  int32_t rank = 0;                  ///< of the adapter that chose it
  float alpha = 0.0F;
};

/// Every module that an adapter could choose: the embedding, the linear ones of each layer, the head (also a tied one,
/// which is then the head alone). rank is 0.
std::vector<AdapterEntry> adaptable_modules(const ModelConfig& config);

/// Those that the adapter's targets, exclusions, layers and patterns choose, as PEFT matches them, with rank and alpha.
/// A target is "all-linear" (every linear but the head and those inside experts, which transformers stacks in tensors), a published module's whole name or its end ("q_proj",
/// "self_attn.v_proj", "lm_head", "embed_tokens"), or one of ours ("q", "gate", "embed", "head").
std::vector<AdapterEntry> adapter_entries(const ModelConfig& config, const AdapterConfig& adapter);

/// Throws Error(usage) when one of the targets matches nothing, with the names there are.
void check_targets(const ModelConfig& config, const AdapterConfig& adapter);

/// Whether PEFT's modules_to_save takes in the published module or parameter `published`: an end of its name or of a
/// module around it.
bool is_saved_module(const AdapterConfig& adapter, std::string_view published);

/// hf_weights() with an entry for the head even where it is tied.
WeightMap hf_weights_with_head(ModelConfig config);

/// The published names of our modules for PEFT's target_modules ("q_proj", …, "embed_tokens", "lm_head").
std::vector<std::string> adaptable_module_names(const ModelConfig& config);

}  // namespace fettle
