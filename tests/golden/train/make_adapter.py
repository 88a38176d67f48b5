"""A PEFT LoRA folder with random A and B (B not zero, so that the first step already tells adapters apart).

How it is run: python make_adapter.py --model HF_DIR --output DIR   (needs torch, transformers, peft)
"""
import argparse
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--output", required=True)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--alpha", type=int, default=32)
arguments = parser.parse_args()

torch.manual_seed(7)
model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
linears = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=arguments.rank, lora_alpha=arguments.alpha, lora_dropout=0.0,
                                         task_type="CAUSAL_LM", target_modules=linears))
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.normal_(0.0, 0.01)
model.save_pretrained(arguments.output)
