"""What TRL makes of rows under the starter's tokenizer and template: token counts and a hash of all ids and masks, per method.

Run in an environment with torch, transformers, datasets and TRL 1.16, from the repository's root:
    python tests/golden/data/make_trl_rows.py
The rows are starter/pairs.jsonl and trl_pairs.jsonl, which this writes first: texts with edges, blanks, other scripts and many turns
of length. It writes trl_rows.json beside itself.
"""
import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

datasets.disable_progress_bars()
torch.set_num_threads(2)
MASK = (1 << 64) - 1
HERE = pathlib.Path(__file__).parent
STARTER = HERE.parent.parent.parent / "starter"


def awkward_pairs():
    """Texts that a tokenizer's edges show in: blanks around them, line ends, other scripts, nothing but marks, long ones."""
    draw = random.Random(7)
    words = ["bread", "Straße", "naïve", "Москва", "東京", "مرحبا", "नमस्ते", "🙂", "👩‍👩‍👧", "e\u0301", "x", "1234567", "don't", "I'll", "...", "\t", "\n", "  ", "\u00a0", "{{", "<b>"]
    text = lambda most: " ".join(draw.choice(words) for _ in range(draw.randint(1, most)))
    edges = ["", " ", "\n", "  \n", "\t", "\n\n"]
    for i in range(120):
        most = 400 if i % 10 == 0 else 30
        prompt, chosen, rejected = (draw.choice(edges) + text(most) + "." + draw.choice(edges) for _ in range(3))
        yield {"id": f"awkward-{i}", "prompt": prompt, "chosen": chosen, "rejected": rejected}


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


def main():
    folder = STARTER / "model"
    (HERE / "trl_pairs.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in awkward_pairs()))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    config.num_hidden_layers = 1
    model = lambda: AutoModelForCausalLM.from_config(config)
    common = dict(output_dir="/tmp/trl_golden", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False,
                  per_device_train_batch_size=2, max_steps=1)
    load = lambda path: [json.loads(line) for line in open(path)]
    pairs = load(STARTER / "pairs.jsonl") + load(HERE / "trl_pairs.jsonl")
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
    judged = [{"prompt": user(r["prompt"]), "completion": said(r[key]), "label": key == "chosen"} for r in pairs for key in ("chosen", "rejected")]
    result = {
        "sft_chat_1024": sft(chats, 1024), "sft_chat_24": sft(chats, 24), "sft_raw_1024": sft(plain, 1024),
        "sft_text_1024": sft([{"text": r["chosen"]} for r in pairs], 1024),
        "dpo_chat_1024": dpo(chat_pairs, 1024), "dpo_chat_40": dpo(chat_pairs, 40), "dpo_raw_1024": dpo(plain_pairs, 1024),
        "kto_chat_1024": kto(judged, 1024),
    }
    (HERE / "trl_rows.json").write_text("{" + ",\n ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in result.items()) + "}\n")


main()
