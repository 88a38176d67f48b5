#!/usr/bin/env python3
"""Every command that computes with a model does so on a device whose memory the host cannot touch, and writes what it writes on
the processor. A device that this build does not have is an error with status 2.

Usage: on_device.py FETTLE MODEL
"""
import json
import pathlib
import subprocess
import sys
import tempfile

program, model = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def run(*arguments, status=0):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode != status:
        sys.exit(f"{arguments}: status {done.returncode} instead of {status}:\n{done.stderr}")
    return done.stdout, done.stderr


def commands(folder, device):
    """Name, arguments, the output file; standard output where there is none."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Tell me about number {i}."}) + "\n" for i in range(6)))
    pairs = folder / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"prompt": f"What is {i}?", "chosen": f"It is {i}.", "rejected": "No idea."}) + "\n" for i in range(8)))
    scored = folder / "scored.jsonl"
    scored.write_text("".join(json.dumps({"prompt": f"What is {i}?", "completion": f"It is {i}."}) + "\n" for i in range(8)))
    on = ["--device", device]
    for dtype in ("f32", "bf16"):
        out = folder / f"answers-{dtype}.jsonl"
        yield f"generate {dtype}", ["generate", "--model", model, *on, "--dtype", dtype, "--input", prompts, "--output", out, "--n", 2,
                                   "--temperature", 0.9, "--top-p", 0.9, "--repetition-penalty", 1.1, "--max-tokens", 24, "--kv-dtype", "f16"], out
    yield "generate with a schema", ["generate", "--model", model, *on, "--prompt", "A number:", "--regex", "[0-9]{3}"], None
    out = folder / "scores.jsonl"
    yield "score", ["score", "--model", model, *on, "--input", scored, "--output", out], out
    config = folder / "dpo.yaml"
    config.write_text(f"method: dpo\nmodel: {model}\ndata: {pairs}\nout: {folder / 'lora'}\nsteps: 3\nbatch_size: 4\nmax_length: 64\nadapter: {{rank: 2}}\n")
    yield "train", ["train", config, *on], folder / "lora" / "adapter_model.safetensors"
    yield "generate with the adapter", ["generate", "--model", folder / "lora", *on, "--prompt", "What is 3?", "--max-tokens", 16], None


results = {}
for device in ("cpu", "reference:cpu"):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for what, arguments, output in commands(folder, device):
            text = run(*arguments)[0]
            found = output.read_bytes() if output else text
            if device == "cpu":
                results[what] = found
            elif found != results[what]:
                sys.exit(f"{what}: another output on the device than on the processor")
            print(f"{device}: {what}: ok", flush=True)
run("generate", "--model", model, "--device", "reference", "--prompt", "Once", "--max-tokens", 4)
for arguments in (["generate", "--model", model, "--prompt", "Once"], ["bench"]):
    error = run(*arguments, "--device", "cuda:1", status=2)[1]
    if "no CUDA backend" not in error:
        sys.exit(f"{arguments}: {error}")
print("every command computes on a device")
