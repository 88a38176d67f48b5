"""Small models of every family, run by the published implementation: logits and gradients for the tests of src/model.

Run from the repository root in an environment with torch and transformers 5.23 (CPU is enough):
    python tests/golden/model/make_models.py
It rewrites the .json files beside it. Weights are not stored: both sides compute element i of the tensor `name` as
    base + width * u,   u = (splitmix64(fnv1a64(name) + i) >> 40) * 2^-23 - 1
with base and width as in `weight_rule`.
"""
import json
import pathlib

import numpy as np
import torch
import transformers

TOKENS = 24
VOCAB = 61


def splitmix64(x):
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def uniform(name, count):
    start = np.uint64(fnv1a64(name))
    with np.errstate(over="ignore"):
        bits = splitmix64(start + np.arange(count, dtype=np.uint64))
    return (bits >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0


def weight_rule(name, norm_base):
    """(base, width): norms around one, biases and embeddings wide enough to matter."""
    norm = any(part in name for part in ("norm", "ln_"))
    if norm and name.endswith("weight"):
        return norm_base, 0.5
    return 0.0, 0.375


def common(**extra):
    return dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2) | extra


def gpt(**extra):
    return dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=40, layer_norm_epsilon=1e-5,
                bos_token_id=1, eos_token_id=2) | extra


def scaled(**rope):
    return {"rope_theta": 500.0} | rope


MODELS = {
    "llama": ("llama", common(num_key_value_heads=4)),
    "llama_all_options": ("llama", common(num_key_value_heads=2, head_dim=12, attention_bias=True, mlp_bias=True,
                                          tie_word_embeddings=True, hidden_act="gelu", rope_theta=300.0)),
    "llama_linear": ("llama", common(num_key_value_heads=2, rope_parameters=scaled(rope_type="linear", factor=2.5))),
    "llama_dynamic": ("llama", common(num_key_value_heads=2, max_position_embeddings=16,
                                      rope_parameters=scaled(rope_type="dynamic", factor=3.0))),
    "llama3": ("llama", common(num_key_value_heads=1, head_dim=16, rope_parameters=scaled(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32))),
    "llama_yarn": ("llama", common(num_key_value_heads=2, head_dim=16, rope_parameters=scaled(
        rope_type="yarn", factor=4.0, beta_fast=2.0, beta_slow=1.0, original_max_position_embeddings=16))),
    "mistral": ("mistral", common(num_key_value_heads=2, sliding_window=7, head_dim=16)),
    "qwen2": ("qwen2", common(num_key_value_heads=2, tie_word_embeddings=True)),
    "qwen2_window": ("qwen2", common(num_key_value_heads=2, use_sliding_window=True, sliding_window=5,
                                     max_window_layers=0, rope_parameters=scaled(
                                         rope_type="yarn", factor=2.0, attention_factor=1.25,
                                         original_max_position_embeddings=32))),
    "gemma": ("gemma", common(num_key_value_heads=1, head_dim=16, hidden_act="gelu_pytorch_tanh")),
    "gpt2": ("gpt2", gpt()),
    "gpt2_unscaled": ("gpt2", gpt(scale_attn_weights=False, n_inner=40, activation_function="relu",
                                  tie_word_embeddings=False)),
    "gpt_neox": ("gpt_neox", common(layer_norm_eps=1e-5, rotary_pct=0.25, hidden_act="gelu")),
    "gpt_neox_sequential": ("gpt_neox", common(layer_norm_eps=1e-5, rotary_pct=1.0, use_parallel_residual=False,
                                               attention_bias=False, hidden_act="gelu_new")),
    "gpt_bigcode": ("gpt_bigcode", gpt(multi_query=True, n_inner=96)),
    "gpt_bigcode_heads": ("gpt_bigcode", gpt(multi_query=False)),
    "mpt": ("mpt", dict(vocab_size=VOCAB, d_model=32, n_heads=4, n_layers=2, max_seq_len=64,
                        attn_config=dict(clip_qkv=0.75))),  # alibi_bias_max is not read by this implementation
    "mpt_odd_heads": ("mpt", dict(vocab_size=VOCAB, d_model=48, n_heads=6, n_layers=2, max_seq_len=64,
                                  attn_config=dict(softmax_scale=0.3))),
    "phi": ("phi", common(layer_norm_eps=1e-5, partial_rotary_factor=0.5, hidden_act="gelu_new")),
    "phi_grouped": ("phi", common(num_key_value_heads=2, layer_norm_eps=1e-5, partial_rotary_factor=0.75,
                                  rope_parameters=scaled(rope_type="linear", factor=2.0,
                                                         partial_rotary_factor=0.75))),
}


def published_parameters(model):
    """Names as they stand in files: GPT-NeoX's head is renamed on the way."""
    for name, parameter in model.named_parameters():
        if model.config.model_type == "gpt_neox":
            name = name.replace("lm_head.", "embed_out.")
        yield name, parameter


def fill(model, norm_base):
    with torch.no_grad():
        for name, parameter in published_parameters(model):
            base, width = weight_rule(name, norm_base)
            values = base + width * uniform(name, parameter.numel())
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))


def numbers(tensor):
    return [float(f"{float(value):.9g}") for value in tensor.detach().reshape(-1)]


def golden(family, settings):
    config = transformers.AutoConfig.for_model(family, **settings)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    norm_base = 0.0 if family == "gemma" else 1.0
    fill(model, norm_base)
    tokens = (splitmix64(np.arange(TOKENS, dtype=np.uint64)) % np.uint64(VOCAB)).astype(np.int64)
    ids = torch.from_numpy(tokens)[None]
    out = model(ids)
    loss = torch.nn.functional.cross_entropy(out.logits[0, :-1], ids[0, 1:])
    loss.backward()
    gradients = {}
    for name, parameter in published_parameters(model):
        flat = parameter.grad.reshape(-1)
        picks = [0, len(flat) // 3, len(flat) * 2 // 3, len(flat) - 1]
        gradients[name] = numbers(flat.double().norm()) + numbers(flat[picks])
    return {
        "config": {"model_type": family} | settings,
        "norm_base": norm_base,
        "tokens": tokens.tolist(),
        "loss": numbers(loss)[0],
        "logits": {str(row): numbers(out.logits[0, row]) for row in (5, TOKENS - 1)},
        "gradients": gradients,
    }


def main():
    torch.set_num_threads(2)
    here = pathlib.Path(__file__).parent
    for name, (family, settings) in MODELS.items():
        lines = json.dumps(golden(family, settings), indent=0).replace(",\n", ", ").replace("\n", "")
        (here / f"{name}.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
