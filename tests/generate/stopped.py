#!/usr/bin/env python3
"""Commands that ask a model for answers are stopped by SIGINT and SIGTERM at many moments, and their outputs fail: each ends by
itself with one error message and status 1 (or had finished), and what stood under the output's name before stands there still.

Usage: stopped.py FETTLE MODEL [ROUNDS] [SEED]
"""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

program, model = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 8
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 30)
PATIENCE = 60
OLD = b"what was there before\n"


def commands(folder):
    """Name, arguments, standard input, output file."""
    prompts = [f"Tell me about number {i}." for i in range(48)]
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"steps:\n  sample: {{do: sample, prompts: {json.dumps(prompts[:16])}, models: {{a: {model}}}, max_tokens: 60}}\n")
    options = ["--model", str(model), "--max-tokens", "60", "--temperature", "1"]
    yield "generate --input", ["generate", *options, "--input", str(rows), "--output", str(folder / "out.jsonl")], "", folder / "out.jsonl"
    yield "generate --input --n 4", ["generate", *options, "--n", "4", "--input", str(rows), "--output", str(folder / "out.jsonl")], "", folder / "out.jsonl"
    yield "generate --input - --output -", ["generate", *options, "--input", "-", "--output", "-"], rows.read_text(), None
    yield "generate --prompt", ["generate", "--model", str(model), "--max-tokens", "400", "--prompt", "Once"], "", None
    yield "chat", ["chat", *options], "Who are you?\n/reset\n" * 12, None
    yield "run: sample", ["run", str(recipe), "--out", str(folder / "run")], "", None
    scored = folder / "scored.jsonl"
    scored.write_text("".join(json.dumps({"prompt": p, "completion": "Yes, it is. " * 12}) + "\n" for p in prompts * 4))
    yield "score", ["score", "--model", str(model), "--input", str(scored), "--output", str(folder / "out.jsonl")], "", folder / "out.jsonl"


def check(name, process, errors, finished):
    text = errors.decode(errors="replace")
    messages = re.findall(r"^error: .*$", text, re.M)
    good = process.returncode == 0 if finished else process.returncode == 1 and len(messages) == 1
    assert good and "terminate" not in text, f"{name}: status {process.returncode}, {messages}\n{text[-2000:]}"


def ends(name, process, send):
    try:
        return process.communicate(send, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise SystemExit(f"{name}: did not end within {PATIENCE} s") from None


def start(arguments):
    return subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def clean(folder):
    if (folder / "run").exists():
        subprocess.run(["rm", "-rf", folder / "run"], check=True)


def stop(name, arguments, send, output, moment, number):
    """True when the signal came in time."""
    if output:
        output.write_bytes(OLD)
    process = start(arguments)
    if send:
        process.stdin.write(send.encode())
        process.stdin.flush()
    time.sleep(moment)
    process.send_signal(number)
    _, errors = ends(name, process, None)
    if process.returncode == -number and not errors:
        return False  # it came before the program had begun
    stopped = process.returncode != 0
    check(f"{name}, {number.name} after {moment:.3f} s", process, errors, not stopped)
    if output and stopped:
        assert output.read_bytes() == OLD, f"{name}: the output was touched"
        left = [path.name for path in output.parent.iterdir() if path.name.startswith(output.name + ".")]
        assert not left, f"{name}: {left} is left"
    return stopped


def stop_often(folder, dice):
    for name, arguments, send, output in commands(folder):
        clean(folder)
        begin = time.monotonic()
        process = start(arguments)
        _, errors = ends(name, process, send.encode())
        check(name, process, errors, True)
        whole = time.monotonic() - begin
        stopped = 0
        for i in range(rounds):
            clean(folder)
            # Not only while it begins: half of the moments lie in the second half.
            moment = dice.uniform(0.05, whole) if i % 2 else dice.uniform(whole / 2, whole)
            stopped += stop(name, arguments, send, output, moment, (signal.SIGINT, signal.SIGTERM)[i // 2 % 2])
        print(f"{name}: {whole:.1f} s, {rounds} signals, {stopped} in time", flush=True)


def fail_outputs(folder):
    rows = folder / "rows.jsonl"
    options = ["--model", str(model), "--max-tokens", "24"]
    ask = ["generate", *options, "--input", str(rows), "--output"]
    for name, arguments in (("--output /dev/full", [*ask, "/dev/full"]),
                            ("an output that is a folder", [*ask, str(folder)])):
        process = start(arguments)
        _, errors = ends(name, process, None)
        check(name, process, errors, False)
    for name, arguments in (("--output - into /dev/full", [*ask, "-"]), ("--prompt into /dev/full", ["generate", *options, "--prompt", "Once"])):
        with open("/dev/full", "wb") as full:
            process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
            _, errors = ends(name, process, None)
        check(name, process, errors, False)
    read, write = os.pipe()
    process = subprocess.Popen([program, *ask, "-"], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    os.close(read)
    _, errors = ends("a reader that leaves", process, None)
    check("a reader that leaves", process, errors, False)
    print("5 outputs that fail: one message each, status 1", flush=True)


def main():
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        os.environ["FETTLE_CACHE"] = str(path / "cache")
        stop_often(path, random.Random(seed))
        fail_outputs(path)


if __name__ == "__main__":
    main()
