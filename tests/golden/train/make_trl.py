"""A tiny chat model, an adapter, rows, and what TRL 1.16 makes of them: losses and gradient norms of every step.

Run from the repository root in an environment with torch, transformers 5.23, trl 1.16, peft 0.21 and datasets:
    python tests/golden/train/make_trl.py
It rewrites model/, adapter/, rows.jsonl and expected.json beside it. f32, batch 4, rows in their order, AdamW, a rate that falls
linearly to 0, clip 1.0, loss on the completion.
"""
import json
import pathlib
import random
import shutil
import tempfile

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

HERE = pathlib.Path(__file__).resolve().parent
TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STEPS, BATCH, MAX_LENGTH = 8, 4, 96
CASES = {
    "sft": {}, "sft_lora": {}, "dpo": {}, "dpo_lora": {}, "ipo": {"loss_type": "ipo"},
    "apo_zero": {"loss_type": "apo_zero"}, "apo_down": {"loss_type": "apo_down"},
}


def make_model():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    # A padding token of its own: torch gives the embedding of the padding token no gradient, also where it ends a turn.
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|pad|>")
    fast.chat_template = TEMPLATE
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(fast), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
                                         tie_word_embeddings=True, initializer_range=0.3, bos_token_id=None,
                                         eos_token_id=fast.eos_token_id, pad_token_id=fast.pad_token_id))
    model.save_pretrained(HERE / "model")
    fast.save_pretrained(HERE / "model")
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=TARGETS))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.peft_config["default"].base_model_name_or_path = "model"
    adapted.save_pretrained(HERE / "adapter")
    (HERE / "adapter/README.md").unlink(missing_ok=True)


def make_rows():
    draw = random.Random(3)
    word = lambda: draw.choice(["iron", "sand", "mould", "casting", "core", "ladle", "Gießen", "file it", "cool", "pour", "é"])
    answer = lambda: " ".join(word() for _ in range(draw.randint(1, 9)))
    rows = [{"prompt": f"What is {word()} to {word()}?", "chosen": answer(), "rejected": answer()} for _ in range(16)]
    (HERE / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return rows


def run(case, rows):
    tokenizer = AutoTokenizer.from_pretrained(HERE / "model")
    model = AutoModelForCausalLM.from_pretrained(HERE / "model", dtype=torch.float32)
    if case.endswith("lora"):
        model = PeftModel.from_pretrained(model, HERE / "adapter", is_trainable=True)
    base = SFTTrainer if case.startswith("sft") else DPOTrainer

    class InOrder(base):
        def _get_train_sampler(self, *_, **__):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    turn = lambda role, text: [{"role": role, "content": text}]
    settings = dict(output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, max_steps=STEPS, learning_rate=3e-3, logging_steps=1,
                    save_strategy="no", report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, max_length=MAX_LENGTH)
    if base is SFTTrainer:
        data = [{"prompt": turn("user", r["prompt"]), "completion": turn("assistant", r["chosen"])} for r in rows]
        args = SFTConfig(**settings)
    else:
        data = [{"prompt": turn("user", r["prompt"]), "chosen": turn("assistant", r["chosen"]),
                 "rejected": turn("assistant", r["rejected"])} for r in rows]
        args = DPOConfig(beta=0.1, **settings, **CASES[case])
    trainer = InOrder(model=model, args=args, train_dataset=Dataset.from_list(data), processing_class=tokenizer)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    shutil.rmtree(settings["output_dir"], ignore_errors=True)
    result = {"loss": [e["loss"] for e in history], "grad_norm": [e["grad_norm"] for e in history]}
    for ours, theirs in (("reward_chosen", "rewards/chosen"), ("reward_accuracy", "rewards/accuracies")):
        if theirs in history[0]:
            result[ours] = [e[theirs] for e in history]
    return result


if __name__ == "__main__":
    make_model()
    all_rows = make_rows()
    expected = {case: run(case, all_rows) for case in CASES}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
