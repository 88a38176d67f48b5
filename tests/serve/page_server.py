"""What the page does with any model behind a running `fettle serve`: nothing here depends on what is answered."""
import contextlib
import json
import os
import random
import re
import struct
import subprocess
import tempfile


def write_adapter(folder, dim=64):
    """A small random LoRA in PEFT's files for the query projection of the small model's first layer."""
    os.mkdir(folder)
    draw = random.Random(1)
    names = {"lora_A": (1, dim), "lora_B": (dim, 1)}
    header, data = {}, b""
    for name, shape in names.items():
        values = struct.pack(f"<{dim}f", *(draw.uniform(-1, 1) for _ in range(dim)))
        header[f"base_model.model.model.layers.0.self_attn.q_proj.{name}.weight"] = {
            "dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "adapter_model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(folder, "adapter_config.json"), "w", encoding="utf-8") as file:
        json.dump({"peft_type": "LORA", "r": 1, "lora_alpha": 2, "lora_dropout": 0.0, "target_modules": ["q_proj"], "bias": "none",
                   "task_type": "CAUSAL_LM", "base_model_name_or_path": "stories260K"}, file)


@contextlib.contextmanager
def serving(program):
    """The address of `fettle serve` with a small model and an adapter; None where there is no shared data."""
    models = os.path.join(os.environ.get("FETTLE_SHARED", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared")), "data", "models")
    if not os.path.exists(os.path.join(models, "stories260K.bin")):
        print("skipped: no shared data")
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(os.path.join(folder, "tilted"))
        process = subprocess.Popen(
            [program, "serve", "--model", os.path.join(models, "stories260K.bin"), "--tokenizer", os.path.join(models, "tok512.bin"),
             "--adapter", f"tilted={folder}/tilted", "--port", "0", "--votes", os.path.join(folder, "votes.sqlite")],
            stderr=subprocess.PIPE, text=True)
        try:
            said = ""
            for line in process.stderr:
                said += line
                found = re.search(r"http://[\w.:\[\]]+", line)
                if found:
                    break
            assert found, said
            yield f"{found.group(0)}/"
        finally:
            process.terminate()
            process.communicate(timeout=60)


def served_chat(page):
    page.fresh()
    browser = page.browser
    page.write("Tell me a story about a small dog.")
    browser.wait("document.querySelector('.turn-assistant .turn-text')?.innerText.length > 0", 60)
    page.finished(120)
    assert not browser.text(".turn-error"), browser.text(".turn-error")
    assert "tokens/s" in browser.text(".turn-assistant .turn-stats")
    page.shot("served_chat")
    answer = page.answers()[0]
    browser.reload()
    page.ready()
    assert page.answers() == [answer]


def served_stop_and_variants(page):
    browser = page.browser
    browser.click("[aria-label='Answer again']")
    browser.wait("document.querySelector('.turn-assistant .variants')?.innerText.includes('2 / 2')", 60)
    browser.wait("document.querySelector('.turn-assistant .turn-text')?.innerText.length > 0", 60)
    browser.press("Escape")
    page.finished(20)


def served_headers(page):
    policy = page.browser.run("fetch('/').then((reply) => reply.headers.get('Content-Security-Policy'))")
    for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert part in policy, policy
    assert page.browser.run("fetch('/js/main.js').then((reply) => reply.headers.get('Content-Type'))").startswith("text/javascript")


def served_arena(page):
    """Needs a server with an adapter."""
    if page.browser.run("fetch('/v1/models').then((reply) => reply.json()).then(({ data }) => data.length)") < 2:
        return
    page.fresh("#/arena")
    browser = page.browser
    page.write("Tell me about bread.")
    browser.wait("!document.querySelector('.votes').hidden", 180)
    browser.press("2")
    browser.wait("document.querySelector('.arena-side.chosen')")
    page.shot("served_arena")
    browser.click("a[href='#/arena/results']")
    browser.wait("document.querySelector('.results-table tbody tr')")
    browser.click(".results-head button")
    row = json.loads(browser.downloaded("preferences.jsonl").splitlines()[-1])
    assert row["prompt"][-1]["content"] == "Tell me about bread." and row["chosen"] != row["rejected"]


CHECKS = [served_chat, served_stop_and_variants, served_headers, served_arena]
