#!/usr/bin/env python3
"""`generate --input` and `score` by two and three ranks write what one process writes, byte for byte.

Usage: answers.py FETTLE MODEL
"""
import json
import pathlib
import sys
import tempfile

from mpirun import check, check_same_bytes, errors, need_mpirun, run

program, model = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def commands(folder):
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": i, "prompt": f"What is {i} plus {i % 7}?" + " Really?" * (i % 9)}) + "\n" for i in range(150)))
    broken = folder / "broken.jsonl"
    broken.write_text("".join(json.dumps({"prompt": "Hello! " * (400 if i in (37, 90) else 1) + str(i)}) + ("\n{oops\n" if i == 5 else "\n") for i in range(100)))
    scored = folder / "scored.jsonl"
    scored.write_text("".join(json.dumps({"id": i, "prompt": f"What is {i // 3} plus one?", "completion": "It is " + "ten " * (i % 31)}) + "\n" for i in range(3000)))
    options = ["--model", model, "--max-tokens", "24"]
    yield "generate", 0, ["generate", *options, "--input", prompts, "--output", "out.jsonl"]
    yield "generate, sampled", 0, ["generate", *options, "--input", prompts, "--output", "out.jsonl", "--temperature", "1", "--n", "2", "--seed", "5"]
    yield "generate, gzip", 0, ["generate", *options, "--input", prompts, "--output", "out.jsonl.gz", "--regex", "[a-z ]{3,30}"]
    yield "generate, rows without an answer", 1, ["generate", *options, "--input", broken, "--output", "out.jsonl"]
    yield "score", 0, ["score", "--model", model, "--input", scored, "--output", "out.jsonl", "--per-token"]
    yield "score, rows without a score", 1, ["score", "--model", model, "--input", broken, "--output", "out.json"]


need_mpirun()
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    for what, status, arguments in commands(folder):
        messages = {}
        for ranks in (1, 2, 3):
            place = folder / f"{ranks}"
            place.mkdir(exist_ok=True)
            for old in place.iterdir():
                old.unlink()
            messages[ranks] = errors(run(ranks, [program, *arguments], status=status, cwd=place)[1])
            check(messages[ranks] == messages[1], what, messages)
            for file in (folder / "1").iterdir():
                check_same_bytes(file, place / file.name, f"{what} by {ranks} ranks")
        print(f"{what}: {sum(len(p.read_bytes()) for p in (folder / '1').iterdir())} bytes, the same from 1, 2 and 3 ranks")
