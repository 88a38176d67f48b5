"""Adapters in fettle, peft and llama.cpp: one command, a table, exit status 1 when a row fails.

    python3 tests/peers/adapters.py [--env DIR] [--fettle build/fettle] [--only WORD]

A tiny random model with a byte-level tokenizer is trained with every kind of adapter; peft opens what was written over the
same base (grown where tokens were added), llama.cpp the exported GGUF and, where a GGUF can hold it, the adapter alone. Then
peft writes adapters of its own and fettle opens them. Each gives the log-probabilities of one text; differences are relative
to them. Many more kinds as peft writes them are compared by the project's own tests (tests/golden/checkpoint/make_adapters.py).
"""
import argparse
import json
import pathlib
import sys
import tempfile
import warnings

from checkpoints import Fettle, LlamaCpp, Table, enter_environment

TEXT = "<note> the river rises </note> in the hills"
PEFT, LLAMA_CPP = 1e-5, 1e-4
KINDS = {
    "LoRA": {"adapter": {"rank": 4, "alpha": 6}},
    "embedding": {"adapter": {"rank": 4, "targets": ["embed_tokens", "q_proj"]}},
    "head and embedding": {"adapter": {"rank": 4, "targets": ["lm_head", "embed_tokens"]}},
    "whole modules": {"adapter": {"rank": 4, "targets": ["q_proj"], "modules_to_save": ["norm", "o_proj"]}},
    "DoRA": {"adapter": {"rank": 4, "targets": ["all-linear"], "dora": True}},
    "patterns, rsLoRA": {"adapter": {"rank": 4, "rslora": True, "target_pattern": r".*\.1\..*_proj", "rank_pattern": {"q_proj": 2}, "alpha_pattern": {".*up_proj": 5}}},
    "new tokens": {"adapter": {"rank": 4}, "tokens": {"add": ["<note>", "</note>"]}},
    "new tokens, whole embedding": {"adapter": {"rank": 4, "modules_to_save": ["embed_tokens", "lm_head"]}, "tokens": {"add": ["<note>", "</note>"], "init": "random"}},
    "new tokens, all weights": {"tokens": {"add": ["<note>", "</note>"]}},
}
# What a GGUF of the adapter alone has no place for, as the error names it.
NOT_IN_GGUF = {"whole modules": "trained or resized whole", "DoRA": "DoRA", "new tokens": "trained or resized whole",
               "new tokens, whole embedding": "trained or resized whole", "embedding, tied": "tied model", "head and embedding, tied": "tied model"}
FROM_PEFT = {
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "embedding": {"target_modules": ["embed_tokens"]},
    "DoRA": {"target_modules": ["down_proj", "o_proj"], "use_dora": True, "use_rslora": True},
    "saved head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "added tokens": {"target_modules": ["q_proj"], "added": True},
    "added tokens, their rows alone": {"target_modules": ["v_proj"], "added": True, "trainable_token_indices": True},
    "added tokens, saved whole": {"target_modules": ["v_proj"], "added": True, "modules_to_save": ["embed_tokens", "lm_head"]},
}


def make_base(folder, tied):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    torch.manual_seed(1)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["th", "he", "ri", "ve"]
    merges = [("t", "h"), ("h", "e"), ("r", "i"), ("v", "e")]
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=merges))
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


def difference(ours, theirs):
    gaps = [abs(a - b) / max(1, abs(b)) for a, b in zip(ours, theirs, strict=True)]
    return max(gaps), sum(gaps) / len(gaps)


def open_base(folder, rows=None):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if rows and model.get_input_embeddings().weight.shape[0] != rows:
        model.resize_token_embeddings(rows)
    return model


def torch_logps(model, ids, skip):
    import torch
    with torch.no_grad():
        logits = model.eval()(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return [logits[i - 1, ids[i]].item() for i in range(skip, len(ids))]


def peft_logps(base, adapter, ids, rows, skip):
    from peft import PeftModel
    if not (adapter / "adapter_config.json").exists():
        return torch_logps(open_base(adapter), ids, skip)
    return torch_logps(PeftModel.from_pretrained(open_base(base, rows), adapter), ids, skip)


def fettle_logps(fettle, *model):
    """Of TEXT behind its first word, which is the prompt."""
    first, rest = TEXT[:6], TEXT[6:]
    row = json.dumps({"prompt": first, "completion": rest}) + "\n"
    return json.loads(fettle.run("score", *model, "--raw", "--per-token", text=row))["logps"]


def lora_logps(base, lora, ids, skip):
    """llama.cpp's, with an adapter's file beside the base's."""
    with LlamaCpp(base) as llama:
        adapter = llama.c.llama_adapter_lora_init(llama.model, str(lora).encode())
        if not adapter:
            raise RuntimeError(f"llama.cpp does not open {lora}")
        if llama.c.llama_set_adapters_lora(llama.context, (llama.c.llama_adapter_lora_p_ctypes * 1)(adapter), 1,
                                           (llama.c.ctypes.c_float * 1)(1.0)):
            raise RuntimeError("llama.cpp does not take the adapter")
        return llama.logps(ids, skip)


def check_gguf_lora(table, fettle, name, base, out, ours, ids, skip):
    kind = name.rpartition(", ")[0]
    refusal = NOT_IN_GGUF.get(name) or NOT_IN_GGUF.get(kind)
    call = ("export", "--model", out, "--to", "gguf-lora", "--output", f"{out.name}.lora.gguf")
    if refusal:
        try:
            fettle.run(*call)
        except RuntimeError as error:
            if refusal in str(error):
                return
            raise
        raise RuntimeError("gguf-lora holds only a part of it, and was written")
    fettle.run(*call)
    whole = fettle.export(base, "gguf", "f32", f"{base.name}.gguf")
    table.row(f"{name}: llama.cpp, LoRA alone", difference(ours, lora_logps(whole, fettle.folder / f"{out.name}.lora.gguf", ids, skip)),
              LLAMA_CPP)


def check_trained(table, fettle, name, base, out, options):
    config = {"method": "sft", "model": str(base), "data": str(fettle.folder / "rows.jsonl"), "out": str(out), "steps": 8,
              "batch_size": 4, "learning_rate": 0.01, "max_length": 64, "dtype": "f32"} | options
    (fettle.folder / "train.yaml").write_text(json.dumps(config))
    fettle.run("train", fettle.folder / "train.yaml")
    ids, ours = fettle.ids(out, TEXT), fettle_logps(fettle, "--model", out)
    skip = len(ids) - len(ours)
    rows = json.loads(fettle.run("info", out, "--json"))["vocab_size"]
    table.row(f"{name}: peft", difference(ours, peft_logps(base, out, ids, rows, skip)), PEFT)
    with LlamaCpp(fettle.export(out, "gguf", "f32", f"{out.name}.gguf")) as llama:
        table.row(f"{name}: llama.cpp, merged", difference(ours, llama.logps(ids, skip)), LLAMA_CPP)
    if (out / "adapter_config.json").exists():
        check_gguf_lora(table, fettle, name, base, out, ours, ids, skip)


def write_with_peft(base, out, options):
    """A random adapter; the model as peft opens it again."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoTokenizer
    options = dict(options)
    tokenizer, model = AutoTokenizer.from_pretrained(base), open_base(base)
    if options.pop("added", False):
        new = tokenizer.add_tokens(["<note>", "</note>"])
        model.resize_token_embeddings(len(tokenizer))
        if "trainable_token_indices" in options:
            options["trainable_token_indices"] = list(range(len(tokenizer) - new, len(tokenizer)))
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=3, lora_alpha=5, **options))
    for name, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.1
    adapted.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return PeftModel.from_pretrained(open_base(base, len(tokenizer)), out)


def check_from_peft(table, fettle, name, base, out, options):
    model = write_with_peft(base, out, options)
    ids, ours = fettle.ids(out, TEXT), fettle_logps(fettle, "--model", base, "--adapter", out)
    skip = len(ids) - len(ours)
    theirs = torch_logps(model, ids, skip)
    table.row(f"{name}: fettle", difference(ours, theirs), PEFT)
    for to in ["hf", "gguf"]:
        merged = fettle.export(base, to, "f32", f"{out.name}.{to}", "--adapter", out)
        table.row(f"{name}: fettle, merged as {to}", difference(fettle_logps(fettle, "--model", merged), theirs), PEFT)


def quieten():
    import llama_cpp
    from transformers.utils import logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    quieten.log = llama_cpp.llama_log_callback(lambda *_: None)  # kept alive
    llama_cpp.llama_log_set(quieten.log, None)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=pathlib.Path, default=pathlib.Path("build-peers"))
    parser.add_argument("--fettle", type=pathlib.Path, default=pathlib.Path("build/fettle"))
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    enter_environment(arguments.env.absolute())
    warnings.simplefilter("ignore")
    quieten()
    table = Table(arguments.only)
    with tempfile.TemporaryDirectory() as scratch:
        fettle = Fettle(arguments.fettle.absolute(), pathlib.Path(scratch))
        (fettle.folder / "rows.jsonl").write_text("".join(
            json.dumps({"prompt": f"say {i}", "completion": f"<note>{i}</note> the river"}) + "\n" for i in range(8)))
        for tied in (False, True):
            base = fettle.folder / ("tied" if tied else "untied")
            make_base(base, tied)
            todo = [(check_trained, f"{kind}, {base.name}", options) for kind, options in KINDS.items()]
            todo += [(check_from_peft, f"peft's {kind}, {base.name}", options) for kind, options in FROM_PEFT.items()]
            for number, (check, name, options) in enumerate(todo):
                if not table.wants(name):
                    continue
                try:
                    check(table, fettle, name, base, fettle.folder / f"{base.name}{number}", options)
                except Exception as error:
                    table.error(name, error)
    print(f"{table.rows} rows, {table.failed} wrong")
    sys.exit(table.failed > 0)


main()
