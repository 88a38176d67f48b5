#!/usr/bin/env python3
"""A command whose memory is limited (RLIMIT_AS, RLIMIT_DATA) does its work or says that memory is short: it ends with status 0 or 1, never by a signal.

Usage: memory_limits.py PROGRAM SOURCE [TRIES]
Finds the least limits of address space and of data under which each command works, and tries others from far below up to those.
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
import urllib.request

program, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
tries = int(sys.argv[3]) if len(sys.argv) > 3 else 8
MB = 1 << 20
short = ("memory", "failed to map segment", "cannot create shared object", "cannot allocate TLS", "bad_alloc")


def start(call, kind, limit):
    def less():
        if limit:
            resource.setrlimit(kind, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = {**os.environ, "FETTLE_CACHE": cache, "FETTLE_THREADS": "2"}
    return subprocess.Popen(call, preexec_fn=less, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(call, kind, limit):
    process = start(call, kind, limit)
    try:
        out, error = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return "hangs", process.communicate()[1]
    return process.returncode, error


def serve(call, kind, limit):
    """Status of a server that answers one request and is asked to end."""
    process = start(call + ["--port", "0"], kind, limit)
    os.set_blocking(process.stderr.fileno(), False)
    error, address, ends = b"", None, time.time() + 60
    while process.poll() is None and time.time() < ends and address is None:
        error += process.stderr.read() or b""
        for word in error.decode(errors="replace").split():
            if word.startswith("http://"):
                address = word.rstrip(".,;/")
        time.sleep(0.02)
    if address and process.poll() is None:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Who bakes bread?"}], "max_tokens": 8}).encode()
        try:
            urllib.request.urlopen(urllib.request.Request(address + "/v1/chat/completions", body, {"Content-Type": "application/json"}), timeout=60).read()
        except OSError:
            pass
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        return "hangs", error
    return process.returncode, error + (process.stderr.read() or b"")


def commands(folder):
    model = str(source / "starter/model")
    rows = folder / "rows.jsonl"
    rows.write_text("".join((source / "starter/sft.jsonl").read_text().splitlines(keepends=True)[:12]))
    config = folder / "train.yaml"
    config.write_text(f"method: sft\nmodel: {model}\ndata: {rows}\nout: {folder}/run\nsteps: 2\nbatch_size: 4\nforce_memory: true\n")
    yield "generate", run, ["generate", "--model", model, "--prompt", "Who bakes bread?", "--max-tokens", "8"]
    yield "generate --input", run, ["generate", "--model", model, "--input", str(rows), "--max-tokens", "4", "--output", str(folder / "answers.jsonl")]
    yield "score", run, ["score", "--model", model, "--input", str(rows), "--output", str(folder / "scores.jsonl")]
    yield "train", run, ["train", str(config)]
    yield "export", run, ["export", "--model", model, "--to", "gguf", "--dtype", "q8_0", "--output", str(folder / "out.gguf")]
    yield "serve", serve, ["serve", "--model", model]


def least(works):
    low, high = 0, 4096 * MB
    while high - low > 4 * MB:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def main():
    wrong = 0
    for name, how, words in commands(pathlib.Path(work)):
        call = [str(program), *words]

        def again(kind, limit):
            shutil.rmtree(f"{work}/run", ignore_errors=True)
            return how(call, kind, limit)

        status, error = again(resource.RLIMIT_AS, None)
        assert status == 0, (name, status, error.decode()[-500:])
        seen, begin, needs = {}, time.time(), []
        for kind, what in ((resource.RLIMIT_AS, "address space"), (resource.RLIMIT_DATA, "data")):
            need = least(lambda limit: again(kind, limit)[0] == 0)
            needs.append(f"{need // MB} MB of {what}")
            for limit in [need * i // tries for i in range(1, tries + 1)] + [need - MB * i for i in range(1, 9)]:
                if limit < program.stat().st_size:
                    continue  # the system cannot map the program itself, and ends it before it begins
                status, error = again(kind, limit)
                text = error.decode(errors="replace")
                seen[status] = seen.get(status, 0) + 1
                # 127: the loader had no room for the libraries, and the program did not begin.
                if status != 0 and not (status in (1, 127) and any(word in text for word in short)):
                    wrong += 1
                    print(f"WRONG {name} with {limit // 1024} KB of {what}: status {status}: {text.strip()[-200:]}")
        counts = ", ".join(f"{count} of status {status}" for status, count in sorted(seen.items(), key=str))
        print(f"{name}: needs {' or '.join(needs)}; {sum(seen.values())} limits: {counts}; {time.time() - begin:.0f} s")
    sys.exit(1 if wrong else 0)


with tempfile.TemporaryDirectory() as work:
    cache = work + "/cache"
    main()
