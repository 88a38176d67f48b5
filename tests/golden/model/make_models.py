"""Small models of every family, run by the published implementation: logits and gradients for the tests of src/model.

Run from the repository root in an environment with torch, transformers 5.23 and peft 0.21 (CPU is enough):
    python tests/golden/model/make_models.py [NAME…]
It rewrites the .json files beside it. Weights are not stored: both sides compute element i of the tensor `name` as
    base + width * u,   u = (splitmix64(fnv1a64(name) + i) >> 40) * 2^-23 - 1
with base and width as in `weight_rule`.
"""
import json
import pathlib
import sys

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


def gemma3(**extra):
    settings = common(num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, pad_token_id=0,
                      tie_word_embeddings=True)
    return settings | extra


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
    "qwen2_some_windows": ("qwen2", common(num_hidden_layers=3, num_key_value_heads=2, use_sliding_window=True,
                                           sliding_window=5, max_window_layers=2)),
    "qwen3": ("qwen3", common(num_key_value_heads=2, head_dim=16, rope_parameters=scaled(rope_type="default"))),
    "qwen3_all_options": ("qwen3", common(num_hidden_layers=3, num_key_value_heads=1, head_dim=12, attention_bias=True,
                                          tie_word_embeddings=True, use_sliding_window=True, sliding_window=6,
                                          layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
    "gemma3": ("gemma3_text", gemma3(num_hidden_layers=7, sliding_window=5)),
    "gemma3_all_options": ("gemma3_text", gemma3(
        num_hidden_layers=3, sliding_window=3, sliding_window_pattern=2, query_pre_attn_scalar=20, attention_bias=True,
        tie_word_embeddings=False, hidden_activation="gelu", rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})),
    "mixtral": ("mixtral", common(num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
                                  output_router_logits=True, router_aux_loss_coef=0.5)),
    "mixtral_window": ("mixtral", common(num_hidden_layers=3, num_key_value_heads=1, num_local_experts=5,
                                         num_experts_per_tok=3, sliding_window=4, tie_word_embeddings=True,
                                         head_dim=16, hidden_act="gelu")),
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


# Beside which modules LoRA is tried, and how.
LORA = {name: dict(rank=3, alpha=6.0, targets=targets) for name, targets in {
    "llama": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
    "qwen3": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"],
    "gemma3": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "down_proj"],
    "mixtral": ["q_proj", "k_proj", "v_proj", "o_proj"],
}.items()}


def published_parameters(model):
    """Names as they stand in files, the parameter, and its part that has the name: GPT-NeoX's head is renamed on the way,
    and Mixtral's experts are stacked."""
    for name, parameter in model.named_parameters():
        if model.config.model_type == "gpt_neox":
            name = name.replace("lm_head.", "embed_out.")
        if model.config.model_type != "mixtral" or ".mlp." not in name:
            yield name, parameter, slice(None)
            continue
        layer, _, rest = name.partition(".mlp.")
        if rest == "gate.weight":
            yield f"{layer}.block_sparse_moe.gate.weight", parameter, slice(None)
            continue
        half = parameter.shape[1] // 2
        parts = {"w2": slice(None)} if rest == "experts.down_proj" else {"w1": slice(half), "w3": slice(half, None)}
        for expert in range(parameter.shape[0]):
            for part, rows in parts.items():
                yield f"{layer}.block_sparse_moe.experts.{expert}.{part}.weight", parameter, (expert, rows)


def fill(model, norm_base):
    with torch.no_grad():
        for name, parameter, place in published_parameters(model):
            base, width = weight_rule(name, norm_base)
            part = parameter[place]
            values = base + width * uniform(name, part.numel())
            part.copy_(torch.from_numpy(values.astype(np.float32)).reshape(part.shape))


def numbers(tensor):
    return [float(f"{float(value):.9g}") for value in tensor.detach().reshape(-1)]


def golden(family, settings):
    config = transformers.AutoConfig.for_model(family, **settings)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    norm_base = 0.0 if family in ("gemma", "gemma3_text") else 1.0
    fill(model, norm_base)
    tokens = (splitmix64(np.arange(TOKENS, dtype=np.uint64)) % np.uint64(VOCAB)).astype(np.int64)
    ids = torch.from_numpy(tokens)[None]
    out = model(ids)
    loss = torch.nn.functional.cross_entropy(out.logits[0, :-1], ids[0, 1:])
    router_loss = getattr(out, "aux_loss", None)
    total = loss if router_loss is None else loss + config.router_aux_loss_coef * router_loss
    total.backward()
    gradients = {}
    for name, parameter, place in published_parameters(model):
        flat = parameter.grad[place].reshape(-1)
        picks = [0, len(flat) // 3, len(flat) * 2 // 3, len(flat) - 1]
        gradients[name] = numbers(flat.double().norm()) + numbers(flat[picks])
    return {
        "config": {"model_type": family} | settings,
        "norm_base": norm_base,
        "tokens": tokens.tolist(),
        "loss": numbers(loss)[0],
    } | ({} if router_loss is None else {"router_loss": numbers(router_loss)[0]}) | {
        "logits": {str(row): numbers(out.logits[0, row]) for row in (5, TOKENS - 1)},
        "gradients": gradients,
    }


def lora_golden(family, settings, tokens, rank, alpha, targets):
    """Loss and gradients of LoRA's matrices, which are filled by the rule of the weights."""
    from peft import LoraConfig, get_peft_model

    config = transformers.AutoConfig.for_model(family, **settings)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config)
    fill(model, 0.0 if family in ("gemma", "gemma3_text") else 1.0)
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)).eval()
    matrices = {}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            matrices[name.removeprefix("base_model.model.").replace(".default.", ".")] = parameter
    with torch.no_grad():
        for name, parameter in matrices.items():
            values = 0.375 * uniform(name, parameter.numel())
            parameter.copy_(torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape))
    ids = torch.from_numpy(tokens)[None]
    loss = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:])
    loss.backward()
    gradients = {}
    for name, parameter in matrices.items():
        flat = parameter.grad.reshape(-1)
        picks = [0, len(flat) // 3, len(flat) * 2 // 3, len(flat) - 1]
        gradients[name] = numbers(flat.double().norm()) + numbers(flat[picks])
    return dict(rank=rank, alpha=alpha, targets=targets, loss=numbers(loss)[0], gradients=gradients)


def main():
    torch.set_num_threads(2)
    here = pathlib.Path(__file__).parent
    wanted = sys.argv[1:]
    for name, (family, settings) in MODELS.items():
        if wanted and name not in wanted:
            continue
        result = golden(family, settings)
        if name in LORA:
            result["lora"] = lora_golden(family, settings, np.array(result["tokens"]), **LORA[name])
        lines = json.dumps(result, indent=0).replace(",\n", ", ").replace("\n", "")
        (here / f"{name}.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
