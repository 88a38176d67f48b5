#!/usr/bin/env python3
"""Fails when a module includes one that it may not, or a room of a module one that comes after it: the one-way rule of
docs/architecture.md. Tests stand beside what they test and may include more.

Usage: include_directions.py SRC [--self-test]
"""
import pathlib
import re
import sys

ALLOWED = {
    "base": [],
    "parallel": ["base"],
    "tensor": ["base"],
    "kernels": ["base", "tensor"],
    "model": ["base", "tensor", "kernels", "text"],
    "checkpoint": ["base", "tensor", "kernels", "text", "model"],
    "text": ["base"],
    "data": ["base", "parallel", "text"],
    "generate": ["base", "parallel", "tensor", "kernels", "model", "checkpoint", "text"],
    "train": ["base", "parallel", "tensor", "kernels", "model", "checkpoint", "text", "data", "generate"],
    "feedback": ["base", "text", "data", "generate"],
    "evaluate": ["base", "text", "data", "generate", "feedback"],
    "map": ["base", "tensor", "kernels"],
    "hub": ["base"],
    "verbs": ["base", "parallel", "tensor", "kernels", "model", "checkpoint", "text", "data", "generate", "feedback", "evaluate", "hub"],
    "serve": ["base", "tensor", "kernels", "model", "checkpoint", "text", "generate", "evaluate"],
}
# The rooms of a module, each including only those before it; files in the module's own folder come last.
ROOMS = {
    "text": ["unicode", "tokenizer", "jinja", "chat"],
    "data": ["rows", "compression", "parquet", "files", "signals", "training", "passes", "html", "openchat"],
    "serve": ["http", "store", "models", "api"],
}
EVERYTHING = list(ALLOWED) + ["recipe"]
ALLOWED["recipe"] = list(ALLOWED)
ALLOWED["cli"] = EVERYTHING
ALLOWED["api"] = EVERYTHING
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/(?:([a-z_0-9]+)/)?')
BESIDE = re.compile(r"_(test|fuzz)$|^test_")


def place(module, room):
    return ROOMS[module].index(room) if room in ROOMS[module] else len(ROOMS[module])


def violations(src):
    found, seen = [], 0
    for path in sorted(src.rglob("*")):
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
            continue
        seen += 1
        module = path.relative_to(src).parts[0]
        if module not in ALLOWED:
            found.append(f"{path}: module '{module}' has no place in the list")
            continue
        room = path.relative_to(src).parts[1] if len(path.relative_to(src).parts) > 2 else ""
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if target in ALLOWED and target != module and target not in ALLOWED[module]:
                found.append(f"{path}:{number}: {module} may not include {target}")
            elif target == module in ROOMS and not BESIDE.search(path.stem) and place(module, match.group(2)) > place(module, room):
                found.append(f"{path}:{number}: {module}/{room} may not include {module}/{match.group(2) or ''}")
    return found, seen


def self_test():
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        (src / "base").mkdir()
        (src / "base" / "bad.h").write_text('#include "train/trainer.h"\n')
        found, _ = violations(src)
        assert len(found) == 1 and "base may not include train" in found[0], found
        (src / "data" / "rows").mkdir(parents=True)
        (src / "data" / "rows" / "bad.h").write_text('#include "data/passes/pass.h"\n')
        (src / "data" / "rows" / "good_test.cpp").write_text('#include "data/passes/pass.h"\n')
        found, _ = violations(src)
        assert len(found) == 2 and "data/rows may not include data/passes" in found[1], found


if __name__ == "__main__":
    self_test()
    found, seen = violations(pathlib.Path(sys.argv[1]))
    if seen == 0:
        found.append(f"no source files under {sys.argv[1]}")
    print("\n".join(found) or f"{seen} files, every include runs one way")
    sys.exit(1 if found else 0)
