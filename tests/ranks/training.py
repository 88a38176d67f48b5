#!/usr/bin/env python3
"""Training by ranks: the losses of one process within rounding, the same bits twice; one of two ranks killed or told to stop, and
the run gone on with by one, two and three; faults of one rank end the job with its message.

Usage: training.py FETTLE SOURCE [KILLS]
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from mpirun import check, check_same_bytes, command, environment, errors, need_mpirun, run

program, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
kills = int(sys.argv[3]) if len(sys.argv) > 3 else 2
CLOSE = 2e-4  # relative; sums of f32 gradients in another order, carried on through the steps
MEASURED = {"seconds", "tokens_per_second", "peak_memory_bytes"}


def config(folder, name, **keys):
    """A run of a few steps; its tokens and reference sums lie in the folder."""
    made = {"model": str(source / "starter/model"), "method": "sft", "data": str(source / "starter/sft.jsonl"), "train_on": "assistant", "batch_size": 8,
            "max_length": 128, "steps": 6, "learning_rate": 1e-3, "micro_tokens": 128, "dtype": "f32", "out": str(folder / name), "token_cache": str(folder / "tokens"), **keys}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(made))
    return path


def env_of(folder):
    return environment(FETTLE_CACHE=folder / "cache")


def rows(folder, name, file="metrics.jsonl"):
    return [{key: value for key, value in json.loads(line).items() if key not in MEASURED} for line in (folder / name / file).read_text().splitlines()]


def numbers(value):
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    return [value]


def check_close(one, other, what, tolerance=CLOSE):
    check(len(one) == len(other), what, len(one), "and", len(other), "rows")
    worst = 0.0
    for a, b in zip(one, other):
        check(a.keys() == b.keys(), what, a, b)
        for x, y in zip(numbers(a), numbers(b)):
            worst = max(worst, abs(x - y) / max(1e-3, abs(x), abs(y)))
    check(worst <= tolerance, what, f"differ by {worst:.1e}\n", one, "\n", other)
    return worst


def train(folder, ranks, path, status=0):
    return run(ranks, [program, "train", path], status=status, env=env_of(folder))


METHODS = {
    "sft": {"eval": "starter/held_out_sft.jsonl", "eval_every": 3},
    "sft_lora_dropout": {"adapter": {"rank": 4, "alpha": 8, "dropout": 0.1}},
    "sft_split_turns": {"split_turns": True, "optimizer": {"name": "adamw8bit"}, "micro_tokens": 192},
    "dpo": {"method": "dpo", "data": "starter/pairs.jsonl", "eval": "starter/held_out.jsonl", "eval_every": 3, "learning_rate": 1e-4,
            "keep_best": "reward_accuracy", "micro_tokens": 256},
    "kto": {"method": "kto", "data": "starter/pairs.jsonl", "eval": "starter/held_out.jsonl", "learning_rate": 1e-4, "micro_tokens": 256, "max_length": 96},
    "orpo": {"method": "orpo", "data": "starter/pairs.jsonl", "learning_rate": 1e-4, "micro_tokens": "auto"},
}


def check_methods(folder):
    held_out = [json.loads(line) for line in (source / "starter/held_out.jsonl").read_text().splitlines()]
    (folder / "held_out_sft.jsonl").write_text("".join(json.dumps({"prompt": row["prompt"], "completion": row["chosen"]}) + "\n" for row in held_out[:60]))
    for name, keys in METHODS.items():
        keys = dict(keys)
        for key in ("data", "eval"):
            if key in keys:
                keys[key] = str(folder / "held_out_sft.jsonl" if "held_out_sft" in keys[key] else source / keys[key])
        if keys.get("method") in ("dpo", "kto"):
            for key in ("data", "eval"):
                small = folder / f"{name}-{key}.jsonl"
                lines = pathlib.Path(keys[key]).read_text().splitlines()[:80]
                if name == "kto":
                    judged = [json.loads(line) for line in lines]
                    lines = [json.dumps({"prompt": r["prompt"], "completion": r["chosen" if i % 2 else "rejected"], "label": bool(i % 2)}) for i, r in enumerate(judged)]
                small.write_text("\n".join(lines) + "\n")
                keys[key] = str(small)
        worst = 0.0
        for ranks in (1, 2, 3):
            train(folder, ranks, config(folder, f"{name}{ranks}", **keys))
            worst = max(worst, check_close(rows(folder, f"{name}1"), rows(folder, f"{name}{ranks}"), f"{name} by {ranks} ranks"))
            if "eval" in keys:
                worst = max(worst, check_close(rows(folder, f"{name}1", "eval.jsonl"), rows(folder, f"{name}{ranks}", "eval.jsonl"), f"{name}'s evaluation"))
            shutil.rmtree(folder / "cache", ignore_errors=True)
        train(folder, 2, config(folder, f"{name}2b", **keys))
        check(rows(folder, f"{name}2") == rows(folder, f"{name}2b"), name, "two runs by two ranks differ")
        weights = "adapter_model.safetensors" if "adapter" in keys else "model.safetensors"
        check_same_bytes(folder / f"{name}2" / weights, folder / f"{name}2b" / weights, name)
        print(f"{name}: 2 and 3 ranks within {worst:.1e} of one, two runs equal")


def ranks_below(process):
    """The ranks that an mpirun started, in the order of their numbers."""
    found = {}
    for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
        try:
            above = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        rank = [v for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
        if above == process.pid and rank:
            found[int(rank[0].split(b"=")[1])] = int(pid)
    return [found[rank] for rank in sorted(found)]


def interrupted_run(folder, path, name, rank, sent, at_step):
    """A signal to one of two ranks when so many steps are logged. What mpirun said, and its status."""
    process = subprocess.Popen(command(2, [str(program), "train", str(path)]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=env_of(folder), stdin=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        states = list((folder / name / "state").glob("step-" + "[0-9]" * 8 + "/state.json")) if (folder / name / "state").is_dir() else []
        if len(states) >= 1 and at_step <= max(int(p.parent.name[5:]) for p in states):
            break
        time.sleep(0.01)
    ranks = ranks_below(process)
    check(process.poll() is None and len(ranks) == 2, "the run ended before it was to be stopped")
    os.kill(ranks[rank], sent)
    said, _ = process.communicate(timeout=120)
    return said, process.returncode


def check_stops(folder):
    keys = {"steps": 60, "save_every": 2, "schedule": {"name": "cosine", "warmup": 0.1}, "optimizer": {"name": "adamw"}}
    for ranks in (1, 2):
        train(folder, ranks, config(folder, f"whole{ranks}", **keys))
    whole = {ranks: rows(folder, f"whole{ranks}") for ranks in (1, 2)}
    for sent, rank in [(signal.SIGKILL, i % 2) for i in range(kills)] + [(signal.SIGINT, 0), (signal.SIGTERM, 1)]:
        what = f"{signal.Signals(sent).name} to rank {rank}"
        path = config(folder, "stopped", **keys)
        shutil.rmtree(folder / "stopped", ignore_errors=True)
        said, status = interrupted_run(folder, path, "stopped", rank, sent, 4)
        check(status != 0, what, "ended with status 0\n", said)
        if sent == signal.SIGKILL:
            check("on signal 9" in said, what, said)
        else:
            spoken = errors(said)
            check(len(spoken) == 1 and "stopped after step" in spoken[0], what, said)
            step = int(spoken[0].split("stopped after step ")[1].split(" ")[0])
            check((folder / "stopped/state" / f"step-{step:08}" / "state.json").exists(), what, "did not save step", step)
        check(not (folder / "stopped/fettle.json").exists(), what, "left a finished run")
        worst = {}
        for ranks in (1, 2, 3):
            again = folder / f"again{ranks}"
            shutil.rmtree(again, ignore_errors=True)
            shutil.copytree(folder / "stopped", again)
            _, said = train(folder, ranks, config(folder, f"again{ranks}", **keys))
            check("going on after step" in said, what, said)
            if ranks == 2:
                check(rows(folder, "again2") == whole[2], what, "two ranks went on to other numbers")
                check_same_bytes(again / "model.safetensors", folder / "whole2/model.safetensors", what)
            else:
                check("will differ in their last bits" in said, what, "nothing is said of the other number of ranks", said)
                worst[ranks] = check_close(whole[1], rows(folder, f"again{ranks}"), f"{what}, gone on with by {ranks}", 2e-3)
        print(f"{what}: gone on with by 2 bit for bit, by 1 and 3 within {max(worst.values()):.1e}")
    _, said = train(folder, 2, config(folder, "whole2", **keys))
    check("is finished already" in said, said)


def check_faults(folder):
    """What one rank meets is said once, and no rank is left waiting."""
    data = (source / "starter/sft.jsonl").read_text().splitlines(keepends=True)
    for rank, lines in enumerate((data[:200], data[1:201])):
        (folder / f"of{rank}").mkdir()
        (folder / f"of{rank}/sft.jsonl").write_text("".join(lines))
    path = config(folder, "mixed", data="sft.jsonl")
    _, said = run(2, ["sh", "-c", f"cd {folder}/of$OMPI_COMM_WORLD_RANK && exec {program} train {path}"], status=1, env=env_of(folder))
    check(len(errors(said)) == 1 and "data_hash" in errors(said)[0] and "rank 1 of 2" in errors(said)[0], said)
    (folder / "of1/sft.jsonl").unlink()
    _, said = run(2, ["sh", "-c", f"cd {folder}/of$OMPI_COMM_WORLD_RANK && exec {program} train {path}"], status=1, env=env_of(folder))
    check(len(errors(said)) == 1 and "rank 1 of 2" in errors(said)[0] and "sft.jsonl" in errors(said)[0], said)
    wrong = config(folder, "wrong", learning_rate=-1)
    _, said = train(folder, 2, wrong, status=None)
    check(len(errors(said)) == 1 and "learning_rate" in errors(said)[0], said)
    blows = config(folder, "blows", learning_rate=1e18, max_grad_norm=0, optimizer={"name": "sgd"}, steps=40)
    _, said = train(folder, 2, blows, status=1)
    check(len(errors(said)) == 1 and "step" in errors(said)[0], said)
    _, said = run(2, [program, "train", "-"], status=2)
    check(len(errors(said)) == 1 and "only once" in errors(said)[0], said)
    out, _ = run(2, [program, "train", config(folder, "dry"), "--dry-run"], env=env_of(folder))
    check(out.count("2 ranks share the micro-batches") == 1, out)
    print("faults: said once, by the rank that met them")


need_mpirun()
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    check_methods(folder)
    check_stops(folder)
    check_faults(folder)
