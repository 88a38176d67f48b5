"""Every kind of adapter as peft writes it, over tiny random models, and what transformers and peft say of each.

Run: python make_adapters.py   (needs torch, transformers, peft 0.21; make_models.py first, its hf/ is one of the bases)
Writes adapters/: the bases tied/ and gpt2/, a folder per kind, after.safetensors in those that were trained for one step of
plain gradient descent on the sum of the negative log-probabilities, and expected.json.
"""
import json
import pathlib
import shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

HERE = pathlib.Path(__file__).parent / "adapters"
IDS = [1, 7, 12, 30, 5, 5, 22, 38, 3, 19, 11, 2]
RATE = 0.01
LINEAR = ["q_proj", "v_proj", "down_proj"]

# name, base, rows of a resized vocabulary or None, what LoraConfig is given, whether a step is trained
KINDS = [
    ("head", "hf", None, {"target_modules": ["lm_head", "q_proj"]}, True),
    ("head_tied", "tied", None, {"target_modules": ["lm_head"]}, True),
    ("embed", "hf", None, {"target_modules": ["embed_tokens", "v_proj"]}, True),
    ("embed_tied", "tied", None, {"target_modules": ["embed_tokens"]}, True),
    ("embed_gpt2", "gpt2", None, {"target_modules": ["wte", "c_attn"], "fan_in_fan_out": True}, False),
    ("grown", "hf", 42, {"target_modules": ["q_proj"]}, False),
    ("grown_tied", "tied", 43, {"target_modules": ["q_proj"]}, False),
    ("shrunk", "hf", 39, {"target_modules": ["q_proj"]}, False),
    ("grown_lora", "hf", 42, {"target_modules": ["embed_tokens", "lm_head"]}, False),
    ("grown_saved", "hf", 42, {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}, True),
    ("saved", "hf", None, {"target_modules": ["q_proj"], "modules_to_save": ["norm", "o_proj", "lm_head"]}, True),
    ("saved_tied", "tied", None, {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, True),
    ("saved_tied_head", "tied", None, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False),
    ("saved_gpt2", "gpt2", None, {"target_modules": ["c_attn"], "modules_to_save": ["mlp.c_fc", "ln_f"], "fan_in_fan_out": True}, True),
    ("saved_mlp", "hf", None, {"target_modules": ["q_proj", "down_proj"], "modules_to_save": ["layers.1.mlp"]}, False),
    ("rows", "hf", None, {"target_modules": ["q_proj"], "trainable_token_indices": [5, 3, 30]}, True),
    ("rows_both", "hf", None, {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [5, 6], "lm_head": [7, 30]}}, True),
    ("rows_tied", "tied", None, {"target_modules": ["q_proj"], "trainable_token_indices": [5, 7, 8]}, True),
    ("rows_grown", "tied", 42, {"target_modules": ["q_proj"], "trainable_token_indices": [40, 41, 5]}, False),
    ("rows_grown_untied", "hf", 42, {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [40, 41, 5], "lm_head": [40, 41, 5]}}, False),
    ("dora", "hf", None, {"target_modules": LINEAR, "use_dora": True}, True),
    ("dora_head", "hf", None, {"target_modules": ["embed_tokens", "lm_head", "o_proj"], "use_dora": True}, True),
    ("dora_gpt2", "gpt2", None, {"target_modules": ["c_attn", "mlp.c_proj"], "use_dora": True, "fan_in_fan_out": True}, True),
    ("patterns", "hf", None, {"target_modules": LINEAR + ["k_proj"], "use_rslora": True,
                              "rank_pattern": {r"layers\.1\..*\.(q|k)_proj": 2, "v_proj": 5},
                              "alpha_pattern": {r"model.layers.0.self_attn.q_proj": 7, ".*down_proj": 3}}, True),
    ("regex", "hf", None, {"target_modules": r"model\.layers\.\d+\.(self_attn\.[qk]|mlp\.up)_proj", "exclude_modules": r".*1\.mlp.*"}, False),
    ("layers", "hf", None, {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": [1], "layers_pattern": "layers"}, False),
    ("layer", "hf", None, {"target_modules": ["q_proj", "up_proj"], "layers_to_transform": 0}, False),
    ("all_linear", "hf", None, {"target_modules": "all-linear", "exclude_modules": ["k_proj"]}, False),
    ("bias_all", "gpt2", None, {"target_modules": ["c_attn"], "bias": "all", "fan_in_fan_out": True}, True),
    ("bias_only", "gpt2", None, {"target_modules": ["c_attn"], "bias": "lora_only", "fan_in_fan_out": True}, True),
    ("lora_bias", "gpt2", None, {"target_modules": ["c_attn", "c_fc"], "lora_bias": True, "fan_in_fan_out": True}, True),
    ("lora_bias_none", "hf", None, {"target_modules": ["q_proj"], "lora_bias": True}, True),
]


def randomise(parameters):
    for name, p in parameters:
        p.data = torch.randn_like(p) * 0.2 + (1.0 if "norm" in name and name.endswith("weight") else 0.0)


def logps(model):
    logits = model(torch.tensor([IDS])).logits[0].double().log_softmax(-1)
    return [logits[i, IDS[i + 1]] for i in range(len(IDS) - 1)]


def numbers(values):
    return [round(value.item(), 7) for value in values]


def make_bases():
    tied = LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                       num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)
    gpt2 = GPT2Config(vocab_size=40, n_embd=16, n_inner=24, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    for name, config in [("tied", tied), ("gpt2", gpt2)]:
        model = AutoModelForCausalLM.from_config(config).float().eval()
        randomise(model.named_parameters())
        model.save_pretrained(HERE / name)
        (HERE / name / "generation_config.json").unlink(missing_ok=True)


def open_base(base, rows):
    folder = HERE.parent / "hf" if base == "hf" else HERE / base
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
    return model


def save(adapted, folder, base):
    adapted.peft_config["default"].base_model_name_or_path = str(HERE.parent / "hf" if base == "hf" else HERE / base)
    adapted.save_pretrained(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../../hf" if base == "hf" else f"../{base}"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    (folder / "README.md").unlink(missing_ok=True)


def make(name, base, rows, options, step):
    torch.manual_seed(sum(name.encode()))
    settings = {"task_type": "CAUSAL_LM", "r": 3, "lora_alpha": 5} | options
    adapted = get_peft_model(open_base(base, rows), LoraConfig(**settings)).eval()
    randomise((n, p) for n, p in adapted.named_parameters() if p.requires_grad and "magnitude" not in n)
    if rows:
        randomise([("embedding", adapted.get_base_model().get_input_embeddings().weight)] if name in ("grown", "grown_tied") else [])
    for n, p in adapted.named_parameters():
        if "magnitude" in n:
            p.data = p.data * (1 + 0.3 * torch.rand_like(p))
    values = logps(adapted)
    expected = {"base": base, "logps": numbers(values)}
    save(adapted, HERE / name, base)
    fresh = PeftModel.from_pretrained(open_base(base, rows), HERE / name).eval()
    expected["peft_opens"] = max(abs(a - b).item() for a, b in zip(logps(fresh), values)) < 1e-5
    if step:
        (-sum(logps(adapted))).backward()
        with torch.no_grad():
            for p in adapted.parameters():
                if p.requires_grad:
                    p -= RATE * p.grad
        scratch = HERE / "scratch"
        save(adapted, scratch, base)
        tensors = load_file(scratch / "adapter_model.safetensors")
        same = load_file(HERE / name / "adapter_model.safetensors")
        save_file({n: t for n, t in tensors.items() if not torch.equal(t, same[n])}, HERE / name / "after.safetensors")
        shutil.rmtree(scratch)
        expected["after"] = numbers(logps(adapted))
    return expected


def make_other_files(expected):
    """The same adapter in torch.save's formats and with names as other tools leave them."""
    tensors = load_file(HERE / "saved" / "adapter_model.safetensors")
    def folder(name):
        shutil.copytree(HERE / "saved", HERE / name, ignore=lambda *_: ["adapter_model.safetensors", "after.safetensors"])
        expected[name] = {k: v for k, v in expected["saved"].items() if k != "after"}
        return HERE / name
    some = {n: (t.T.contiguous().T if t.ndim == 2 else t) for n, t in tensors.items()}  # not contiguous
    torch.save(some, folder("zip") / "adapter_model.bin")
    torch.save({n: t.half() if "q_proj" in n else t for n, t in tensors.items()}, folder("legacy") / "adapter_model.bin",
               _use_new_zipfile_serialization=False)
    expected["legacy"].pop("logps")
    def renamed(n):
        if ".lora_" in n:
            return n.replace(".weight", ".default.weight")
        module, _, part = n.rpartition(".")
        return f"{module}.modules_to_save.default.{part}"
    save_file({renamed(n): t for n, t in tensors.items()}, folder("default_names") / "adapter_model.safetensors")
    save_file({n.removeprefix("base_model.model."): t for n, t in tensors.items()}, folder("bare_names") / "adapter_model.safetensors")


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    torch.manual_seed(5)
    make_bases()
    expected = {}
    for kind in KINDS:
        expected[kind[0]] = make(*kind)
        print(kind[0], expected[kind[0]]["peft_opens"], flush=True)
    make_other_files(expected)
    (HERE / "expected.json").write_text(json.dumps({"ids": IDS, "rate": RATE, "kinds": expected}, indent=1) + "\n")


main()
