#!/usr/bin/env python3
"""Greedy answers of the server equal those of `fettle generate`: one by one, 16 at once, with the prefix cache and without it, and
after a restart; second turns too, whose prompts the prefix cache knows from the first, and drawn answers with a seed.

Usage: same_text.py PROGRAM MODEL [--max-tokens 48]
"""
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from serving import serve

COUNT = 16
SUBJECTS = ["bread", "rain", "a cat", "the moon", "a river", "winter", "honey", "a clock", "the sea", "a train", "music", "a garden", "fire",
            "a letter", "the wind", "a bridge"]


def first_turns():
    return [[{"role": "user", "content": f"Tell me about {subject}." + " Please be brief." * (i % 5)}] for i, subject in enumerate(SUBJECTS)]


def generated(program, model, conversations, tokens, temperature):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as rows:
        for conversation in conversations:
            rows.write(json.dumps({"prompt": conversation}) + "\n")
        rows.flush()
        command = [program, "--quiet", "generate", "--model", model, "--input", rows.name, "--max-tokens", str(tokens), "--seed", "7",
                   "--temperature", str(temperature)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line)["completion"] for line in lines]


def answered(served, conversations, tokens, temperature, at_once):
    def ask(conversation):
        status, answer = served.json("POST", "/v1/chat/completions", {"messages": conversation, "max_tokens": tokens, "seed": 7,
                                                                      "temperature": temperature})
        assert status == 200, answer
        return answer["choices"][0]["message"]["content"]

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(ask, conversations))


def text_of(completion):
    return completion if isinstance(completion, str) else completion[-1]["content"]


def main():
    program, model, *rest = sys.argv[1:]
    tokens = int(rest[rest.index("--max-tokens") + 1]) if "--max-tokens" in rest else 48
    turns = {"greedy": (first_turns(), 0), "drawn": (first_turns(), 0.8)}
    expected = {name: [text_of(c) for c in generated(program, model, rows, tokens, heat)] for name, (rows, heat) in turns.items()}
    second = [rows + [{"role": "assistant", "content": text}, {"role": "user", "content": "Why is that so?"}]
              for rows, text in zip(turns["greedy"][0], expected["greedy"])]
    turns["second turn"] = (second, 0)
    expected["second turn"] = [text_of(c) for c in generated(program, model, second, tokens, 0)]
    assert len(set(expected["greedy"])) > COUNT // 2, "the model says the same to everybody: no test"
    wrong = 0
    for flags in ([], ["--no-prefix-cache"], []):
        with serve(program, model, *flags) as served:
            for at_once in (1, COUNT):
                for name, (rows, heat) in turns.items():
                    texts = answered(served, rows, tokens, heat, at_once)
                    differ = sum(a != b for a, b in zip(texts, expected[name]))
                    wrong += differ
                    print(f"{' '.join(flags) or 'prefix cache':20} {at_once:2} at once, {name:12} {COUNT - differ} of {COUNT} the same")
            cached = served.metrics()["fettle_cached_prompt_tokens_total"]
            assert (cached > 0) == (not flags), f"{cached} cached tokens with {flags}"
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
