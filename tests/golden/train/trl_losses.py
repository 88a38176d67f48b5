"""Per-step losses of TRL, the oracle of trl_parity.py: one JSON object on standard output.

How it is run: python trl_losses.py --model HF_DIR --data PAIRS.jsonl --method sft|sft_lora|dpo|dpo_lora [--adapter DIR]
Needs torch, transformers, peft and trl 1.16 in an environment of its own. The rows of a step are taken one at a time and
accumulated, with activations recomputed: the same step as one batch of --batch rows, in a fifth of the memory.
"""
import argparse
import json
import os
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from torch.utils.data import SequentialSampler
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--method", required=True, choices=["sft", "sft_lora", "dpo", "dpo_lora"])
parser.add_argument("--adapter", help="PEFT folder to start from, for the _lora methods")
parser.add_argument("--rows", type=int, default=32)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--max-length", type=int, default=1024)
parser.add_argument("--learning-rate", type=float, default=1e-5)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--shuffle", action="store_true", help="TRL's own order, seed 42")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)

with open(arguments.data) as lines:
    rows = [json.loads(line) for line, _ in zip(lines, range(arguments.rows))]


def text(value):
    return value if isinstance(value, str) else value[-1]["content"]


def turn(role, value):
    return [{"role": role, "content": text(value)}]


tokenizer = AutoTokenizer.from_pretrained(arguments.model)
model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
if arguments.method.endswith("_lora"):
    model = PeftModel.from_pretrained(model, arguments.adapter, is_trainable=True)

supervised = arguments.method.startswith("sft")
base = SFTTrainer if supervised else DPOTrainer


class InOrder(base):
    def _get_train_sampler(self, *args, **kwargs):
        return SequentialSampler(self.train_dataset)


options = dict(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=1, gradient_accumulation_steps=arguments.batch,
               max_steps=arguments.rows // arguments.batch, learning_rate=arguments.learning_rate, logging_steps=1,
               save_strategy="no", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=True,
               max_length=arguments.max_length)
trainer_class = base if arguments.shuffle else InOrder
if supervised:
    data = [{"prompt": turn("user", r["prompt"]), "completion": turn("assistant", r["chosen"])} for r in rows]
    trainer = trainer_class(model=model, args=SFTConfig(**options), train_dataset=Dataset.from_list(data), processing_class=tokenizer)
else:
    data = [{"prompt": turn("user", r["prompt"]), "chosen": turn("assistant", r["chosen"]),
             "rejected": turn("assistant", r["rejected"])} for r in rows]
    trainer = trainer_class(model=model, args=DPOConfig(beta=0.1, **options), train_dataset=Dataset.from_list(data), processing_class=tokenizer)

start = time.time()
trainer.train()
log = [entry for entry in trainer.state.log_history if "loss" in entry]
columns = {"loss": "losses", "grad_norm": "grad_norms", "learning_rate": "learning_rates", "rewards/margins": "reward_margins",
           "rewards/accuracies": "reward_accuracies", "logps/chosen": "logps_chosen", "logps/rejected": "logps_rejected"}
result = {"method": arguments.method, "rows_used": len(trainer.train_dataset), "seconds": time.time() - start}
for key, name in columns.items():
    if key in log[0]:
        result[name] = [entry[key] for entry in log]
print(json.dumps(result))
