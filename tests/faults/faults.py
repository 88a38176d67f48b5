#!/usr/bin/env python3
"""Fails the n-th call of every class (open, read, write, … and allocations) in every command, and looks at what comes of it: either
the right output, or status 1, a message that says why, and every old output as it was. A command that goes on where it stopped must
come to the right output in the next call. Nothing may be left lying about, no signal may end the program, nothing may hang. The JSON library is not safe where one small
allocation of its own fails (a value is marked as an object before it has one, and a destructor takes memory): of the faults of
allocations, two in a hundred may end in a signal.

Usage: faults.py PROGRAM LIBRARY SOURCE [--sorter PROGRAM] [--sample N | --every] [--seed S] [--jobs J] [--only NAME…] [--classes CLASS…]
  --sample N   N faults in all, drawn by the seed (default 300)
  --every      every n of every class; of allocations --allocations N (default 400) for each command, drawn by the seed
"""
import argparse
import collections
import concurrent.futures
import errno
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

from cases import Workshop, cases

CLASSES = ["open", "read", "pread", "write", "pwrite", "fsync", "rename", "close", "mmap", "ftruncate", "mkdir", "opendir", "readdir", "unlink",
           "stat", "copy", "new", "malloc"]
SHORT, LASTS = "short", "+"
FAULTS = {"open": ["EACCES", "EMFILE", "EIO", "EINTR"], "read": ["EIO", "EINTR", SHORT], "pread": ["EIO", "EINTR", SHORT],
          "write": ["ENOSPC+", "EIO", "EINTR", SHORT], "pwrite": ["ENOSPC+", "EIO", "EINTR", SHORT], "fsync": ["EIO", "ENOSPC", "EINTR"],
          "rename": ["EIO", "ENOSPC", "EACCES"], "close": ["EIO", "ENOSPC"], "mmap": ["ENOMEM"], "ftruncate": ["EIO", "ENOSPC"],
          "mkdir": ["EACCES", "ENOSPC"], "opendir": ["EACCES", "EMFILE"], "readdir": ["EIO"], "unlink": ["EIO", "EACCES"],
          "stat": ["EIO", "EACCES"], "copy": ["EIO", "ENOSPC", SHORT], "new": ["ENOMEM", "ENOMEM+"], "malloc": ["ENOMEM", "ENOMEM+"]}
ALLOCATIONS = ("new", "malloc")
# What a pass says when it could not read one of several inputs, and one of two readings when it could in the other.
PARTLY, CHANGED = "what the others hold is written", "changed while it was read"
# Libraries whose own allocations are spared: libgomp ends the process with a message of its own, oneDNN does not look at what it got.
SPARED = "libgomp libdnnl ld-linux"


class Injector:
    """Runs a case with one fault and judges it."""

    def __init__(self, workshop, library, case):
        self.workshop, self.library, self.case = workshop, library, case
        self.table = workshop.folder / "table"
        done = self.start()
        assert done.returncode == 0, f"{case.name} fails without a fault: {done.stderr.decode(errors='replace')}"
        self.counts, _ = self.read_table()
        self.right, self.said = workshop.content(case), done.stdout
        assert all(value is not None for value in self.right.values()), (case.name, self.right)
        self.files_at_end = workshop.files()
        workshop.clean()
        self.old, self.files_before = workshop.content(case), workshop.files()

    def read_table(self):
        values = struct.unpack(f"{len(CLASSES) + 1}Q", self.table.read_bytes())
        return dict(zip(CLASSES, values)), values[-1]

    def start(self, kind=None, nth=0, what=None):
        self.workshop.clean()
        self.table.write_bytes(bytes(8 * (len(CLASSES) + 1)))
        environment = {**self.workshop.environment(), "FAULT_UNDER": str(self.workshop.folder), "FAULT_TABLE": str(self.table), "FAULT_SPARES": SPARED,
                       "LD_PRELOAD": str(self.library)}
        if kind:
            name = what.rstrip(LASTS)
            environment |= {"FAULT_CLASS": kind, "FAULT_NTH": str(nth), "FAULT_ERRNO": str(-1 if name == SHORT else getattr(errno, name))}
            if what.endswith(LASTS):
                environment["FAULT_LASTS"] = "1"
        return self.workshop.run(self.case, environment)

    def is_unclear(self, kind, what, said):
        if not said.strip():
            return "no message"
        if kind in ALLOCATIONS or what == "ENOMEM":
            return None if "memory" in said else f"a message that does not speak of memory: {said.strip()[-300:]}"
        if kind == "stat":
            return None  # what cannot be looked at counts as not there
        if kind in ("open", "read") and CHANGED in said:
            return None
        reason = os.strerror(getattr(errno, what.rstrip(LASTS)))
        return None if reason.lower() in said.lower() else f"a message without '{reason}': {said.strip()[-300:]}"

    def wrong(self, kind, nth, what):
        """None, or what is wrong with how the program took this fault; and whether the fault came at all."""
        try:
            done = self.start(kind, nth, what)
        except subprocess.TimeoutExpired:
            return "hangs", True
        _, failed = self.read_table()
        said, content = done.stderr.decode(errors="replace"), self.workshop.content(self.case)
        if "Fatal glibc error" in said and kind in ALLOCATIONS:
            return None, failed  # the C library's own end: a thread's destructors could not be noted down
        if done.returncode not in (0, 1):
            return f"status {done.returncode}: {said.strip()[-300:]}", failed
        if done.returncode == 0:
            if content != self.right:
                return f"status 0 and another output: {said.strip()[-300:]}", failed
            return ("another text on standard output" if done.stdout != self.said else None), failed
        if not failed:
            return f"status 1 without a fault: {said.strip()[-300:]}", failed
        if what in (SHORT, "EINTR"):
            return f"does not go on after {what}: {said.strip()[-300:]}", failed
        if unclear := self.is_unclear(kind, what, said):
            return unclear, failed
        if PARTLY in said and kind in ("open", "read", "opendir", "readdir", "stat"):
            return None, failed
        return self.left_wrong(kind, content), failed

    def left_wrong(self, kind, content):
        """What a failed call left behind that it should not have."""
        if self.case.resumes:
            again = self.workshop.run(self.case)
            if again.returncode != 0:
                return f"the next call fails: {again.stderr.decode(errors='replace').strip()[-300:]}"
            if self.workshop.content(self.case) != self.right:
                return "the next call ends with another output"
        else:
            for name, value in content.items():
                if value not in (self.old[name], self.right[name]):
                    return f"{name} is neither the old one nor the new one"
        if kind in ("unlink", "opendir", "readdir", "stat", "open"):
            return None  # what cannot be removed stays
        if kind in ALLOCATIONS:  # without memory nothing may be removed either; then the next calls do it
            self.workshop.run(self.case)
            self.workshop.must("data", "dedupe", "--near", "--input", str(self.workshop.folder / "in/rows.jsonl"), "--output", "/dev/null")
        left = {name for name in self.workshop.files() - self.files_before - self.files_at_end if ".tmp-" in name or ".writing-" in name or name.startswith("tmp/")}
        return f"left behind: {sorted(left)[:3]}" if left else None


def planned(injector, every, allocations, random_, kinds):
    """(class, n, error) of one command."""
    rows = []
    for kind in kinds:
        count = injector.counts[kind]
        numbers = range(1, count + 1)
        if kind in ALLOCATIONS and count > allocations // 2:
            # The first ones are the program's start, which is the same everywhere: half are drawn evenly, half by magnitude.
            drawn = {random_.randint(1, count) for _ in range(allocations // 4)} | {int(count ** random_.random()) for _ in range(allocations // 4)}
            numbers = sorted(drawn)
        rows += [(kind, number, what) for number in numbers for what in FAULTS[kind]]
    return rows


def judge(injector, rows):
    found, came = [], collections.Counter()
    for kind, number, what in rows:
        wrong, failed = injector.wrong(kind, number, what)
        came[kind] += bool(failed)
        if wrong:
            found.append((injector.case.name, kind, number, what, wrong))
            print(f"WRONG {injector.case.name}: {kind} {number} {what}: {wrong}", flush=True)
    return found, came


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("library")
    parser.add_argument("source")
    parser.add_argument("--sorter", default="")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--allocations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--classes", nargs="+", default=CLASSES)
    options = parser.parse_args()
    begin, random_ = time.time(), random.Random(options.seed)
    chosen = [case for case in cases(options.sorter) if not options.only or case.name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        workshops = [Workshop(options.program, options.source, pathlib.Path(folder).resolve() / str(job)) for job in range(options.jobs)]
        for workshop in workshops:
            workshop.write_inputs()

        def work(job):
            """Every jobs-th command, one after another: two commands never share a folder."""
            injectors = [Injector(workshops[job], options.library, case) for case in chosen[job::options.jobs]]
            return [(injector, planned(injector, options.every, options.allocations, random.Random(f"{options.seed} {injector.case.name}"), options.classes))
                    for injector in injectors]

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            plans = list(pool.map(work, range(options.jobs)))
            whole = sum(len(rows) for plan in plans for _, rows in plan)
            share = 1 if options.every else min(1, options.sample / whole)
            plans = [[(injector, [row for row in rows if random_.random() < share]) for injector, rows in plan] for plan in plans]
            print(f"seed {options.seed}: {sum(len(rows) for plan in plans for _, rows in plan)} of {whole} faults in {len(chosen)} commands", flush=True)
            results = list(pool.map(lambda plan: [(injector, rows, *judge(injector, rows)) for injector, rows in plan], plans))
    print("| command | " + " | ".join(options.classes) + " | wrong |\n|" + " --- |" * (len(options.classes) + 2))
    for injector, rows, found, came in (row for result in results for row in result):
        print(f"| {injector.case.name} | " + " | ".join(str(came[kind] or "") for kind in options.classes) + f" | {len(found) or ''} |")
    wrong = [each for result in results for row in result for each in row[2]]
    came = sum((row[3] for result in results for row in result), collections.Counter())
    ended = [each for each in wrong if each[1] in ALLOCATIONS and each[4].startswith("status -")]
    print(f"{sum(came.values())} faults came, {len(wrong)} were taken wrongly, of which {len(ended)} allocations ended in a signal; {time.time() - begin:.0f} s")
    sys.exit(1 if len(wrong) > len(ended) or len(ended) > max(1, 0.02 * sum(came[kind] for kind in ALLOCATIONS)) else 0)


if __name__ == "__main__":
    main()
