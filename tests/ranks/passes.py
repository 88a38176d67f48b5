#!/usr/bin/env python3
"""Data passes by two and three ranks write what one process writes, byte for byte: rows, rejected rows, clusters and reports.
What ranks cannot share is refused, and so are inputs that are not the same on all of them.

Usage: passes.py FETTLE MODEL
"""
import json
import pathlib
import random
import sys
import tempfile

from mpirun import check, check_same_bytes, environment, errors, need_mpirun, run

program, model = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def write_rows(path, count, seed):
    """Chats with exact and near duplicates far from each other, refusals, scores, broken rows and rows of other formats."""
    draw = random.Random(seed)
    words = [f"word{i}" for i in range(400)] + ["I cannot help with that.", "As an AI language model", "Das ist ein deutscher Satz."]
    texts = [" ".join(draw.choice(words) for _ in range(draw.randrange(20, 90))) for _ in range(count // 2)]
    with open(path, "w") as file:
        for i in range(count):
            text = draw.choice(texts)
            if draw.random() < 0.5:
                text = " ".join(word if draw.random() > 0.01 else "changed" for word in text.split(" "))
            row = {"id": f"row-{i}", "score": draw.randrange(100), "source": draw.choice(["a", "b"]),
                   "messages": [{"role": "user", "content": f"Tell me about {draw.choice(words)}."}, {"role": "assistant", "content": text}]}
            if draw.random() < 0.2:
                del row["id"]
            kind = draw.random()
            if kind < 0.01:
                file.write('{"broken": \n')
            elif kind < 0.02:
                file.write(json.dumps({"nothing": "known", "odd": i}) + "\n")
            elif kind < 0.03:
                file.write(json.dumps({"prompt": "Who?", "chosen": "Bob " * 9, "rejected": "Eve " * 9}) + "\n")
            else:
                file.write(json.dumps(row) + "\n")


def write_pages(folder):
    draw = random.Random(3)
    folder.mkdir()
    for i in range(90):
        paragraphs = "".join(f"<h2>Part {j} of the harbour</h2><p>{' '.join(draw.choice(['ship', 'quay', 'crane', 'The tide', 'is', 'high.']) for _ in range(120))}</p>"
                             for j in range(60))
        (folder / f"page{i:02}.html").write_text(f"<html><title>Harbours {i % 40}</title><body><main>{paragraphs}</main></body></html>")
    (folder / "page11b.html").write_bytes(b"\xff\xfe\x00\xd8" * 30)


def commands(folder):
    rows = folder / "rows.jsonl"
    base = lambda verb, *more: ["data", verb, "--input", rows, folder / "more.jsonl", "--output", "out.jsonl", "--rejected", "rejected.jsonl",
                                "--report", "report.json", *more]
    yield "filter", base("filter", "--phrases", "wizardlm-unfiltered", "--language", "en,de", "--min-characters", "90", "--field", "source!=c",
                         "--on-phrase", "drop-pair")
    yield "filter, tokens", base("filter", "--max-tokens", "150", "--model", model)
    yield "convert", base("convert", "--to", "sharegpt")
    yield "convert to tokens", base("convert", "--model", model, "--max-length", "256")
    yield "split", base("split", "--eval", "eval.jsonl", "--share", "0.2")
    yield "split by near", base("split", "--eval", "eval.jsonl", "--share", "0.2", "--by", "near")
    yield "dedupe", base("dedupe")
    yield "dedupe, clusters", base("dedupe", "--clusters", "clusters.jsonl")
    yield "dedupe --near", base("dedupe", "--near", "--clusters", "clusters.jsonl", "--threshold", "0.7")
    yield "dedupe --near, longest", base("dedupe", "--near", "--keep", "longest")
    yield "dedupe, best", base("dedupe", "--keep", "best")
    yield "binarize", ["data", "binarize", "--input", folder / "ranked.jsonl", "--output", "out.jsonl", "--report", "report.json"]
    yield "segment", ["data", "segment", "--input", folder / "pages", "--output", "out.jsonl", "--rejected", "rejected.jsonl", "--report", "report.json",
                      "--min-characters", "100"]
    yield "clean", ["data", "clean", "--input", folder / "pages", "--output", "out.jsonl", "--rejected", "rejected.jsonl", "--report", "report.json"]


def check_passes(folder):
    for name, arguments in commands(folder):
        for ranks in (1, 2, 3):
            place = folder / f"{ranks}"
            for old in place.glob("*"):
                old.unlink()
            place.mkdir(exist_ok=True)
            run(ranks, [program, *arguments], cwd=place)
        names = sorted(path.name for path in (folder / "1").iterdir())
        check("report.json" in names, name, "wrote", names)
        for ranks in (2, 3):
            found = sorted(path.name for path in (folder / f"{ranks}").iterdir())
            check(found == names, name, f"by {ranks} ranks left", found, "and not", names)
            for file in names:
                check_same_bytes(folder / "1" / file, folder / f"{ranks}" / file, f"{name} by {ranks} ranks")
        report = json.loads((folder / "1/report.json").read_text())
        print(f"{name}: {report['in']} rows in, {report['out']} out, the same from 1, 2 and 3 ranks")


def check_refusals(folder):
    rows = folder / "rows.jsonl"
    for arguments in (["data", "stats", "--input", rows], ["data", "mix", "--input", rows, "--output", folder / "x.jsonl"], ["info", model],
                      ["chat", "--model", model], ["serve", "--model", model, "--port", "0"], ["run", folder / "r.yaml"], ["doctor"],
                      ["generate", "--model", model, "--prompt", "Hello"]):
        _, said = run(2, [program, *arguments], status=2)
        check(len(errors(said)) == 1 and "was started as 2 ranks by mpirun" in errors(said)[0], arguments[0], said)
    _, said = run(2, [program, "data", "filter", "--input", "-", "--output", folder / "x.jsonl"], status=2)
    check(len(errors(said)) == 1 and "only once" in errors(said)[0], said)
    _, said = run(2, [program, "data", "filter", "--input", folder / "nowhere.jsonl", "--output", folder / "nothing.jsonl"], status=None)
    check(len(errors(said)) == 1 and "nowhere.jsonl" in said, said)
    _, said = run(2, [program, "data", "filter", "--input", rows, "--output", folder / "x.jsonl"], status=1,
                  env=environment(FETTLE_MPI_LIBRARY=folder / "libmpi.so"))
    check(len(errors(said)) == 1 and "Open MPI cannot be loaded" in errors(said)[0], said)
    # Slurm without MPI's plug-in: each task would do all of the work.
    _, said = run(1, [program, "data", "filter", "--input", rows, "--output", folder / "x.jsonl"], status=1,
                  env=environment(SLURM_STEP_NUM_TASKS=2, SLURM_STEP_ID=0, SLURM_PROCID=0))
    check(len(errors(said)) == 1 and "Open MPI sees 1" in errors(said)[0], said)
    check(not (folder / "x.jsonl").exists(), "a refused command wrote its output")
    print("refusals: each said once, with status 2 or 1")


def check_other_contents(folder):
    """Each rank in a folder of its own, where the same name means another file."""
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    changed = lines[:-2] + [lines[-2].replace("word", "wOrd"), lines[-1]]
    for what, there in {"contents": changed, "more": lines + lines[:3], "fewer": lines[:len(lines) // 3], "nothing": []}.items():
        for rank, content in enumerate((lines, there)):
            place = folder / f"other{rank}"
            place.mkdir(exist_ok=True)
            (place / "rows.jsonl").write_text("".join(content))
        for verb in (["filter"], ["dedupe", "--near"], ["generate"], ["score"]):
            verb = ["data", *verb] if verb[0] in ("filter", "dedupe") else [*verb, "--model", model, "--raw"]
            inside = f'cd {folder}/other$OMPI_COMM_WORLD_RANK && exec {program} {" ".join(map(str, verb))} --input rows.jsonl --output out.jsonl'
            _, said = run(2, ["sh", "-c", inside], status=1)
            check(len(errors(said)) == 1 and "rank 1 of 2" in errors(said)[0] and "finds" in errors(said)[0], what, verb, said)
            check(not (folder / "other0/out.jsonl").exists(), what, verb, "wrote its output")
    print("other contents on one rank: refused")


need_mpirun()
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_rows(folder / "rows.jsonl", 4000, 1)
    write_rows(folder / "more.jsonl", 1500, 2)
    write_pages(folder / "pages")
    (folder / "ranked.jsonl").write_text("".join(json.dumps(
        {"source": "made", "instruction": f"Question {i}?", "completions": [{"response": f"Answer {i} {j}", "overall_score": (i * j) % 5, "model": f"m{j}"}
                                                                            for j in range(4)]}) + "\n" for i in range(5000)))
    check_passes(folder)
    check_refusals(folder)
    check_other_contents(folder)
