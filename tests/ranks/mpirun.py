"""Starts fettle as one process or as ranks, for the tests beside this file."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

LIMIT = 300  # seconds for one run


def need_mpirun():
    if shutil.which("mpirun") is None:
        print("skipped: mpirun is not installed (Debian: openmpi-bin)")
        sys.exit(77)


def command(ranks, arguments):
    """One rank starts without mpirun, as a user would start it."""
    if ranks == 1:
        return arguments
    return ["mpirun", "-n", str(ranks), "--oversubscribe", "--allow-run-as-root", "--bind-to", "none", *arguments]


def environment(**more):
    return {**os.environ, "FETTLE_THREADS": "1", **{name: str(value) for name, value in more.items()}}


def run(ranks, arguments, status=0, cwd=None, env=None):
    """Standard output and error of a run that ends with this status (None: any but 0)."""
    done = subprocess.run(command(ranks, [str(a) for a in arguments]), capture_output=True, text=True, timeout=LIMIT, cwd=cwd,
                          env=env or environment(), stdin=subprocess.DEVNULL)
    right = done.returncode == status if status is not None else done.returncode != 0
    if not right:
        raise AssertionError(f"{ranks} ranks of {' '.join(map(str, arguments))}: status {done.returncode}, wanted {status}\n{done.stdout}\n{done.stderr}")
    return done.stdout, done.stderr


def errors(text):
    """The lines in which fettle, not mpirun, speaks of an error."""
    return [line for line in text.splitlines() if re.match(r"error", line)]


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def check_same_bytes(a, b, what):
    one, other = pathlib.Path(a).read_bytes(), pathlib.Path(b).read_bytes()
    if one == other:
        return
    at = next((i for i, (x, y) in enumerate(zip(one, other)) if x != y), min(len(one), len(other)))
    raise AssertionError(f"{what}: {a} and {b} differ at byte {at}: {one[max(0, at - 80):at + 80]!r} and {other[max(0, at - 80):at + 80]!r}")
