#!/usr/bin/env python3
"""Fails when a command that makes files is no step of recipes, or when one of its flags has no key there.

Usage: verbs_are_steps.py PROGRAM
"""
import json
import re
import subprocess
import sys

MAKES_NO_FILES = {"info", "run", "chat", "serve", "doctor", "bench", "data clean-cache"}
# The training config is a table of its own (docs/training.md): its keys are the step's.
ANOTHER_TABLE = {"train"}
# What shows something in the terminal instead of writing it.
TERMINAL_ALONE = {"generate": {"prompt"}, "diff": {"most"}, "pull": {"list"}}
MAIN_OUTPUT = {"data stats": {"html"}}  # elsewhere it is `output`
OF_ALL = {"help", "version", "quiet", "json", "threads"}


def help_of(program, *command):
    return subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True).stdout


def commands(text):
    section = text.partition("Subcommands:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\S+)", section, re.M)


def flags(text):
    """Every option's names, without dashes, as keys are written."""
    before = text.partition("Examples:")[0]
    found = [re.findall(r"--([a-z][a-z0-9-]*)", line) for line in re.findall(r"^  (?:-h,)?(--\S+)", before, re.M)]
    found += [[name.lower()] for name in re.findall(r"^  ([A-Z]+) ", before, re.M)]
    return [{name.removeprefix("no-").replace("-", "_") for name in names} for names in found]


def main(program):
    steps = {step["do"]: step for step in json.loads(subprocess.run([program, "--json", "run", "--steps"], capture_output=True, text=True, check=True).stdout)["steps"]}
    names = [(name,) for name in commands(help_of(program)) if name != "data"]
    names += [("data", name) for name in commands(help_of(program, "data"))]
    assert len(names) > 15, names
    wrong = []
    for command in names:
        shown = " ".join(command)
        if shown in MAKES_NO_FILES or shown in ANOTHER_TABLE:
            continue
        step = steps.get(command[-1])
        if step is None:
            wrong.append(f"{shown} is no step")
            continue
        known = {"output", *step["outputs"], *OF_ALL, *TERMINAL_ALONE.get(shown, ()), *MAIN_OUTPUT.get(shown, ())}
        for key in step["keys"]:
            known |= {key["name"], *key["aliases"]}
        given = flags(help_of(program, *command))
        wrong += [f"{shown}: --{'/'.join(sorted(names))} has no key" for names in given if not names & known]
        offered = set().union(*given)
        wrong += [f"{shown}: the key {key['name']} has no flag" for key in step["keys"] if key["name"] not in offered]
    print("\n".join(wrong) or f"{len(names)} commands, every one that makes files is a step with all of its keys")
    sys.exit(1 if wrong else 0)


main(sys.argv[1])
