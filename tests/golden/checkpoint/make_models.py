"""A small random Llama as transformers, the gguf package and peft write it, and what transformers says of it.

Run: python make_models.py   (needs torch, transformers, peft, gguf)
Writes beside itself: hf/ (bf16 safetensors), model.gguf (the same weights in f16, query and key rows in GGUF's order),
adapter/ (peft), and expected.json (log-probabilities of a few tokens, with and without the adapter).
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

HERE = pathlib.Path(__file__).parent
IDS = [1, 7, 12, 30, 5, 5, 22, 38, 3, 19, 11, 2]
CONFIG = LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                     num_key_value_heads=1, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False,
                     bos_token_id=1, eos_token_id=2)


def randomise(parameters):
    """Values that bf16 and f16 both hold exactly."""
    for name, p in parameters:
        values = torch.randn_like(p) * 0.2 + (1.0 if name.endswith("norm.weight") else 0.0)
        values[values.abs() < 2.0 ** -9] = 0.0
        p.copy_(values.bfloat16().float())


def logps(model):
    logits = model(torch.tensor([IDS])).logits[0].double().log_softmax(-1)
    return [logits[i, IDS[i + 1]].item() for i in range(len(IDS) - 1)]


def ggml_rows(weight, heads):
    """Rotary pairs (i, i + half) of each head to (2i, 2i + 1)."""
    rows, cols = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def write_gguf(state):
    writer = gguf.GGUFWriter(HERE / "model.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(24)
    writer.add_block_count(2)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, value in state.items():
        array = value.float().numpy()
        if "q_proj" in name:
            array = ggml_rows(array, 2)
        if "k_proj" in name:
            array = ggml_rows(array, 1)
        array = array if array.ndim == 1 else array.astype(np.float16)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@torch.no_grad()
def main():
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIG).float().eval()
    randomise(model.named_parameters())
    expected = {"ids": IDS, "logps": logps(model)}
    write_gguf(model.state_dict())
    model.bfloat16().save_pretrained(HERE / "hf")
    # bfloat16() has rounded the rotary frequencies too: open the folder afresh.
    model = AutoModelForCausalLM.from_pretrained(HERE / "hf", dtype=torch.float32).eval()
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5,
                                               target_modules=["q_proj", "v_proj", "down_proj"],
                                                       rank_pattern={"v_proj": 2}, alpha_pattern={"layers.1.self_attn.q_proj": 4})).eval()
    randomise((n, p) for n, p in adapted.named_parameters() if "lora_" in n)
    expected["adapted_logps"] = logps(adapted)
    adapted.peft_config["default"].base_model_name_or_path = "../hf"
    adapted.save_pretrained(HERE / "adapter")
    (HERE / "adapter" / "README.md").unlink(missing_ok=True)
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
