#!/usr/bin/env python3
"""Kills every long command (SIGKILL) at random moments and starts it again until it is done, stops it with SIGINT and SIGTERM, and
runs it twice at once on one output. The end must be what an undisturbed run makes; on the way every output is the old one or the
new one, whole; nothing is left lying about.

Usage: kills.py PROGRAM SOURCE [--kills 12] [--signals N] [--pairs N] [--seed S] [--only NAME…]
Prints the seed; the same seed draws the same moments, as shares of the time that an undisturbed run takes.
"""
import argparse
import collections
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from cases import Workshop, cases

LONG = ["train on", "train on pairs", "run", "pull", "generate", "score", "tokenize", "dedupe near", "split by near", "mix", "filter", "segment",
        "convert to Parquet", "convert to tokens", "export to GGUF", "export merged", "diff"]


class Chain:
    def __init__(self, workshop, case, random_):
        self.workshop, self.case, self.random = workshop, case, random_
        workshop.clean()
        begin = time.monotonic()
        done = workshop.run(case)
        self.seconds = time.monotonic() - begin
        assert done.returncode == 0, f"{case.name}: {done.stderr.decode(errors='replace')}"
        self.right, self.files_at_end = workshop.content(case), workshop.files()
        workshop.clean()
        self.old, self.files_before = workshop.content(case), workshop.files()

    def start(self):
        return subprocess.Popen(self.workshop.command(self.case), env=self.workshop.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)

    def check_whole(self):
        """Every file is the old one or the new one; what a command goes on from is judged at the end."""
        if self.case.resumes:
            return
        for name, value in self.workshop.content(self.case).items():
            assert value in (self.old[name], self.right[name]), f"{name} is neither the old one nor the new one"

    def check_end(self):
        assert self.workshop.content(self.case) == self.right, "the end is not that of an undisturbed run"
        left = self.left_behind()
        assert not left, f"left behind: {left[:3]}"

    def left_behind(self):
        return sorted(name for name in self.workshop.files() - self.files_before - self.files_at_end
                      if ".tmp-" in name or ".writing-" in name or name.startswith("tmp/"))

    def finish(self):
        done = self.workshop.run(self.case)
        assert done.returncode == 0, f"the next call fails: {done.stderr.decode(errors='replace')[-300:]}"
        self.check_end()

    def wait_then_send(self, process, number):
        """True when the signal found the program alive."""
        time.sleep(self.random.uniform(0, 1.05) * self.seconds)
        if process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def kill(self, count):
        """Up to `count` kills one after another; a call that finishes before its kill ends the chain. The number of kills."""
        self.workshop.clean()
        kills = 0
        while kills < count:
            process = self.start()
            killed = self.wait_then_send(process, signal.SIGKILL)
            said = process.communicate(timeout=120)[1].decode(errors="replace")
            assert killed or process.returncode == 0, f"fails after {kills} kills: {said[-300:]}"
            kills += killed
            self.check_whole()
            if not killed:
                break
        self.finish()
        return kills

    def stop(self, number):
        """One SIGINT or SIGTERM, once the program listens. True when it came before the end."""
        self.workshop.clean()
        process = self.start()
        while process.poll() is None and not listens(process.pid, number):
            time.sleep(0.001)
        sent = self.wait_then_send(process, number)
        said = process.communicate(timeout=120)[1].decode(errors="replace")
        assert process.returncode in ((0, 1, 130) if sent else (0,)), f"status {process.returncode}: {said[-300:]}"
        errors = [line for line in said.splitlines() if line.startswith("error")]
        assert process.returncode != 1 or len(errors) == 1, f"not one message: {said[-300:]}"
        self.check_whole()
        left = self.left_behind()
        assert not left or self.case.resumes or process.returncode == 130, f"left behind: {left[:3]}"
        self.finish()
        return sent

    def two_at_once(self):
        """Both do the work, or one says why it does not; afterwards the output is right."""
        self.workshop.clean()
        first = self.start()
        time.sleep(self.random.uniform(0, 0.5) * self.seconds)
        second = self.start()
        ends = []
        for process in (first, second):
            said = process.communicate(timeout=120)[1].decode(errors="replace")
            assert process.returncode in (0, 1), f"status {process.returncode}: {said[-300:]}"
            assert process.returncode == 0 or said.strip(), "no message"
            ends.append(process.returncode)
        assert 0 in ends, f"neither did the work: {said[-300:]}"
        self.check_end()
        self.finish()


def listens(process, number):
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(caught) and int(caught[0], 16) >> (number - 1) & 1 == 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("source")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--signals", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random_, begin = random.Random(options.seed), time.time()
    counts, wrong = collections.defaultdict(collections.Counter), 0
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(options.program, options.source, pathlib.Path(folder).resolve() / "0")
        workshop.write_inputs()
        chains = [Chain(workshop, case, random_) for case in cases() if case.name in (options.only or LONG)]
        random_.shuffle(chains)
        plan = [("kills", options.kills), ("signals", options.signals), ("pairs", options.pairs)]
        for what, count in plan:
            done = turn = 0
            while done < count and turn < 20 * count + len(chains):  # short commands are over before a late kill
                chain = chains[turn % len(chains)]
                turn += 1
                try:
                    if what == "kills":
                        got = chain.kill(min(random_.randint(1, 6), count - done))
                    elif what == "signals":
                        got = chain.stop(random_.choice([signal.SIGINT, signal.SIGTERM]))
                    else:
                        chain.two_at_once()
                        got = 1
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    got = 1
                    wrong += 1
                    counts[chain.case.name]["wrong"] += 1
                    print(f"WRONG {chain.case.name}, {what}: {error}", flush=True)
                counts[chain.case.name][what] += got
                done += got
    print("| command | kills | signals | two at once | wrong |\n| --- | --- | --- | --- | --- |")
    for name, row in counts.items():
        print(f"| {name} | {row['kills']} | {row['signals']} | {row['pairs']} | {row['wrong'] or ''} |")
    total = sum(counts.values(), collections.Counter())
    print(f"{total['kills']} kills, {total['signals']} signals, {total['pairs']} times two at once: {wrong} wrong; {time.time() - begin:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
