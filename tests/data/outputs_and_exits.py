#!/usr/bin/env python3
"""What goes to standard output, what the exit status says of inputs that cannot be read, and which calls are refused.

Usage: outputs_and_exits.py PROGRAM MODEL
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

PROGRAM, MODEL = sys.argv[1], sys.argv[2]
failures = []


def check(what, holds, *shown):
    if not holds:
        failures.append(what)
        print("WRONG", what, *shown)


def run(*words, stdin=""):
    done = subprocess.run([PROGRAM, *words], input=stdin, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def standard_output(folder):
    rows = folder / "rows.jsonl"
    rows.write_text('{"id":"a","prompt":"q","completion":"I cannot"}\n{"id":"b","prompt":"q","completion":"yes"}\nbroken\n')
    phrases = folder / "phrases.txt"
    phrases.write_text("i cannot\n")
    call = ["data", "filter", "--input", str(rows), "--phrases", str(phrases)]
    out = folder / "out.jsonl"
    for name in ("-", "/dev/stdout", "/dev/fd/1"):
        status, text, _ = run(*call, "--output", name)
        check(f"--output {name}", status == 0 and [row["id"] for row in rows_of(text)] == ["b"], status, text)
        status, text, _ = run(*call, "--output", str(out), "--rejected", name)
        check(f"--rejected {name}", status == 0 and [row["reason"] for row in rows_of(text)] == ["phrase", "not valid JSON"], status, text)
        status, text, _ = run(*call, "--output", str(out), "--report", name)
        check(f"--report {name}", status == 0 and json.loads(text)["out"] == 1, status, text)
    for flags in (["--json"], ["--quiet"]):
        status, text, _ = run(*flags, *call, "--output", str(out), "--report", "-")
        check(f"--report - {flags}", status == 0 and json.loads(text)["in"] == 3, status, text)
    status, text, _ = run("data", "stats", "--input", str(rows), "--report", "-")
    check("stats --report -", status == 0 and json.loads(text)["rows"] == 2, status, text)
    for flags, named in ((["--rejected", "-"], ["--output", "--rejected"]), (["--report", "-", "--output", "-"], ["--output", "--report"]),
                         (["--output", str(out), "--rejected", "-", "--report", "/dev/stdout"], ["--rejected", "--report"]),
                         (["--output", str(out), "--rejected", str(out)], ["--output", "--rejected"])):
        status, text, error = run(*call, *flags)
        check(f"refuses {flags}", status == 2 and not text and all(name in error for name in named), status, text, error)
    # A redirected standard output is written from where it stands.
    with open(folder / "log", "w+") as log:
        log.write("before\n")
        log.flush()
        subprocess.run([PROGRAM, *call, "--output", "/dev/stdout"], stdout=log, stderr=subprocess.DEVNULL, check=True)
        log.seek(0)
        lines = log.read().splitlines()
    check("a redirected /dev/stdout keeps what stood there", lines[0] == "before" and len(lines) == 2, lines)
    check("no file is called '-'", not pathlib.Path("-").exists())


def pipes(folder):
    """Inputs and outputs that are pipes, also where the input is read twice."""
    rows = "".join(json.dumps({"id": str(i), "text": "one two three four five six seven eight nine ten " + "x" * (i % 2)}) + "\n" for i in range(20))
    for flags in ([], ["--near"], ["--keep", "longest"]):
        status, text, error = run("data", "dedupe", "--input", "-", *flags, stdin=rows)
        check(f"dedupe {flags} of standard input", status == 0 and 1 <= len(rows_of(text)) <= 2, status, text, error)
    status, text, error = run("data", "split", "--by", "near", "--input", "-", "--eval", str(folder / "eval.jsonl"), stdin=rows)
    check("split --by near of standard input", status == 0 and len(rows_of(text)) + len(rows_of((folder / "eval.jsonl").read_text())) == 20, error)
    fifo, out = folder / "fifo", folder / "out-fifo"
    os.mkfifo(fifo)
    os.mkfifo(out)
    threading.Thread(target=lambda: fifo.write_text(rows), daemon=True).start()
    got = []
    reader = threading.Thread(target=lambda: got.append(out.read_text()), daemon=True)
    reader.start()
    status, _, error = run("data", "dedupe", "--near", "--input", str(fifo), "--output", str(out))
    reader.join(60)
    check("dedupe from a pipe to a pipe", status == 0 and got and len(rows_of(got[0])) >= 1, status, error)


def unread_inputs(folder):
    good, junk, cut, gone, empty = (folder / name for name in ("good.jsonl", "junk.jsonl", "cut.jsonl.gz", "gone.jsonl", "empty.jsonl"))
    good.write_text('{"id":"g","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n')
    junk.write_text("no\nrows\n")
    cut.write_bytes(b"\x1f\x8b\x08")
    empty.write_text("")
    out = folder / "kept.jsonl"
    verbs = {"dedupe": [], "dedupe near": ["--near"], "filter": ["--min-turns", "1"], "convert": [], "split": ["--eval", str(folder / "held.jsonl")],
             "mix": ["--in-order"]}
    for verb, flags in verbs.items():
        for bad in (junk, cut, gone):
            out.unlink(missing_ok=True)
            status, text, error = run("data", verb.split()[0], "--input", str(good), str(bad), "--output", str(out), *flags)
            written = rows_of(out.read_text()) if out.exists() else []
            held = rows_of((folder / "held.jsonl").read_text()) if verb == "split" else []
            check(f"{verb} of a good input and {bad.name}", status == 1 and str(bad) in error and len(written) + len(held) == 1, status, written, error)
        status, text, error = run("data", verb.split()[0], "--input", str(gone), "--output", str(out), *flags)
        check(f"{verb} of a missing input", status == 1 and "no such file" in error.lower() and "1 dropped" not in error, status, error)
        status, text, error = run("data", verb.split()[0], "--input", str(good), str(empty), "--output", str(out), *flags)
        check(f"{verb} of an empty input beside a good one", status == 0, status, error)
    status, text, error = run("data", "stats", "--input", str(good), str(junk))
    check("stats", status == 1 and str(junk) in error and "1 rows" in text, status, text, error)
    status, _, error = run("data", "convert", "--input", str(folder / "unknown.jsonl"), "--output", str(out))
    (folder / "unknown.jsonl").write_text('{"x":1}\n{"x":2}\n')
    status, _, error = run("data", "convert", "--input", str(folder / "unknown.jsonl"), "--output", str(out))
    check("convert of rows of no format", status == 1 and "x" in error, status, error)
    for command in (["tokenize"], ["score"], ["generate", "--max-tokens", "1"]):
        for bad in (junk, cut, gone):
            status, _, error = run(*command, "--model", MODEL, "--input", str(bad), "--output", str(out))
            check(f"{command[0]} of {bad.name}", status == 1 and str(bad) in error, status, error)
    config = folder / "train.yaml"
    for bad in (junk, gone):
        config.write_text(f"method: sft\nmodel: {MODEL}\ndata: [{good}, {bad}]\nout: {folder}/run\nsteps: 1\n")
        status, _, error = run("train", str(config))
        check(f"train with {bad.name}", status == 1 and str(bad) in error and not (folder / "run" / "model.safetensors").exists(), status, error)
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"steps:\n  one: {{do: dedupe, input: [{good}, {junk}]}}\n")
    status, _, error = run("run", str(recipe), "--out", str(folder / "recipe"))
    check("a recipe's step", status == 1 and str(junk) in error, status, error)


def unused_options(folder):
    rows = folder / "r.jsonl"
    rows.write_text('{"id":"a","text":"x"}\n')
    for verb, flags in (("dedupe", ["--threshold", "0.5"]), ("dedupe", ["--score-field", "s"]), ("filter", ["--fields", "output"]),
                        ("filter", ["--overlap", "0.5"]), ("filter", ["--model", MODEL]), ("filter", ["--min-confidence", "0.5"]),
                        ("convert", ["--max-length", "8"]), ("convert", ["--eval-ratio", "0.1"]), ("convert", ["--model", MODEL, "--to", "text"]),
                        ("stats", ["--flow", str(rows)]), ("show", ["--train-on", "all"]), ("show", ["--raw"])):
        status, text, error = run("data", verb, "--input", str(rows), *flags)
        check(f"{verb} refuses {flags[0]}", status == 2 and flags[0] in error and not text, status, text, error)
    status, _, error = run("data", "filter", "--input", str(rows), "--field", "modle=x", "--output", str(folder / "o.jsonl"))
    check("a rule on a field that no row has is warned about", status == 0 and "modle" in error, status, error)


def main():
    with tempfile.TemporaryDirectory() as name:
        for part in (standard_output, pipes, unread_inputs, unused_options):
            folder = pathlib.Path(name) / part.__name__
            folder.mkdir()
            part(folder)
    print("wrong:" if failures else "all as documented", *failures, sep="\n  " if failures else "")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
