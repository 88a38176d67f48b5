"""Writes tokenizers.json: small tokenizers of every kind, and what the reference libraries make of some texts.

    pip install tokenizers sentencepiece
    python tests/golden/text/make_tokenizers.py
    python tests/golden/text/make_tokenizers.py --variants OUT --size N FILE…

The second form trains the same kinds, and every option of SentencePiece's trainer, with N tokens each on the texts of FILE…,
and writes them to OUT for compare_tokenizers.py.
"""
import argparse, base64, io, itertools, json, pathlib

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent

TRAIN = """The foundry opens at six. A casting comes out of its mould rough, and someone has to file it until it fits.
They don't stop before it's done; we'll see, I'm sure, that you've seen how they're working. He'd said so in 1987 and 2024.
Der Gießer gießt, während der Schmied schmiedet; über 300 Stück gehen täglich für 12,50 € hinaus. L'été, à côté de la forêt.
Печь горит, металл течёт. 鋳物は型から出たばかりで、まだ粗い。铸件需要打磨，才能使用。 المعدن ينساب في القالب ١٢٣.
def pour(metal: str, count=10):\n\tif count > 3:\n\t\treturn [metal] * count\n    # done
for (int i = 0; i < 128; ++i) { total += values[i]; }  // 3.14159 2.71828 1000000
Yes! Really?! (No...) "Quoted", 'single', <tag attr="x"/> & more -- dashes – and — others. 🙂🙂 👩‍🔧 é e\u0301 ﬁle ½ ①
The end of the end, then the other end; the file fits the mould, the mould fits the file, and the foundry closes at ten.
"""

TEXTS = [
    "", " ", "a", "The file fits the mould.", " leading and trailing  ", "two  spaces   three\n\n\nlines\t\ttabs \r\n x",
    "don't we'll I'M you'VE they're it's 's 'S 'x", "In 1987 there were 12345 of 1000000, 3.14159 and ١٢٣٤ ½ ①",
    "Der Gießer gießt über 300 Stück für 12,50 €", "E\u0301te\u0301 \u00e9t\u00e9 ﬁle Ａ１ ǅ İstanbul ΣΑΣ",
    "鋳物は型から出た。铸件需要打磨", "Печь горит الم\u0639دن 🙂👩‍🔧\u200d", "def f(x):\n    return x[1:]  # ok\n",
    "word" * 12, "(((!!!...)))--''\"\"", "▁The ▁end Ġend <0x0A> </w> ##ing", "\u00a0nbsp\u3000wide\u2028line\ufeffbom\u200b",
    "\x00nul\x01\x7f\x85\ufffd", "<|im_start|>user\nHi <|im_end|>", "x<|im_end|><|im_end|>y </s> <s> <mask>  z",
    "ADD adding  ADDED [lower] STRIP  both", "the endtheend",
]  # fmt: skip

# One word of 100 kB; only its ids' number and a sum are kept.
LONG = "".join("etaoinshrdlu"[(i * i // 7 + i) % 12] for i in range(100_000))

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def pre(*stages):
    return pre_tokenizers.Sequence(list(stages))


def normal(*stages):
    return normalizers.Sequence(list(stages))


def added(content, special=True, **flags):
    return {"content": content, "special": special, "normalized": False, "lstrip": False, "rstrip": False,
            "single_word": False} | flags  # fmt: skip


CHATML = [added("<|im_start|>"), added("<|im_end|>")]
BOS = [added("<s>"), added("</s>")]
FLAGS = [
    added("<mask>", lstrip=True), added("ADD", special=False), added("ADDED", special=False, single_word=True),
    added("[lower]", special=False, normalized=True), added("STRIP", special=False, lstrip=True, rstrip=True),
]  # fmt: skip
PREPEND = normal(normalizers.Prepend("▁"), normalizers.Replace(" ", "▁"))
LLAMA_DECODER = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)
GEMMA_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])

# name: (model, options of the model, normalizer, pre_tokenizer, decoder, added tokens, what surrounds a text)
KINDS = {
    "gpt2": ("bytes", {}, None, BYTE_LEVEL, decoders.ByteLevel(), CHATML, None),
    "roberta": ("bytes", {}, None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel(),
                BOS + [added("<mask>", lstrip=True)], "roberta"),
    "llama3": ("bytes", {"ignore_merges": True}, None, pre(split(LLAMA3), BYTES), decoders.ByteLevel(), BOS, "template"),
    "qwen2": ("bytes", {}, normalizers.NFC(), pre(split(QWEN2), BYTES), decoders.ByteLevel(), CHATML, None),
    "starcoder": ("bytes", {}, None, pre(pre_tokenizers.Digits(True), BYTE_LEVEL), decoders.ByteLevel(), CHATML, None),
    "deepseek": ("bytes", {}, None, pre(split(r"\p{N}{1,3}"), split("[一-龥\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK), BYTES),
                 decoders.ByteLevel(), BOS, "template"),
    "gpt4o": ("bytes", {}, None, pre(split(O200K), BYTES), decoders.ByteLevel(), [], None),
    "added": ("bytes", {}, normalizers.Lowercase(), BYTE_LEVEL, decoders.ByteLevel(), FLAGS, None),
    "clip": ("suffix", {}, normal(normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()),
             pre(split(CLIP, "removed", True), BYTES), decoders.BPEDecoder(), BOS, "roberta"),
    "llama2": ("characters", {}, PREPEND, None, LLAMA_DECODER, BOS, "template"),
    "gemma": ("characters", {}, normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
              GEMMA_DECODER, BOS, "template"),
    "metaspace_first": ("characters", {}, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
                        LLAMA_DECODER, BOS, None),
    "metaspace": ("characters", {"byte_fallback": False, "fuse_unk": False}, normalizers.NFKC(), pre_tokenizers.Metaspace(),
                  decoders.Metaspace(), BOS, None),
    "unigram": ("unigram", {}, normal(normalizers.Nmt(), normalizers.NFKC()), pre_tokenizers.Metaspace(),
                decoders.Metaspace(), BOS, "template"),
    "unigram_never": ("unigram", {}, normalizers.Strip(), pre_tokenizers.Metaspace(prepend_scheme="never", split=False),
                      decoders.Metaspace(prepend_scheme="never"), [], None),
    "bert": ("prefix", {}, normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(), [], None),
    "words": ("plain", {"fuse_unk": True}, normal(normalizers.NFD(), normalizers.StripAccents()),
              pre(pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Digits(False)),
              None, [], None),
    "pieces": ("plain", {"unk_token": None}, normalizers.NFKD(),
               pre(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.CharDelimiterSplit("x"), pre_tokenizers.FixedLength(4)),
               decoders.Fuse(), [], None),
}  # fmt: skip
BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
SPLITS = {
    f"split_{behavior}_{invert}": ("plain", {}, None, split(r"\d+|['.]|\s+", behavior, invert), decoders.Fuse(), [], None)
    for behavior, invert in itertools.product(BEHAVIORS, (False, True))
}

# SentencePiece: name: options of the trainer
PIECES = {
    "llama": {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity",
              "remove_extra_whitespaces": False, "split_digits": True, "allow_whitespace_only_pieces": True},
    "symbols": {"model_type": "bpe", "normalization_rule_name": "identity", "user_defined_symbols": "<sep>,de,  ,<|x|>",
                "control_symbols": "<ctl>", "pad_id": 3},
    "unigram": {"model_type": "unigram", "normalization_rule_name": "identity", "user_defined_symbols": "<sep>,the en"},
    "unigram_bytes": {"model_type": "unigram", "byte_fallback": True, "normalization_rule_name": "identity",
                      "add_dummy_prefix": False, "remove_extra_whitespaces": False},
    "suffix": {"model_type": "unigram", "normalization_rule_name": "identity", "treat_whitespace_as_suffix": True},
}  # fmt: skip
MORE_PIECES = {
    f"{kind}_{rule}_{'bytes' if fallback else 'plain'}{'' if prefix else '_bare'}{'' if remove else '_all'}": {
        "model_type": kind, "normalization_rule_name": rule, "byte_fallback": fallback, "add_dummy_prefix": prefix,
        "remove_extra_whitespaces": remove,
    }
    for kind, rule, (fallback, prefix, remove) in itertools.product(
        ("bpe", "unigram"), ("nmt_nfkc", "nfkc_cf"), ((True, True, True), (False, False, True), (True, True, False)))
}  # fmt: skip
RULES = [("ﬁ", "fi"), ("Ａ", "A"), ("\u3000", " "), ("\u00a0", " "), ("e\u0301", "é"), ("\u200b", ""), ("ß", "ss")]


def plain_lines(lines):
    """Few different characters, so that a small SentencePiece model has room for pieces."""
    return [line for line in lines if line.isascii() or "Gießer" in line]


def train_pieces(texts, size, options, folder):
    if options.get("normalization_rule_name") is None:
        rules = folder / "rules.tsv"
        rules.write_text("".join(f"{hexes(a)}\t{hexes(b)}\n" for a, b in RULES))
        options = options | {"normalization_rule_tsv": str(rules)}
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=out, vocab_size=size, hard_vocab_limit=False, minloglevel=2,
        character_coverage=0.9995, **options)  # fmt: skip
    return out.getvalue()


def hexes(text):
    return " ".join(f"{ord(c):X}" for c in text)


def pieces_as_bpe(data):
    """A SentencePiece BPE model as the BPE model of a tokenizer.json."""
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    merges = []
    for token, id in vocab.items():
        for cut in range(1, len(token)):
            if token[:cut] in vocab and token[cut:] in vocab:
                merges.append((-sp.get_score(id), vocab[token[:cut]], vocab[token[cut:]], token[:cut], token[cut:]))
    return {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True, "vocab": vocab,
            "merges": [f"{m[3]} {m[4]}" for m in sorted(merges)]}  # fmt: skip


def train_model(name, texts, size, kind):
    _, _, normalizer, pre_tokenizer, _, _, _ = KINDS[kind] if kind in KINDS else SPLITS[kind]
    if name == "characters":
        return pieces_as_bpe(train_pieces(plain_lines(texts) if size < 1000 else texts, size, PIECES["llama"], HERE))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if name == "bytes" else []
    if name == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    else:
        affixes = {"continuing_subword_prefix": "##"} if name == "prefix" else {}
        affixes |= {"end_of_word_suffix": "</w>"} if name == "suffix" else {}
        tokenizer = Tokenizer(models.BPE(**({} if name == "bytes" else {"unk_token": "<unk>"} | affixes)))
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False, limit_alphabet=400,
                                      special_tokens=[] if name == "bytes" else ["<unk>"], **affixes)  # fmt: skip
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def as_json(part):
    if part is None:
        return None
    # The library writes a component only inside a tokenizer.
    tokenizer = Tokenizer(models.BPE())
    for key, base in (("normalizer", normalizers.Normalizer), ("pre_tokenizer", pre_tokenizers.PreTokenizer),
                      ("decoder", decoders.Decoder)):  # fmt: skip
        if isinstance(part, base):
            setattr(tokenizer, key, part)
            return json.loads(tokenizer.to_str())[key]


def describe(kind, model):
    """The parts of a tokenizer.json beside the model."""
    _, options, normalizer, pre_tokenizer, decoder, tokens, around = KINDS.get(kind) or SPLITS[kind]
    model = model | options
    names = list(model["vocab"]) if isinstance(model["vocab"], dict) else [entry[0] for entry in model["vocab"]]
    ids = {name: id for id, name in enumerate(names)} if isinstance(model["vocab"], list) else dict(model["vocab"])
    for token in tokens:
        ids.setdefault(token["content"], len(ids))
    processor = None
    if around == "roberta":
        processor = {"type": "RobertaProcessing", "cls": ["<s>", ids["<s>"]], "sep": ["</s>", ids["</s>"]],
                     "trim_offsets": True, "add_prefix_space": True}  # fmt: skip
    elif around == "template":
        special = {"SpecialToken": {"id": "<s>", "type_id": 0}}
        sequence = {"Sequence": {"id": "A", "type_id": 0}}
        processor = {"type": "TemplateProcessing", "single": [special, sequence], "pair": [special, sequence, sequence],
                     "special_tokens": {"<s>": {"id": "<s>", "ids": [ids["<s>"]], "tokens": ["<s>"]}}}  # fmt: skip
    return options, {
        "version": "1.0",
        "added_tokens": [{"id": ids[token["content"]]} | token for token in tokens],
        "normalizer": as_json(normalizer), "pre_tokenizer": as_json(pre_tokenizer), "post_processor": processor,
        "decoder": as_json(decoder),
    }  # fmt: skip


def digest(ids):
    return [len(ids), sum((i + 1) * id for i, id in enumerate(ids)) % 2**32]


def answers(tokenizer, parse):
    tokenizer.encode_special_tokens = not parse
    return [tokenizer.encode(text, add_special_tokens=parse).ids for text in TEXTS]


def golden_kind(kind, models_made):
    name = KINDS[kind][0]
    options, parts = describe(kind, models_made[name])
    tokenizer = Tokenizer.from_str(json.dumps(parts | {"model": models_made[name] | options}))
    plain, special = answers(tokenizer, False), answers(tokenizer, True)
    decoded = {i: tokenizer.decode(ids, skip_special_tokens=False) for i, ids in enumerate(plain)}
    return {"name": kind, "model": name, "options": options, "parts": parts, "ids": plain,
            "long": digest(tokenizer.encode(LONG, add_special_tokens=False).ids),
            "special_ids": {i: b for i, (a, b) in enumerate(zip(plain, special)) if a != b},
            "decoded": {i: text for i, text in decoded.items() if text != TEXTS[i]}}  # fmt: skip


def golden_pieces(name, options):
    data = train_pieces(plain_lines(TRAIN.splitlines()), 370 if options.get("byte_fallback") else 140, options, HERE)
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    ids = [sp.encode(text) for text in TEXTS]
    decoded = {i: sp.decode(row).replace(" \u2047 ", sp.id_to_piece(sp.unk_id())) for i, row in enumerate(ids)}
    return {"name": name, "model": base64.b64encode(data).decode(), "ids": ids, "long": digest(sp.encode(LONG)),
            "decoded": {i: text for i, text in decoded.items() if text != TEXTS[i]}}  # fmt: skip


def write_golden():
    lines = TRAIN.splitlines(keepends=True)
    sizes = {"bytes": 340, "characters": 370, "unigram": 240, "suffix": 300, "prefix": 280, "plain": 240}
    first = {}
    for kind, row in KINDS.items():
        first.setdefault(row[0], kind)
    made = {name: train_model(name, lines, sizes[name], kind) for name, kind in first.items()}
    pieces = PIECES | {"rules": {"model_type": "unigram"}}
    out = {"texts": TEXTS, "models": made, "tokenizers": [golden_kind(kind, made) for kind in KINDS],
           "sentencepiece": [golden_pieces(name, options) for name, options in pieces.items()]}  # fmt: skip
    (HERE / "rules.tsv").unlink()
    text = json.dumps(out, ensure_ascii=False, separators=(",", ":"))
    (HERE / "tokenizers.json").write_text(text.replace('{"name"', '\n{"name"') + "\n")


def write_variants(out, size, files):
    texts = []
    for file in files:
        texts += pathlib.Path(file).read_text(errors="replace").splitlines(keepends=True)
    out.mkdir(parents=True, exist_ok=True)
    made = {}
    for kind, row in (KINDS | SPLITS).items():
        key = row[0] if kind in SPLITS or row[0] == "characters" else kind
        if key not in made:
            made[key] = train_model(row[0], texts, size, kind)
        options, parts = describe(kind, made[key])
        (out / f"{kind}.json").write_text(json.dumps(parts | {"model": made[key] | options}))
    lines = [line.strip("\n")[:4000] for line in texts]
    for name, options in (PIECES | MORE_PIECES | {"rules": {"model_type": "bpe"}}).items():
        (out / f"{name}.model").write_bytes(train_pieces(lines, size, options, out))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=4000)
    parser.add_argument("files", nargs="*")
    call = parser.parse_args()
    write_variants(call.variants, call.size, call.files) if call.variants else write_golden()
