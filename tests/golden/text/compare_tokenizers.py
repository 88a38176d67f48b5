"""Compares fettle's token ids with those of `tokenizers` and `sentencepiece` over every text of a data folder.

    python tests/golden/text/compare_tokenizers.py DATA PROGRAM MODEL… [--sample=N]

DATA is a folder of json, jsonl, html and txt files; PROGRAM is build/tokenizer_bench; a MODEL is a tokenizer.json (or a
folder that holds one) for `tokenizers`, or a SentencePiece model for `sentencepiece`; MODEL=OTHER opens OTHER with fettle
and MODEL with the reference. Texts are the raw files, every string inside them, words of 100 kB, odd characters, and
invalid UTF-8, which the reference sees after bytes.decode("utf-8", "replace"). Needs Python with the two libraries.
"""
import json, os, random, struct, subprocess, sys, threading

ADD, PARSE = 1, 2


def strings_of(value, out):
    if isinstance(value, str):
        out.append(value)
    elif isinstance(value, list):
        for item in value:
            strings_of(item, out)
    elif isinstance(value, dict):
        for key, item in value.items():
            out.append(key)
            strings_of(item, out)


def corpus(folder, specials):
    texts = {}
    for root, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            raw = open(os.path.join(root, name), "rb").read()
            if name.endswith(".bin"):
                raw = raw[:20000]
            texts[raw] = None
            if not name.endswith((".json", ".jsonl")):
                continue
            parts = [raw] if name.endswith(".json") else raw.splitlines()
            found = []
            for part in parts:
                try:
                    strings_of(json.loads(part), found)
                except ValueError:
                    pass
            for text in found:
                texts[text.encode("utf-8", "surrogatepass")] = None
    texts = list(texts)
    rng = random.Random(7)
    pieces = [t for t in texts if 200 < len(t) < 4000]
    for _ in range(1500):  # cut anywhere, also inside characters; bytes changed
        text = bytearray(rng.choice(pieces)[rng.randrange(100) :][: rng.randrange(1, 300)])
        for _ in range(rng.randrange(4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        texts.append(bytes(text))
    for _ in range(500):
        texts.append(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 80))))
    alphabet = (
        [chr(c) for c in range(1, 0x180)] + list("    \n\n\r\t''''sStTmMdDlLvVrReE019ſ\u3000\u00a0\u0085\u2028▁▁Ġ<>|")
        + [chr(rng.choice([rng.randrange(0x250, 0xD800), rng.randrange(0xE000, 0xFFFE), rng.randrange(0x10000, 0x2A6D6),
                           rng.randrange(0x1F300, 0x1F700)])) for _ in range(1500)]
    )
    alphabet = [c for c in alphabet if assigned(c)]
    for _ in range(3000):
        texts.append("".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 60))).encode())
    spaces = [" ", "  ", "\n", "\r\n", "\t", "'", "a", "1", "é", "!", "\u3000", "s", "'S", "'ll", "▁", "12", "٣"]
    for _ in range(3000):
        texts.append("".join(rng.choice(spaces) for _ in range(rng.randrange(1, 14))).encode())
    for _ in range(1500 if specials else 0):
        parts = specials + [" ", "\n", "a", "word", ".", "é", "_", specials[0][:-1], specials[0][1:], "  "]
        texts.append("".join(rng.choice(parts) for _ in range(rng.randrange(1, 8))).encode())
    word = "".join(rng.choice("etaoinshrdlu") for _ in range(100_000))
    texts += [word.encode(), b"a" * 100_000, "汉字假名é".encode() * 9_000, b" " * 100_000, b"\xff" * 20_000, b"7" * 100_000]
    texts += [b"(" * 100_000, word[:1].encode() + b"\n" * 100_000, b"", b" ", "▁".encode(), "▁ a".encode(), b"\0", b"a\0b"]
    return texts


def assigned(character):  # of Unicode 14, which PCRE2 10.42 knows
    import unicodedata

    return unicodedata.category(character) not in ("Cn", "Cs")


class Fettle:
    def __init__(self, program, model):
        self.process = subprocess.Popen([program, model, "--ids"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answers(self, texts, flags):
        def feed():
            for text in texts:
                self.process.stdin.write(struct.pack("<IB", len(text), flags) + text)
            self.process.stdin.flush()

        thread = threading.Thread(target=feed)
        thread.start()
        for _ in texts:
            (count,) = struct.unpack("<I", self.process.stdout.read(4))
            ids = list(struct.unpack(f"<{count}i", self.process.stdout.read(4 * count)))
            (size,) = struct.unpack("<I", self.process.stdout.read(4))
            yield ids, self.process.stdout.read(size)
        thread.join()


def hf_reference(path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()][:40]

    def encode(text, flags):
        tokenizer.encode_special_tokens = not flags & PARSE
        return tokenizer.encode(text, add_special_tokens=bool(flags & ADD)).ids

    return encode, lambda ids: tokenizer.decode(ids, skip_special_tokens=False), specials, (0, ADD | PARSE)


def sentencepiece_reference(path):
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=path)
    unknown = model.id_to_piece(model.unk_id())

    def decode(ids):  # the library writes " ⁇ " for the unknown token; fettle, as transformers does, its name
        return model.decode(ids).replace(" \u2047 ", unknown)

    return lambda text, flags: model.encode(text), decode, [], (0,)


def compare(folder, program, reference, model, sample):
    is_json = os.path.isdir(reference) or reference.endswith(".json")
    encode, decode, specials, flag_sets = (hf_reference if is_json else sentencepiece_reference)(reference)
    texts = corpus(folder, specials)
    if sample:  # as many of the data as of what was made up, and the long words
        made = len(texts) - 11_014 - (1500 if specials else 0)
        rng = random.Random(1)
        texts = rng.sample(texts[:made], sample // 2) + rng.sample(texts[made:-14], sample // 2) + texts[-14:]
    fettle = Fettle(program, model)
    wrong_ids = wrong_text = total = 0
    for flags in flag_sets:
        for raw, (ids, decoded) in zip(texts, fettle.answers(texts, flags)):
            text = raw.decode("utf-8", "replace")
            expected = encode(text, flags)
            if ids != expected:
                wrong_ids += 1
                if wrong_ids <= 5:
                    at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
                    print(f"  ids differ at {at} (flags {flags}): {text[:60]!r}: {ids[at:at+6]} expected {expected[at:at+6]}")
            elif len(ids) < 20_000 and decoded.decode("utf-8", "replace") != decode(ids):
                wrong_text += 1
                if wrong_text <= 5:
                    print(f"  text differs: {decoded[:80]!r} expected {decode(ids)[:80]!r}")
        total += len(texts)
    size = sum(map(len, texts)) / 1e6
    print(f"{reference}: {total} texts ({size:.1f} MB), {wrong_ids} with other ids, {wrong_text} decoded to another text")
    return wrong_ids + wrong_text


if __name__ == "__main__":
    sample = sum(int(a[9:]) for a in sys.argv if a.startswith("--sample="))
    data, binary, *models = [a for a in sys.argv[1:] if not a.startswith("--")]
    pairs = [(m.partition("=")[0], m.partition("=")[2] or m) for m in models]
    sys.exit(1 if sum([compare(data, binary, r, m, sample) for r, m in pairs]) else 0)
