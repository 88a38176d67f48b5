"""What TRL makes of real rows: token counts and a hash of all ids and masks, per method.

Run in an environment with torch, transformers, datasets and TRL 1.16, from the repository's root:
    python tests/golden/data/make_trl_rows.py SMOLLM2_FOLDER SHARED_DATA_FOLDER > tests/golden/data/trl_rows.json
SMOLLM2_FOLDER is SmolLM2-135M-Instruct as a Hugging Face folder; only its tokenizer and config matter.
"""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

datasets.disable_progress_bars()
torch.set_num_threads(2)
MASK = (1 << 64) - 1


def fnv(values, state):
    """FNV-1a over each value as 4 little-endian bytes."""
    for value in values:
        for shift in (0, 8, 16, 24):
            state = ((state ^ ((value >> shift) & 255)) * 0x100000001B3) & MASK
    return state


def summary(rows):
    """rows: (ids, supervised count, lists to hash)."""
    state, tokens, supervised, per_row = 0xCBF29CE484222325, 0, 0, []
    for count, learnt, lists in rows:
        tokens += count
        supervised += learnt
        per_row.append([count, learnt])
        for values in lists:
            state = fnv([len(values)] + list(values), state)
    return {"rows": len(per_row), "tokens": tokens, "supervised": supervised, "fnv1a": f"{state:016x}", "first": per_row[:20]}


def main(folder, shared):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    config.num_hidden_layers, config.hidden_size, config.intermediate_size = 1, 18, 18
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 9, 3, 2
    model = lambda: AutoModelForCausalLM.from_config(config)
    common = dict(output_dir="/tmp/trl_golden", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False,
                  per_device_train_batch_size=2, max_steps=1)
    load = lambda name: [json.loads(line) for line in open(f"{shared}/{name}")]
    pairs = load("conversations/ultrafeedback_pairs_train.jsonl") + load("conversations/ultrafeedback_pairs_eval.jsonl")
    pairs = [row for row in pairs if row["chosen"].strip() and row["rejected"].strip()]  # fettle rejects rows with empty answers
    user = lambda text: [{"role": "user", "content": text}]
    said = lambda text: [{"role": "assistant", "content": text}]

    def sft(rows, limit):
        trainer = SFTTrainer(model=model(), args=SFTConfig(max_length=limit, **common), processing_class=tokenizer,
                             train_dataset=datasets.Dataset.from_list(rows))
        made = []
        for row in trainer.train_dataset:
            mask = [int(label != -100) for label in row["labels"]]
            mask[0] = 0  # nothing stands before the first token
            made.append((len(mask), sum(mask), [row["input_ids"], mask]))
        return summary(made)

    def dpo(rows, limit):
        trainer = DPOTrainer(model=model(), args=DPOConfig(max_length=limit, **common), processing_class=tokenizer,
                             train_dataset=datasets.Dataset.from_list(rows))
        made = []
        for row in trainer.train_dataset:
            prompt = row["prompt_ids"]
            chosen, rejected = (row[key][: limit - len(prompt)] for key in ("chosen_ids", "rejected_ids"))
            made.append((len(prompt) + len(chosen) + len(rejected), len(chosen) + len(rejected), [prompt, chosen, rejected]))
        return summary(made)

    def kto(rows, limit):
        trainer = KTOTrainer(model=model(), args=KTOConfig(max_length=limit, **common), processing_class=tokenizer,
                             train_dataset=datasets.Dataset.from_list(rows))
        made = []
        for row in trainer.train_dataset:
            prompt = row["prompt_ids"]
            completion = row["completion_ids"][: limit - len(prompt)]
            made.append((len(prompt) + len(completion), len(completion), [prompt, completion, [int(row["label"])]]))
        return summary(made)

    chats = [{"prompt": user(r["prompt"]), "completion": said(r["chosen"])} for r in pairs]
    chat_pairs = [{"prompt": user(r["prompt"]), "chosen": said(r["chosen"]), "rejected": said(r["rejected"])} for r in pairs]
    plain = [{"prompt": r["prompt"], "completion": r["chosen"]} for r in pairs]
    plain_pairs = [{key: r[key] for key in ("prompt", "chosen", "rejected")} for r in pairs]
    judged = [{"prompt": r["messages"][:-1], "completion": r["messages"][-1:], "label": r["label"]}
              for r in json.load(open(f"{shared}/conversations/kto_en_demo.json"))]
    result = {
        "sft_chat_1024": sft(chats, 1024), "sft_chat_256": sft(chats, 256), "sft_raw_1024": sft(plain, 1024),
        "sft_text_1024": sft([{"text": r["text"]} for r in load("text/c4_demo.jsonl")], 1024),
        "dpo_chat_1024": dpo(chat_pairs, 1024), "dpo_chat_256": dpo(chat_pairs, 256), "dpo_raw_1024": dpo(plain_pairs, 1024),
        "kto_chat_1024": kto(judged, 1024),
    }
    print("{" + ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in result.items()) + "}")


main(*sys.argv[1:])
