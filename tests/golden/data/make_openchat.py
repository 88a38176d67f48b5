"""OpenChat's training files for a few conversations, made in Python from the published description of its formats.

    python3 -m venv env && env/bin/pip install tokenizers && env/bin/python tests/golden/data/make_openchat.py

The tokenizer is a small one of LLaMA's kind (merges of pieces with U+2581 for spaces, a space in front of every text,
bytes for what is unknown). Pieces that the published examples show have LLaMA's own ids.
"""
import json
import pathlib
import random
import struct

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent / "openchat"
END, SPACE = 32000, "\u2581"
KNOWN = {"▁": 29871, "▁G": 402, "PT": 7982, "4": 29946, "3": 29941, "▁User": 4911, ":": 29901, "▁Hello": 15043,
         "▁Ass": 4007, "istant": 22137, "▁is": 338, "▁<": 529, "s": 29879, ">": 29958, "▁Human": 12968}
WORDS = ["▁Human", "▁User", "▁Hello", "▁Ass", "▁is", "istant", "▁G", "PT", "▁<", "▁the", "▁answer", "ing", "▁world"]


def make_tokenizer():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    vocab.update({"<0x%02X>" % byte: 3 + byte for byte in range(256)})
    vocab.update(KNOWN)
    next_id, merges = 1000, []

    def add(piece):
        nonlocal next_id
        if piece not in vocab:
            vocab[piece] = next_id
            next_id += 1
    for char in SPACE + "".join(chr(c) for c in range(33, 127)) + "é":
        add(char)
    for word in WORDS:
        for end in range(2, len(word) + 1):
            add(word[:end])
            if (word[:end - 1], word[end - 1]) not in merges:
                merges.append((word[:end - 1], word[end - 1]))
    vocab["<|end_of_turn|>"] = END
    special = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i, text in ((0, "<unk>"), (1, "<s>"), (2, "</s>"), (END, "<|end_of_turn|>"))]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE},
                       {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing",
                           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                    {"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": dict(sorted(vocab.items(), key=lambda item: item[1])), "merges": [" ".join(m) for m in merges]},
    }


TOKENIZER = None


def ids_of(text, special=False):
    TOKENIZER.encode_special_tokens = not special
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    TOKENIZER.encode_special_tokens = False
    return ids


TYPES = {  # context, prefix of a role, text in front, classes
    "openchat": (2048, lambda who, c: {"human": "Human: ", "gpt": "Assistant: "}[who], None, 1),
    "openchat_8192": (8192, lambda who, c: {"human": "Human: ", "gpt": "Assistant: "}[who], None, 1),
    "opencoder": (8192, lambda who, c: {"human": "User:", "gpt": "Assistant:"}[who], None, 1),
    "openchat_v2": (2048, lambda who, c: "User:" if who == "human" else f"Assistant {c}:", None, 2),
    "openchat_llama2": (4096, lambda who, c: {"human": "User:", "gpt": "Assistant:"}[who], None, 1),
    "openchat_v3.1_llama2": (4096, lambda who, c: {"human": "User:", "gpt": "Assistant:"}[who], "Assistant is {}", 2),
    "openchat_v3.2": (4096, lambda who, c: f"{c} " + {"human": "User:", "gpt": "Assistant:"}[who], None, 2),
}
REFUSALS = ["as an ai language model", "my guidelines"]  # those of the list that the conversations hold


def sequence(kind, row, by_source=False):
    context, prefix, front, groups = TYPES[kind]
    gpt4 = row.get("model", "") == "Model: GPT-4"
    name = "GPT4" if gpt4 else "GPT3"
    ids = [] if kind == "opencoder" else [1]
    weights = [0.0] * len(ids)

    def put(more, weight):
        ids.extend(more)
        weights.extend([weight] * len(more))
    if front:
        put(ids_of(front.format(name)) + [END], 0.0)
    if by_source and row.get("system_message"):
        put(ids_of(row["system_message"]) + [END], 0.0)
    for turn in row["items"]:
        put(ids_of(prefix(turn["from"], name)), 0.0)
        weight = 1.0 if turn["from"] == "gpt" else 0.0
        if by_source and weight:
            weight = 0.0 if any(word in turn["value"].lower() for word in REFUSALS) else 1.0 if gpt4 else 0.1
        put(ids_of(turn["value"]) + [END], weight)
    return ids[:context], weights[:context], 1 if gpt4 and groups == 2 else 0


def text_of(ids):
    parts, run = [], []
    for token in ids + [None]:
        if token is not None and token not in (0, 1, 2, END):
            run.append(token)
            continue
        if run:
            parts.append(TOKENIZER.decode(run, skip_special_tokens=False))
            run = []
        if token is not None:
            parts.append({0: "<unk>", 1: "<s>", 2: "</s>", END: "<|end_of_turn|>"}[token])
    return "".join(parts)


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def shifted(ids, weights, ignored):
    after = weights[1:] + [0.0]
    labels = [token if weight else ignored for token, weight in zip(ids, weights)][1:] + [ignored]
    return {"total_length": len(ids), "num_seqs": single(sum(after)), "seqlens": [len(ids)], "nz_input_ids": ids,
            "nz_position_ids": list(range(len(ids))), "nz_shifted_label_ids": labels,
            "nz_shifted_loss_weights": [single(weight) for weight in after]}


def parquet_rows(kind, samples):
    if kind == "openchat_v3.1_llama2":
        samples = [s for s in samples if sum(s[1]) > 0]
        counts = [sum(s[2] == group for s in samples) for group in range(2)]
        factors = [len(samples) / count if count else 0 for count in counts]
        for ids, weights, group in samples:
            row = {"total_length": len(ids), "num_seqs": 1}
            for g in range(2):
                row[f"{g}_tokens"] = ids if g == group else []
                row[f"{g}_masks"] = [weight > 0 for weight in weights] if g == group else []
            yield {**row, "total_loss_weight": single(factors[group])}
        return
    for ids, weights, group in samples:
        if any(weights):
            yield shifted(ids, weights, -100)


def by_message(row, per_sequence):
    """The rows of 3.5: a condition, and weights that stand in the messages."""
    ids, weights = [1], [0.0]
    if row.get("system"):
        more = ids_of(row["system"]) + [END]
        ids += more
        weights += [0.0] * len(more)
    for turn in row["items"]:
        more = ids_of(f"{row.get('condition', '')} {turn['role'].title()}:".strip(), special=True)
        ids += more
        weights += [0.0] * len(more)
        more = ids_of(turn["content"]) + [END]
        weight = turn["weight"] / len(more) if per_sequence else turn["weight"]
        ids += more
        weights += [weight] * len(more)
    ids, weights = ids[:8192], weights[:8192]
    while weights and weights[-1] == 0:
        weights.pop()
    return ids[:len(weights)], weights


def conversations(draw):
    words = ["Hello", "world", "the answer", "answering", "café", "<s>", "is", "GPT4", "a\nline", "日本", 'say "x"']
    rows = []
    for i in range(24):
        items = []
        for turn in range(2 * draw.randint(1, 3)):
            value = " ".join(draw.choice(words) for _ in range(draw.randint(0, 12)))
            items.append({"from": "human" if turn % 2 == 0 else "gpt", "value": value})
        if i % 6 == 1:
            items[1]["value"] = "Sorry, as an AI language model I cannot. " + items[1]["value"]
        if i == 5:
            items[0]["value"] = "Hello world " * 1100  # longer than any short context
        row = {"id": f"c{i}", "items": items}
        if i % 3 != 0:
            row["model"] = draw.choice(["Model: GPT-4", "Model: Default (GPT-3.5)", "Model: GPT-4"])
        if i % 7 == 2:
            row["system_message"] = "the world is Hello"
        rows.append(row)
    return rows


def main():
    global TOKENIZER
    HERE.mkdir(exist_ok=True)
    small = make_tokenizer()
    TOKENIZER = Tokenizer.from_str(json.dumps(small))
    (HERE / "tokenizer.json").write_text(json.dumps(small, ensure_ascii=False, indent=1))
    rows = conversations(random.Random(3))
    (HERE / "conversations.json").write_text(json.dumps(rows, indent="\t"))
    for kind in TYPES:
        shuffled = list(rows)
        random.seed(42)
        random.shuffle(shuffled)
        held = int((0.01 if kind in ("openchat", "openchat_8192", "opencoder", "openchat_v2") else 0.0) * len(rows))
        held = 3 if kind == "openchat_v2" else held  # asked for with a ratio of 0.13
        by_source = kind in ("openchat_llama2", "openchat_v3.2")
        for part, chosen in (("train", shuffled[held:]), ("eval", shuffled[:held])):
            samples = [sequence(kind, row, by_source) for row in chosen]
            if kind.startswith("openchat_v3") or kind == "openchat_llama2":
                if part == "train":
                    text = "".join(json.dumps(row) + "\n" for row in parquet_rows(kind, samples))
                    (HERE / f"{kind}.train.jsonl").write_text(text)
                continue
            width = 3 if kind == "openchat_v2" else 2
            flags = [(ids, [weight > 0 for weight in weights], group)[:width] for ids, weights, group in samples]
            with open(HERE / f"{kind}.{part}.json", "w") as file:
                json.dump(flags, file)
            with open(HERE / f"{kind}.{part}.text.json", "w") as file:
                json.dump([text_of(ids) for ids, _, _ in samples], file, indent="\t")
    later = [{"items": [{"role": "user" if turn["from"] == "human" else "assistant", "content": turn["value"],
                         "weight": 0.0 if turn["from"] == "human" else 0.5 if i % 4 == 0 else 1.0} for turn in row["items"]],
              "condition": ["", "GPT4 Correct", "Code"][i % 3], "system": "Hello" if i % 5 == 0 else ""}
             for i, row in enumerate(rows)]
    later.append({"items": [{"role": "user", "content": "Hello", "weight": 0.0}], "condition": "", "system": ""})
    lines = [json.dumps(row) + "\n" for row in later]
    (HERE / "weighted.jsonl").write_text("".join(lines))
    random.seed(42)
    random.shuffle(lines)
    for name, per_sequence in (("weighted", False), ("per_sequence", True)):
        samples = [by_message(json.loads(line), per_sequence) for line in lines]
        text = "".join(json.dumps(shifted(*sample, 0)) + "\n" for sample in samples if sample[0])
        (HERE / f"{name}.train.jsonl").write_text(text)


main()
