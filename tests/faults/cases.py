"""The commands that tests of faults and kills disturb: what each reads, what it writes, and what must be in it at the end."""
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time

TIMING = {"seconds", "tokens_per_second", "peak_memory_bytes"}


@dataclasses.dataclass
class Case:
    name: str
    words: list  # of the command line; {in} and {out} are folders
    outputs: list  # names in {out}; a folder's name ends with a slash
    resumes: bool = False  # what a failed call left is gone on from by the next
    program: str = ""  # another program than fettle


def cases(sorter=""):
    model, rows = "{in}/model", "{in}/rows.jsonl"
    data = [
        ("convert to Parquet", ["convert", "--input", rows, "--output", "{out}/rows.parquet"], ["rows.parquet"]),
        ("convert from Parquet", ["convert", "--input", "{in}/rows.parquet", "--output", "{out}/rows.jsonl.gz"], ["rows.jsonl.gz"]),
        ("convert to tokens", ["convert", "--model", model, "--input", rows, "--output", "{out}/tokens.jsonl", "--report", "{out}/tokens.json"],
         ["tokens.jsonl", "tokens.json"]),
        ("dedupe", ["dedupe", "--input", rows, "{in}/again.jsonl.gz", "--output", "{out}/unique.jsonl", "--rejected", "{out}/rejected.jsonl"],
         ["unique.jsonl", "rejected.jsonl"]),
        ("dedupe near", ["dedupe", "--near", "--input", rows, "{in}/again.jsonl.gz", "--output", "{out}/unique.jsonl", "--clusters", "{out}/clusters.jsonl"],
         ["unique.jsonl", "clusters.jsonl"]),
        ("split by near", ["split", "--by", "near", "--share", "0.3", "--input", rows, "--output", "{out}/train.jsonl", "--eval", "{out}/eval.jsonl"],
         ["train.jsonl", "eval.jsonl"]),
        ("filter", ["filter", "--min-turns", "2", "--input", rows, "--output", "{out}/kept.jsonl", "--rejected", "{out}/rejected.jsonl", "--report",
                    "{out}/filter.json"], ["kept.jsonl", "rejected.jsonl", "filter.json"]),
        ("mix", ["mix", "--input", rows + "=0.5", "{in}/pairs.jsonl=2", "--output", "{out}/mixed.jsonl"], ["mixed.jsonl"]),
        ("segment", ["segment", "--input", "{in}/pages", "--output", "{out}/segments.jsonl"], ["segments.jsonl"]),
        ("stats", ["stats", "--input", rows, "--report", "{out}/stats.json"], ["stats.json"]),
        ("show", ["show", "--input", rows, "--model", model], []),
    ]
    made = [Case(name, ["data", *words], outputs) for name, words, outputs in data]
    made += [
        Case("info of a model", ["info", model], []),
        Case("info of data", ["--json", "info", "{in}/rows.parquet"], []),
        Case("tokenize", ["tokenize", "--model", model, "--input", rows, "--output", "{out}/ids.jsonl"], ["ids.jsonl"]),
        Case("score", ["score", "--model", model, "--input", "{in}/held_out.jsonl", "--output", "{out}/scores.jsonl"], ["scores.jsonl"]),
        Case("generate", ["generate", "--model", model, "--input", "{in}/prompts.jsonl", "--max-tokens", "4", "--output", "{out}/answers.jsonl"],
             ["answers.jsonl"]),
        Case("generate with an adapter", ["generate", "--model", "{in}/adapter", "--prompt", "Who bakes bread?", "--max-tokens", "4"], []),
        Case("export to GGUF", ["export", "--model", model, "--to", "gguf", "--dtype", "q8_0", "--output", "{out}/model.gguf"], ["model.gguf"]),
        Case("export merged", ["export", "--model", "{in}/adapter", "--to", "hf", "--output", "{out}/merged"], ["merged/"]),
        Case("export an adapter", ["export", "--model", "{in}/adapter", "--to", "gguf-lora", "--output", "{out}/lora.gguf"], ["lora.gguf"]),
        Case("diff", ["diff", model, "{in}/merged", "--output", "{out}/difference"], ["difference/"]),
        Case("train an adapter", ["train", "{in}/sft.yaml"], ["sft/"], resumes=True),
        Case("train on", ["train", "{in}/on.yaml"], ["on/"], resumes=True),
        Case("train on pairs", ["train", "{in}/dpo.yaml"], ["dpo/"], resumes=True),
        Case("run", ["run", "{in}/recipe.yaml", "--out", "{out}/run"], ["run/"], resumes=True),
        Case("pull", ["pull", "starter"], [], resumes=True),
    ]
    if sorter:
        made.append(Case("dedupe that spills", ["{in}/rows.jsonl", "{out}/unique.jsonl"], ["unique.jsonl"], program=sorter))
    return made


CONFIG = """method: {method}
model: {model}
data: {data}
out: {out}
steps: {steps}
batch_size: 2
max_length: 64
micro_tokens: 256
save_every: 1
learning_rate: 1.0e-3
{more}
"""
RECIPE = """name: small
steps:
  unique: {{do: dedupe, input: {folder}/in/rows.jsonl, near: true}}
  kept: {{do: filter, input: "${{unique}}", min_turns: 1}}
  sft: {{do: train, method: sft, model: {folder}/in/model, data: "${{kept}}", steps: 2, batch_size: 2, max_length: 64, micro_tokens: 256,
        save_every: 1, adapter: {{rank: 2}}}}
  gguf: {{do: export, model: "${{sft}}", to: gguf}}
  report: {{do: report, train: ["${{sft}}"]}}
"""
PAGE = """<html><head><title>On {0}</title></head><body><h1>On {0}</h1><p>{1}</p><h2>More of it</h2><p>{1} {1}</p><ul><li>one</li><li>two</li></ul></body></html>"""


class Workshop:
    """A folder in which cases run: {in} is shared by all, {out}, the temporary folder and the cache are one run's own."""

    def __init__(self, program, source, folder):
        self.program, self.source, self.folder = str(pathlib.Path(program).resolve()), pathlib.Path(source).resolve(), pathlib.Path(folder)
        self.old = self.folder / "old"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.old.mkdir()

    def environment(self):
        return {**os.environ, "TMPDIR": str(self.folder / "tmp"), "FETTLE_CACHE": str(self.folder / "cache"), "FETTLE_THREADS": "2", "GOMP_SPINCOUNT": "1000"}

    def command(self, case):
        places = {"in": str(self.folder / "in"), "out": str(self.folder / "out")}
        return [case.program or self.program, *(word.format(**places) for word in case.words)]

    def clean(self):
        """What one run may write, as it stands before: old outputs of another content."""
        for name in ("out", "tmp", "cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.old, self.folder / "out")
        (self.folder / "tmp").mkdir()
        (self.folder / "cache").mkdir()

    def run(self, case, environment=None, timeout=120):
        return subprocess.run(self.command(case), env=environment or self.environment(), capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)

    def must(self, *words):
        done = subprocess.run([self.program, *words], env=self.environment(), capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (words, done.stderr.decode(errors="replace"))

    def write_inputs(self):
        into, starter = self.folder / "in", self.source / "starter"
        into.mkdir()
        self.clean()
        (into / "model").symlink_to(starter / "model")
        for name, count in (("sft", 40), ("pairs", 8), ("held_out", 6), ("prompts", 2)):
            lines = (starter / f"{name}.jsonl").read_text().splitlines(keepends=True)[:count]
            (into / f"{'rows' if name == 'sft' else name}.jsonl").write_text("".join(lines))
        scored = [json.loads(line) for line in (into / "held_out.jsonl").read_text().splitlines()]
        (into / "held_out.jsonl").write_text("".join(json.dumps({"prompt": row["prompt"], "completion": row["chosen"]}) + "\n" for row in scored))
        self.write_pages(into / "pages")
        self.must("data", "convert", "--input", str(into / "rows.jsonl"), "--output", str(into / "again.jsonl.gz"))
        self.must("data", "convert", "--input", str(into / "rows.jsonl"), "--output", str(into / "rows.parquet"))
        for name, method, data, steps, more in (("sft", "sft", "rows", 2, "adapter: {rank: 2}"), ("on", "sft", "rows", 12, "adapter: {rank: 2}"),
                                                ("dpo", "dpo", "pairs", 2, "adapter: {rank: 2}")):
            text = CONFIG.format(method=method, model=into / "model", data=into / f"{data}.jsonl", out=self.folder / "out" / name, steps=steps, more=more)
            (into / f"{name}.yaml").write_text(text)
        (into / "recipe.yaml").write_text(RECIPE.format(folder=self.folder))
        self.must("train", str(into / "sft.yaml"), "--set", f"out={into / 'adapter'}")
        self.must("export", "--model", str(into / "adapter"), "--to", "hf", "--output", str(into / "merged"))
        self.write_old()

    def write_pages(self, folder):
        folder.mkdir()
        text = "Bread is made of flour, water and salt, and a baker who has time lets the dough rest over night before it goes into the oven. "
        for name in ("bread", "cheese", "boats"):
            (folder / f"{name}.html").write_text(PAGE.format(name, text.replace("Bread", name.capitalize()) * 6))

    def write_old(self):
        """Older outputs of every case: files of their own content, an older export, a run that was killed after a few steps."""
        for case in cases():
            for name in case.outputs:
                if not name.endswith("/"):
                    (self.old / name).write_text(f"what {name} held before\n")
        self.must("export", "--model", str(self.folder / "in/model"), "--to", "hf", "--dtype", "f16", "--output", str(self.old / "merged"))
        self.must("diff", str(self.folder / "in/merged"), str(self.folder / "in/model"), "--output", str(self.old / "difference"))
        process = subprocess.Popen([self.program, "train", str(self.folder / "in/on.yaml")], env=self.environment(), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        states = self.folder / "out/on/state"
        while process.poll() is None and not any(states.glob("step-*/state.json")):
            time.sleep(0.002)
        process.kill()
        process.wait()
        assert any(states.glob("step-*/state.json")), "the run was over before it could be killed"
        shutil.copytree(self.folder / "out/on", self.old / "on")

    def content(self, case):
        """name → what must be equal in two undisturbed runs, of every output that is there."""
        found = {}
        for name in case.outputs:
            path = self.folder / "out" / name
            found[name] = folder_content(path) if path.is_dir() else digest(path) if path.exists() else None
        return found

    def files(self):
        return {str(path.relative_to(self.folder)) for name in ("out", "tmp", "cache") for path in (self.folder / name).rglob("*")}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folder_content(folder):
    """Of a run's folder the weights, the figures without times and the rows; of any other all that holds no time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "metrics.jsonl" and path.is_file():
            lines = [{key: value for key, value in json.loads(line).items() if key not in TIMING} for line in path.read_text().splitlines()]
            found[name] = json.dumps(lines)
        elif path.suffix in (".safetensors", ".gguf", ".jsonl") or path.name in ("config.json", "tokenizer.json", "adapter_config.json"):
            if path.is_file() and "state" not in path.relative_to(folder).parts:
                found[name] = digest(path)
    return found
