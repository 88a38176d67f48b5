#!/usr/bin/env python3
"""A recipe that is killed at many moments ends with what an undisturbed run makes; then nothing runs again.

Usage: killed_run.py FETTLE SOURCE
Runs recipes/starter.yaml on few rows: once undisturbed, once killed with SIGKILL in every step and between steps.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

program, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
timing = {"seconds", "tokens_per_second", "peak_memory_bytes"}


def head(name, folder, count):
    lines = (source / "starter" / name).read_text().splitlines(keepends=True)[:count]
    (folder / name).write_text("".join(lines))
    return folder / name


class Case:
    def __init__(self, folder, name):
        self.out, self.environment = folder / name, {**os.environ, "FETTLE_CACHE": str(folder / f"{name}-cache")}
        held_out = head("held_out.jsonl", folder, 24)
        self.call = [str(program), "--json", "run", str(source / "recipes/starter.yaml"), "--out", str(self.out)]
        for assignment in (f"sft.data={head('sft.jsonl', folder, 96)}", f"dpo.data={head('pairs.jsonl', folder, 48)}", f"dpo.eval={held_out}",
                           f"score.data={held_out}", f"sample.prompts={head('prompts.jsonl', folder, 2)}", "sft.batch_size=8", "dpo.batch_size=6",
                           "sft.epochs=1", "dpo.epochs=1", "sft.micro_tokens=512", "dpo.micro_tokens=512", "sft.save_every=2", "dpo.save_every=2"):
            self.call += ["--set", assignment]

    def start(self, *more):
        return subprocess.Popen([*self.call, *more], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, *more):
        """The plan as the program reports it, and the names of the steps that ran."""
        process = self.start(*more)
        report, log = process.communicate()
        assert process.returncode == 0, log
        return json.loads(report)["steps"], [line.split()[1] for line in log.splitlines() if line.startswith("==> ")]

    def kill_when(self, moment):
        process = self.start()
        while process.poll() is None and not moment():
            time.sleep(0.005)
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return killed

    def step(self, name):
        folders = list((self.out / "steps").glob(f"{name}-*"))
        return folders[0] if folders else self.out / "steps" / name

    def rows(self, name):
        metrics = self.step(name) / "model" / "metrics.jsonl"
        return len(metrics.read_text().splitlines()) if metrics.exists() else 0

    def is_finished(self, name):
        return (self.step(name) / "step.json").exists()


def moments(case):
    yield "pulling", lambda: case.step("base").exists()
    yield "before the first save of sft", lambda: case.rows("sft") >= 1
    yield "in sft", lambda: case.rows("sft") >= 5
    yield "later in sft", lambda: case.rows("sft") >= 9
    yield "after sft", lambda: case.is_finished("sft")
    yield "at the start of dpo", lambda: case.step("dpo").exists()
    yield "in dpo", lambda: case.rows("dpo") >= 3
    yield "after dpo", lambda: case.is_finished("dpo")
    yield "in score", lambda: case.step("score").exists()
    yield "in sample", lambda: case.step("sample").exists()
    yield "in report", lambda: case.step("report").exists()


def timeless(path):
    return [{key: value for key, value in json.loads(line).items() if key not in timing} for line in path.read_text().splitlines()]


def compare(one, other):
    for step in ("sft", "dpo"):
        for name in ("model.safetensors", "eval.jsonl"):
            a, b = one.step(step) / "model" / name, other.step(step) / "model" / name
            assert a.exists() == b.exists() and (not a.exists() or a.read_bytes() == b.read_bytes()), f"{step}: {name} differs"
        a, b = (timeless(case.step(step) / "model" / "metrics.jsonl") for case in (one, other))
        assert a == b and a, f"{step}: metrics differ"
    for step, name in (("score", "score.json"), ("sample", "samples.json")):
        assert (one.step(step) / name).read_bytes() == (other.step(step) / name).read_bytes(), f"{name} differs"
    assert "Held-out pairs" in (other.out / "report.html").read_text()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        calm, disturbed = Case(folder, "calm"), Case(folder, "disturbed")
        steps, ran = calm.finish()
        assert ran == [step["step"] for step in steps], ran
        kills = [what for what, moment in moments(disturbed) if disturbed.kill_when(moment)]
        print("killed", ", ".join(kills))
        assert len(kills) >= 8, "the run was over before it could be killed"
        disturbed.finish()
        compare(calm, disturbed)
        _, ran = disturbed.finish()
        assert ran == [], f"ran again: {ran}"
        planned, _ = disturbed.finish("--set", "dpo.beta=0.3", "--dry-run")
        assert {step["step"] for step in planned if not step["finished"]} == {"dpo", "score", "sample", "report"}, planned
        _, ran = disturbed.finish("--set", "dpo.beta=0.3")
        assert sorted(ran) == ["dpo", "report", "sample", "score"], ran
        print("equal to the undisturbed run; nothing ran again; another beta ran", ", ".join(ran))


main()
