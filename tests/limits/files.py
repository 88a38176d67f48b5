#!/usr/bin/env python3
"""Limits of size, links, pipes in the place of files, folders that vanish, and what killed commands leave.

Usage: files.py PROGRAM SOURCE
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

program, source = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
model = source / "starter/model"
failures, checks = [], 0


def check(what, holds, *shown):
    global checks
    checks += 1
    if not holds:
        failures.append(what)
        print("WRONG", what, *shown)


def run(*words, limit=None, seconds=60, **more):
    def less():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        done = subprocess.run([program, *map(str, words)], preexec_fn=less, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        return "hangs", "", ""
    return done.returncode, done.stdout, done.stderr


def names(folder, mark=".tmp-"):
    return [str(path) for path in folder.rglob("*") if mark in path.name]


def chats(path, count):
    rows = [{"id": str(i), "messages": [{"role": "user", "content": f"Question {i}?"}, {"role": "assistant", "content": f"Answer {i} " * 9}]} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train_config(folder, out, **more):
    config = {"method": "sft", "model": str(model), "data": str(chats(folder / "chats.jsonl", 12)), "out": str(out), "steps": 2, "batch_size": 4, **more}
    (folder / "train.yaml").write_text("".join(f"{key}: {value}\n" for key, value in config.items()))
    return folder / "train.yaml"


def size_limits(folder):
    rows = chats(folder / "rows.jsonl", 3000)
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"steps:\n  one: {{do: data, input: {rows}}}\n")
    calls = {"convert": ["data", "convert", "--input", rows, "--to", "sharegpt", "--output", folder / "out.jsonl"],
             "dedupe": ["data", "dedupe", "--near", "--input", rows, "--output", folder / "out.jsonl"],
             "export": ["export", "--model", model, "--to", "gguf", "--output", folder / "out.gguf"],
             "export hf": ["export", "--model", model, "--to", "hf", "--output", folder / "out"],
             "train": ["train", train_config(folder, folder / "run")],
             "run": ["run", recipe, "--out", folder / "recipe"]}
    for name, call in calls.items():
        status, _, error = run(*call, limit=20_000)
        check(f"{name} beyond the largest file", status == 1 and "File too large" in error, status, error[-300:])
        check(f"{name} leaves nothing half-written", not names(folder) and not (folder / "out.jsonl").exists() and not (folder / "out.gguf").exists()
              and not (folder / "out").exists(), names(folder))


def links(folder):
    rows, target, link = chats(folder / "rows.jsonl", 3), folder / "elsewhere" / "real.jsonl", folder / "link.jsonl"
    target.parent.mkdir()
    link.symlink_to(target)
    status, _, error = run("data", "convert", "--input", rows, "--output", link)
    check("an output that is a link is written at its target", status == 0 and link.is_symlink() and len(target.read_text().splitlines()) == 3, status, error)
    (folder / "real").mkdir()
    (folder / "model").symlink_to("real")
    status, _, error = run("export", "--model", model, "--to", "hf", "--output", folder / "model", "--no-check")
    check("so is a folder", status == 0 and (folder / "model").is_symlink() and (folder / "real/config.json").exists(), status, error)
    (folder / "stdout").symlink_to("/dev/stdout")
    for name in ("/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", folder / "stdout"):
        with open(folder / "log", "w+") as log:
            log.write("before\n")
            log.flush()
            done = subprocess.run([program, "data", "convert", "--input", rows, "--output", name], stdout=log, stderr=subprocess.PIPE)
            log.seek(0)
            lines = log.read().splitlines()
        check(f"--output {name} redirected", done.returncode == 0 and len(lines) == 4 and lines[0] == "before", done.stderr, len(lines))
        check(f"{name} is still there", os.path.islink(name))
    mine = folder / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    status, _, error = run("export", "--model", model, "--to", "hf", "--output", mine, "--no-check")
    check("a folder that holds no model is not replaced", status == 1 and (mine / "letter.txt").read_text() == "mine" and str(mine) in error, status, error)


def with_pipe(folder, name):
    """A copy of the model in which one file is a pipe that nobody writes to."""
    copy = folder / f"model-{name}"
    shutil.copytree(model, copy)
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    return copy


def pipes(folder):
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    rows = chats(folder / "rows.jsonl", 3)
    generate = ["generate", "--prompt", "Hi", "--max-tokens", "2", "--model"]
    calls = {"train": ["train", pipe], "run": ["run", pipe], "model": [*generate, pipe], "tokenizer": ["tokenize", "--model", pipe, "--input", rows],
             "schema": [*generate, model, "--schema", pipe], "template": [*generate, model, "--chat-template", pipe],
             "keys": ["serve", "--model", model, "--port", "0", "--api-keys-file", pipe], "export": ["export", "--model", pipe, "--output", folder / "x"],
             "phrases": ["data", "filter", "--input", rows, "--phrases", pipe, "--output", folder / "x"],
             "tokenizer of export": ["export", "--model", model, "--tokenizer", pipe, "--output", folder / "x"]}
    adapter = folder / "adapter"
    adapter.mkdir()
    os.mkfifo(adapter / "adapter_config.json")
    calls["adapter"] = [*generate, model, "--adapter", adapter]
    for name in ("config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
                 "special_tokens_map.json", "chat_template.jinja"):
        calls[f"a model's {name}"] = [*generate, with_pipe(folder, name)]
    for name, call in calls.items():
        status, _, error = run(*call, seconds=30)
        check(f"a pipe as {name}", status in (1, 2), status, error[-300:])
        if name not in ("keys", "template"):
            check(f"a pipe as {name} is named", "pipe" in error, error[-300:])
    status, _, error = run(*generate, "/dev/zero", seconds=30)
    check("a device as a model", status == 1 and "/dev/zero" in error, status, error[-300:])


def waiting(folder):
    """A signal ends a command that waits for a pipe: one that nobody opens, one that nobody reads, an input that does not come."""
    rows, unread, unopened = chats(folder / "rows.jsonl", 3000), folder / "unread", folder / "unopened"
    os.mkfifo(unread)
    os.mkfifo(unopened)
    reader = os.open(unread, os.O_RDONLY | os.O_NONBLOCK)
    convert = ["data", "convert", "--to", "sharegpt", "--input", rows, "--output"]
    for name, call in {"unread": [*convert, unread], "unopened": [*convert, unopened], "a config that does not come": ["train", "-"]}.items():
        process = subprocess.Popen([program, *map(str, call)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1)
        waited = process.poll() is None
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            status = "hangs"
        error = process.communicate()[1].decode()
        check(f"waiting for a pipe ends with a signal: {name}", waited and status == 1 and "nterrupted" in error, waited, status, error)
    os.close(reader)


def vanished(folder):
    out = folder / "run"
    config = train_config(folder, out, steps=40, save_every=5)
    process = subprocess.Popen([program, "train", config], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    while process.poll() is None and not (out / "metrics.jsonl").exists():
        time.sleep(0.01)
    shutil.rmtree(out, ignore_errors=True)
    _, error = process.communicate(timeout=120)
    check("training into a folder that was removed", process.returncode == 1 and str(out) in error.decode(), process.returncode, error[-300:])
    out = folder / "data"
    process = subprocess.Popen([program, "data", "convert", "--input", "-", "--output", out / "x.jsonl"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not out.exists():
        time.sleep(0.01)
    time.sleep(0.05)
    shutil.rmtree(out)
    _, error = process.communicate(chats(folder / "rows.jsonl", 3).read_bytes(), timeout=60)
    check("a data pass into a folder that was removed", process.returncode == 1 and str(out) in error.decode(), process.returncode, error[-300:])


def cut_models(folder):
    def cut(call, ready):
        own = shutil.copytree(model, folder / "model", dirs_exist_ok=True)
        process = subprocess.Popen([program, *map(str, call), "--model", str(own)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        ready(process)
        os.truncate(own / "model.safetensors", 4096)
        _, error = process.communicate(timeout=120)
        check(f"{call[0]}: a model that is cut", process.returncode == 1 and b"model.safetensors: changed while it was read" in error, process.returncode, error[-300:])
    rows, out = folder / "rows.jsonl", folder / "out.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"What is {i}?"}) + "\n" for i in range(20000)))
    out.write_text("old\n")
    def answering(process):
        while process.poll() is None and not names(folder):
            time.sleep(0.01)
    cut(["generate", "--input", rows, "--output", out, "--max-tokens", 40], answering)
    check("generate: a model that is cut leaves the old output", out.read_text() == "old\n")
    cut(["serve", "--port", "0", "--no-votes"], lambda process: next(line for line in process.stderr if b"is served at" in line))


def leftovers(folder):
    temporary, out = folder / "tmp", folder / "out"
    temporary.mkdir()
    out.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    rows = chats(folder / "rows.jsonl", 300)
    call = [program, "data", "dedupe", "--near", "--input", "-", "--output", str(out / "x.jsonl")]
    process = subprocess.Popen(call, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    process.stdin.write(rows.read_bytes())
    process.stdin.flush()
    while process.poll() is None and not any(temporary.iterdir()):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    check("a killed pass left its folder", any(temporary.iterdir()))
    config = train_config(folder, folder / "run", steps=30, save_every=1)
    seed = int.from_bytes(os.urandom(4), "little")
    for round_ in range(6):
        trained = subprocess.Popen([program, "train", config], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
        exported = subprocess.Popen([program, "export", "--model", str(model), "--output", str(out / "model")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(0.05 + (seed >> round_ * 5 & 31) * 0.02)
        for killed in (trained, exported):
            killed.kill()
            killed.communicate()
    status, _, error = run(*call[1:5], rows, *call[6:], env=environment)
    check("the pass after it", status == 0, status, error[-300:])
    status, _, error = run("train", config, env=environment)
    check(f"the run after kills (seed {seed})", status == 0, status, error[-300:])
    status, _, error = run("export", "--model", model, "--output", out / "model", "--no-check")
    check("the export after kills", status == 0, status, error[-300:])
    left = names(out) + names(folder / "run") + [str(path) for path in temporary.iterdir()]
    check(f"nothing is left of what was killed (seed {seed})", not left, left)


def reasons(folder):
    secret, closed = folder / "secret.jsonl", folder / "closed"
    chats(secret, 2)
    closed.mkdir()
    shutil.copytree(model, closed / "model")
    secret.chmod(0)
    closed.chmod(0)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)

    def nobody():
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
    # The checkout itself may lie where nobody else may look.
    own, rows, recipe = folder / "fettle", chats(folder / "rows.jsonl", 2), shutil.copy(source / "recipes/starter.yaml", folder)
    shutil.copy(program, own)
    try:
        subprocess.run([own, "--version"], preexec_fn=nobody, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        print("reasons: skipped, another user cannot run a program in", folder)
        closed.chmod(0o755)
        return
    calls = {"input": ["data", "stats", "--input", secret], "model": ["generate", "--prompt", "x", "--model", closed / "model"], "config": ["train", secret],
             "recipe": ["run", secret], "output": ["data", "convert", "--input", rows, "--output", closed / "x.jsonl"],
             "run": ["run", recipe, "--out", closed / "x"]}
    for name, call in calls.items():
        done = subprocess.run([own, *map(str, call)], preexec_fn=nobody, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "FETTLE_CACHE": str(folder / "cache"), "HOME": str(folder)})
        place = str(secret) if secret in call else str(closed)
        check(f"no permission: {name}", done.returncode in (1, 2) and "ermission denied" in done.stderr and place in done.stderr, done.returncode, done.stderr[-300:])
    closed.chmod(0o755)


def main():
    with tempfile.TemporaryDirectory() as name:
        for part in (size_limits, links, pipes, waiting, vanished, cut_models, leftovers, reasons):
            folder = pathlib.Path(name) / part.__name__
            folder.mkdir()
            begin = time.time()
            part(folder)
            print(f"{part.__name__}: {time.time() - begin:.1f} s")
    print("wrong:" if failures else f"{checks} checks, all as documented", *failures, sep="\n  " if failures else "")
    sys.exit(1 if failures else 0)


main()
