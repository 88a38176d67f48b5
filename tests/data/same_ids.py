#!/usr/bin/env python3
"""A row means the same to every command: training, `data convert`, `tokenize`, `data show`, `score`, `generate --input`, the server,
`data dedupe` and `data stats` all take its turns, tools, template variables, calls, thoughts, weights and flags.

Usage: same_ids.py PROGRAM MODEL      (reads the conversations of $FETTLE_SHARED/data too, where they are)
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "serve"))
from serving import serve  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM, BASE = sys.argv[1], pathlib.Path(sys.argv[2])
failures = []

WEATHER = {"type": "function", "function": {"name": "weather", "description": "Weather of a place",
                                            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}}}}


def call(city, name="weather"):
    return {"id": "call_" + city, "type": "function", "function": {"name": name, "arguments": {"city": city}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def tool(text, city):
    return {"role": "tool", "tool_call_id": "call_" + city, "content": text}


def own_rows():
    """Rows that all say something else, each with the formats that can hold it beside `messages`."""
    question, asked = user("Weather in Bern?"), [user("Weather in Bern?"), assistant(None, tool_calls=[call("Bern")]), tool("12 C", "Bern"), assistant("12.")]
    rome = [question, assistant(None, tool_calls=[call("Rome")]), tool("12 C", "Bern"), assistant("12.")]
    both = [question, assistant(None, tool_calls=[call("Bern"), call("Rome")]), tool("1", "Bern"), tool("2", "Rome"), assistant("1, 2.")]
    everything, talk = {"messages", "sharegpt", "completion", "alpaca"}, {"messages", "sharegpt", "completion"}
    rows = [
        ({"messages": [user("Hi"), assistant("Yo")]}, everything),
        ({"messages": [{"role": "system", "content": "Be brief."}, user("Hi"), assistant("Yo")]}, everything),
        ({"messages": [user("Hi"), assistant("Yo"), user("And?"), assistant("So.")]}, everything),
        ({"messages": asked}, talk),
        ({"messages": rome}, talk),
        ({"messages": both}, talk),
        ({"messages": asked, "tools": [WEATHER]}, talk),
        ({"messages": asked, "tools": [WEATHER, CLOCK]}, talk),
        ({"messages": asked, "tools": json.dumps([CLOCK])}, talk),
        ({"messages": [question, assistant("I look.", tool_calls=[call("Bern")])]}, {"messages", "completion"}),
        ({"messages": [user("Hi"), assistant("Yo", reasoning_content="A greeting.")]}, {"messages", "completion"}),
        ({"messages": [user("Hi"), assistant("Yo")], "chat_template_kwargs": {"tone": "kind"}}, everything),
        ({"messages": [user("Hi"), assistant("Yo")], "chat_template_kwargs": {"tone": "dry"}}, everything),
        ({"messages": [user("Hi"), assistant("Yo")], "tools": [CLOCK]}, everything),
        ({"messages": [user("Count."), assistant("One.", weight=0), user("On."), assistant("Two.")]}, talk),
        ({"conversations": [{"from": "human", "value": "Hi there"}, {"from": "gpt", "value": "Grüße 🙂"}]}, everything),
        ({"instruction": "Translate.", "input": "Haus", "output": "house"}, everything),
        ({"instruction": "Translate it.", "input": "", "output": "house"}, everything),
        ({"instruction": "And now?", "input": "", "output": "tree", "history": [["Translate Haus.", "house"]]}, everything),
        ({"prompt": "What is rain?", "completion": "Water."}, everything),
        ({"prompt": [user("What is snow?")], "completion": [assistant("Water too.")], "tools": [CLOCK]}, everything),
        ({"question": "What is hail?", "answer": "Ice."}, everything),
    ]
    return [({"id": f"row{i}", **row}, held) for i, (row, held) in enumerate(rows)]


def check(what, holds, *shown):
    if not holds:
        failures.append(what)
        print("WRONG", what, *(str(part)[:600] for part in shown))


def run(*words, fails=False):
    done = subprocess.run([PROGRAM, "--quiet", *map(str, words)], capture_output=True, text=True, timeout=600)
    if not fails and done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))} ends with {done.returncode}: {done.stderr}")
    return done.stdout


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def token_rows(path, model, train_on):
    return lines(run("data", "convert", "--input", path, "--model", model, "--max-length", 0, "--train-on", train_on))


def shown_text(shown):
    """The tokens of `data show`, without its marks."""
    return re.sub(r"[«»⏎]|\{[0-9.]+\}", "", shown)


def compare_texts(path, model, folder, whole):
    """`tokenize` and `data show` against the rows that training takes."""
    made = lines(run("tokenize", "--model", model, "--input", path))
    check("tokenize gives training's ids", [row["ids"] for row in made] == [row["ids"] for row in whole],
          [(a["id"], b["text"]) for a, b in zip(whole, made) if a["ids"] != b["ids"]])
    for row, learnt in zip(made, token_rows(path, model, "assistant")):
        weights = learnt.get("mask") or learnt["weights"]
        zero = all(weight == 0 for weight, mask in zip(weights, row["mask"]) if mask == 0)
        check(f"{learnt['id']}: nothing beside the assistant's turns is learnt", zero)
    shown = run("data", "show", "--input", path, "--model", model, "--max-length", 0, "--rows", len(made), "--train-on", "all")
    plain = shown_text(shown)
    for row in made:
        check("data show has the text", row["text"].strip() in plain, row["text"])
    config = folder / "train.yaml"
    config.write_text(f"method: sft\nmodel: {model}\ndata: {path}\nout: {folder}/run\nmax_length: 4096\ntrain_on: all\nsteps: 1\n")
    plan = json.loads(run("--json", "train", config, "--dry-run"))
    check("train counts the same tokens", (plan["rows"], plan["tokens_per_epoch"]) == (len(whole), sum(len(row["ids"]) for row in whole)), plan)
    return made


def compare_scores(path, model):
    learnt = {row["id"]: sum(1 for weight in row.get("mask") or row["weights"] if weight) for row in token_rows(path, model, "completions")}
    scores = {row["id"]: row for row in lines(run("score", "--model", model, "--input", path))}
    check("score counts the tokens that training learns", {name: row.get("tokens") for name, row in scores.items()} == learnt, scores, learnt)


def compare_formats(rows, path, model, folder, whole):
    """Into every format and back: the same ids, or refused by name."""
    ids = {row["id"]: row["ids"] for row in whole}
    for target in ("messages", "sharegpt", "completion", "alpaca"):
        for suffix in ("jsonl", "parquet") if target != "completion" else ("jsonl",):  # prompts as text and as lists have no common column
            out, rejected = folder / f"{target}.{suffix}", folder / "refused.jsonl"
            run("data", "convert", "--input", path, "--to", target, "--output", out, "--rejected", rejected)
            refused = lines(rejected.read_text())
            held = [row["id"] for row, formats in rows if target in formats]
            expected = {row["id"] for row, formats in rows if target not in formats}
            check(f"{target}: refuses what it cannot hold", {row["id"] for row in refused} == expected, [row["id"] for row in refused], expected)
            check(f"{target}: says why", all("cannot hold" in row["detail"] or "alternate" in row["detail"] for row in refused), refused)
            back = {row["id"]: row["ids"] for row in token_rows(out, model, "all")}
            differ = [name for name in held if back.get(name) != ids[name]]
            check(f"{target}.{suffix}: the ids stay", not differ, differ)


def compare_sets(rows, path, folder):
    """dedupe and stats see what the ids see."""
    twice = write(folder / "twice.jsonl", [row for row, _ in rows] + [{**row, "id": "again" + row["id"]} for row, _ in rows])
    for flags in ([], ["--keep", "longest"]):
        kept = [row["id"] for row in lines(run("data", "dedupe", "--input", twice, *flags))]
        check(f"dedupe {flags} drops the copies alone", kept == [row["id"] for row, _ in rows], kept)
    near = [row["id"] for row in lines(run("data", "dedupe", "--input", twice, "--near", "--threshold", "1"))]
    check("dedupe --near drops the copies alone", near == [row["id"] for row, _ in rows], near)
    as_messages = folder / "as_messages.jsonl"
    run("data", "convert", "--input", path, "--to", "messages", "--output", as_messages)
    own, other = (json.loads(run("--json", "data", "stats", "--input", file)) for file in (path, as_messages))
    check("stats count the same turns whatever the format", own["turns"]["total"] == other["turns"]["total"], own["roles"], other["roles"])
    check("stats count the same texts whatever the format", own["roles"] == other["roles"], own["roles"], other["roles"])


def as_sent(turn):
    """As a client of the server writes it: arguments are text, and there are no weights."""
    sent = {key: value for key, value in turn.items() if key not in ("weight", "tool_calls")}
    if turn.get("tool_calls"):
        sent["tool_calls"] = [{**one, "function": {**one["function"], "arguments": json.dumps(one["function"]["arguments"])}} for one in turn["tool_calls"]]
    return sent


def compare_answers(rows, model, folder):
    """generate --input and the server answer the same prompt."""
    prompts = []
    for row, _ in rows:
        if "messages" in row:
            turns = list(row["messages"])
            while turns and turns[-1]["role"] == "assistant":
                turns.pop()
            prompts.append({**row, "messages": turns})
    path = write(folder / "prompts.jsonl", prompts)
    answers = lines(run("generate", "--model", model, "--input", path, "--max-tokens", 12, "--temperature", 0))
    encoded = lines(run("tokenize", "--model", model, "--input", path, "--generation-prompt"))
    with serve(PROGRAM, str(model)) as served:
        for prompt, answer, tokens in zip(prompts, answers, encoded):
            tools = prompt.get("tools", [])
            body = {"messages": [as_sent(turn) for turn in prompt["messages"]], "tools": json.loads(tools) if isinstance(tools, str) else tools,
                    "chat_template_kwargs": prompt.get("chat_template_kwargs", {}), "max_tokens": 12, "temperature": 0}
            if not body["tools"]:
                del body["tools"]
            status, reply = served.json("POST", "/v1/chat/completions", body)
            check(f"{prompt['id']}: the server takes it", status == 200, reply)
            if status != 200:
                continue
            check(f"{prompt['id']}: the server's prompt has as many tokens", reply["usage"]["prompt_tokens"] == len(tokens["ids"]), reply["usage"], tokens)
            check(f"{prompt['id']}: generate answers as the server", reply["choices"][0]["message"]["content"] == answer.get("completion"), reply, answer)


def compare_published(model, folder):
    shared = pathlib.Path(os.environ.get("FETTLE_SHARED", HERE.parent.parent.parent / "shared"))
    conversations = shared / "data" / "conversations"
    if not conversations.is_dir():
        print("skipped: no shared data")
        return
    for name in ("alpaca_en_demo.json", "sharegpt_dummy.json", "kto_en_demo.json"):
        path = conversations / name
        whole = {row["id"]: row["ids"] for row in token_rows(path, model, "all")}
        out = folder / "published.jsonl"
        run("data", "convert", "--input", path, "--output", out, "--rejected", folder / "left.jsonl")
        tokenized = [row["ids"] for row in lines(run("tokenize", "--model", model, "--input", out))]
        named = {row["id"]: ids for row, ids in zip(lines(out.read_text()), tokenized)}
        check(f"{name}: the ids stay", named == whole and len(whole) > 100, len(named), len(whole))
    for name in ("dpo_en_demo.json", "ultrafeedback_pairs_eval.jsonl"):
        judged = folder / "judged.jsonl"
        run("data", "convert", "--input", conversations / name, "--to", "judged", "--output", judged)
        chosen = token_rows(conversations / name, model, "all")
        liked = [ids for row, ids in zip(lines(judged.read_text()), lines(run("tokenize", "--model", model, "--input", judged))) if row["label"]]
        check(f"{name}: the chosen answers' ids stay", [row["ids"] for row in liked] == [row["ids"] for row in chosen] and len(liked) > 100)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "model"
        shutil.copytree(BASE, model)
        shutil.copy(HERE / "tools_and_thoughts.jinja", model / "chat_template.jinja")
        rows = own_rows()
        path = write(folder / "rows.jsonl", [row for row, _ in rows])
        whole = token_rows(path, model, "all")
        check("every row is read", [row["id"] for row in whole] == [row["id"] for row, _ in rows])
        made = compare_texts(path, model, folder, whole)
        check("every row has a text of its own", len({tuple(row["ids"]) for row in made}) == len(made), len(made))
        compare_scores(path, model)
        compare_formats(rows, path, model, folder, whole)
        compare_sets(rows, path, folder)
        compare_answers(rows, model, folder)
        compare_published(model, folder)
    print("wrong:" if failures else "the same everywhere", *failures, sep="\n  " if failures else "")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
