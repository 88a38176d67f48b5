"""Adapters that fettle trains, in peft and llama.cpp: one command, a table, exit status 1 when a row fails.

    python3 tests/peers/adapters.py [--env DIR] [--fettle build/fettle] [--only WORD]

A tiny random model with a byte-level tokenizer is trained with every kind of adapter; peft opens what was written over the
same base (grown where tokens were added), llama.cpp the exported GGUF, and each gives the log-probabilities of one text.
Kinds as peft writes them are compared by the project's own tests (tests/golden/checkpoint/make_adapters.py).
"""
import argparse
import json
import pathlib
import sys
import tempfile

from checkpoints import Fettle, LlamaCpp, Table, difference, enter_environment

TEXT = "<note> the river rises </note> in the hills"
KINDS = {
    "head and embedding": {"adapter": {"rank": 4, "targets": ["lm_head", "embed_tokens"]}},
    "whole modules": {"adapter": {"rank": 4, "targets": ["q_proj"], "modules_to_save": ["norm", "o_proj"]}},
    "DoRA": {"adapter": {"rank": 4, "targets": ["all-linear"], "dora": True}},
    "patterns, rsLoRA": {"adapter": {"rank": 4, "rslora": True, "target_pattern": r".*\.1\..*_proj", "rank_pattern": {"q_proj": 2}, "alpha_pattern": {".*up_proj": 5}}},
    "new tokens": {"adapter": {"rank": 4}, "tokens": {"add": ["<note>", "</note>"]}},
    "new tokens, whole embedding": {"adapter": {"rank": 4, "modules_to_save": ["embed_tokens", "lm_head"]}, "tokens": {"add": ["<note>", "</note>"], "init": "random"}},
    "new tokens, all weights": {"tokens": {"add": ["<note>", "</note>"]}},
}


def make_base(folder, tied):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    torch.manual_seed(1)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    wrapped.chat_template = "{% for message in messages %}{{ message['content'] }}<|end|>{% endfor %}"
    config = LlamaConfig(vocab_size=len(wrapped), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=tied, bos_token_id=None,
                         eos_token_id=wrapped.eos_token_id)
    model = AutoModelForCausalLM.from_config(config).float()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)


def peft_logps(base, adapter, ids, rows):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    if (adapter / "adapter_config.json").exists():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if model.get_input_embeddings().weight.shape[0] != rows:
            model.resize_token_embeddings(rows)
        model = PeftModel.from_pretrained(model, adapter)
    else:
        model = AutoModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return [logits[i, ids[i + 1]].item() for i in range(len(ids) - 1)]


def fettle_logps(fettle, model, ids):
    first, rest = TEXT[:6], TEXT[6:]
    row = json.dumps({"prompt": first, "completion": rest}) + "\n"
    logps = json.loads(fettle.run("score", "--model", model, "--raw", "--per-token", text=row))["logps"]
    return logps, len(ids) - 1 - len(logps)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=pathlib.Path, default=pathlib.Path("build-peers"))
    parser.add_argument("--fettle", type=pathlib.Path, default=pathlib.Path("build/fettle"))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    enter_environment(arguments.env.absolute())
    table = Table(arguments.only)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        fettle = Fettle(arguments.fettle.absolute(), folder)
        (folder / "rows.jsonl").write_text("".join(
            json.dumps({"prompt": f"say {i}", "completion": f"<note>{i}</note> the river"}) + "\n" for i in range(8)))
        for tied in (False, True):
            base = folder / ("tied" if tied else "untied")
            make_base(base, tied)
            for number, (kind, options) in enumerate(KINDS.items()):
                name = f"{kind}, {base.name}"
                if not table.wants(name):
                    continue
                try:
                    out = folder / f"{base.name}{number}"
                    config = {"method": "sft", "model": str(base), "data": str(folder / "rows.jsonl"), "out": str(out), "steps": 8,
                              "batch_size": 4, "learning_rate": 0.01, "max_length": 64, "dtype": "f32"} | options
                    (folder / "train.yaml").write_text(json.dumps(config))
                    fettle.run("train", folder / "train.yaml")
                    ids = json.loads(fettle.run("tokenize", "--model", out, text=json.dumps({"text": TEXT}) + "\n"))
                    rows = json.loads(fettle.run("info", out, "--json"))["vocab_size"]
                    ours, skip = fettle_logps(fettle, out, ids)
                    table.row(f"{name}: peft", difference(ours, peft_logps(base, out, ids, rows)[skip:]), 1e-4)
                    merged = fettle.export(out, "gguf", "f32", f"{out.name}.gguf")
                    with LlamaCpp(merged) as llama:
                        table.row(f"{name}: llama.cpp", difference(ours, llama.logps(ids, skip + 1)), 1e-3)
                except Exception as error:
                    table.error(name, error)
    sys.exit(table.failed > 0)


main()
