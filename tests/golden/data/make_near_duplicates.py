"""A small corpus with near-duplicates, and its clusters as datasketch finds them.

    python3 -m venv env && env/bin/pip install datasketch && env/bin/python tests/golden/data/make_near_duplicates.py

Shingles are runs of five words of lower-cased text. datasketch's candidates (128 permutations) are verified by their true
similarity; the script checks that comparing every pair finds the same clusters.
"""
import itertools
import json
import pathlib
import random

from datasketch import MinHash, MinHashLSH

HERE = pathlib.Path(__file__).parent
THRESHOLD, WORDS = 0.7, 5


def shingles(text):
    words = text.lower().split()
    return {" ".join(words[i:i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))}


def similarity(a, b):
    return len(a & b) / len(a | b)


def clusters_of(pairs, count):
    parent = list(range(count))

    def root(x):
        while parent[x] != x:
            x = parent[x]
        return x
    for a, b in pairs:
        a, b = root(a), root(b)
        parent[max(a, b)] = min(a, b)
    groups = {}
    for i in range(count):
        groups.setdefault(root(i), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def main():
    draw = random.Random(5)
    vocabulary = ["".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(2, 9))) for _ in range(900)]
    texts = []
    for _ in range(110):
        words = [draw.choice(vocabulary) for _ in range(draw.randint(60, 160))]
        texts.append(words)
        for _ in range(draw.choice([0, 0, 1, 1, 2, 4])):  # copies with a few words changed
            copy = list(words)
            for _ in range(draw.choice([0, 1, 2, 3, 12])):
                copy[draw.randrange(len(copy))] = draw.choice(vocabulary)
            texts.append(copy)
    draw.shuffle(texts)
    texts = [" ".join(word.title() if draw.random() < 0.1 else word for word in words) for words in texts]
    sets = [shingles(text) for text in texts]
    # No pair may lie so near to the threshold that banding decides by chance.
    for i, j in itertools.combinations(range(len(sets)), 2):
        if THRESHOLD - 0.02 < similarity(sets[i], sets[j]) < THRESHOLD + 0.05:
            texts[j] = ""
            sets[j] = {f"empty {j}"}
    texts = [text for text in texts if text]
    sets = [shingles(text) for text in texts]
    lsh = MinHashLSH(threshold=THRESHOLD - 0.15, num_perm=128)
    hashes = []
    for i, items in enumerate(sets):
        mine = MinHash(num_perm=128)
        for item in items:
            mine.update(item.encode())
        hashes.append(mine)
        lsh.insert(str(i), mine)
    pairs = []
    for i, mine in enumerate(hashes):
        for other in map(int, lsh.query(mine)):
            if other > i and similarity(sets[i], sets[other]) >= THRESHOLD:
                pairs.append((i, other))
    every = [(i, j) for i, j in itertools.combinations(range(len(sets)), 2) if similarity(sets[i], sets[j]) >= THRESHOLD]
    found, wanted = clusters_of(pairs, len(sets)), clusters_of(every, len(sets))
    assert found == wanted, "datasketch missed a pair: choose another seed"
    with open(HERE / "near_duplicates.json", "w") as file:
        json.dump({"threshold": THRESHOLD, "words": WORDS, "texts": texts, "clusters": found}, file, indent=0)
    print(len(texts), "texts,", len(found), "clusters")


main()
