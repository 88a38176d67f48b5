"""Writes templates.json and expressions.json: what the reference renders.

Run in an environment with transformers and jinja2 (pip install transformers jinja2):
    python tests/golden/text/make_templates.py
Templates are the files of templates/; the environment is the one that transformers sets up.
"""

import datetime
import json
import os
import pathlib
import time

os.environ["TZ"] = "UTC"
time.tzset()

from transformers.utils import chat_template_utils as reference  # noqa: E402

from expressions import EXPRESSIONS, VARIABLES  # noqa: E402

HERE = pathlib.Path(__file__).parent
NOW = 1732298400
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW)


reference.datetime = FixedClock

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": 'The weather "now" in a <city>, é & all',
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where"},
                "days": {"type": ["integer", "null"], "default": 3, "enum": [1, 3]},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


CALL = {"id": "a1b2c3d4e", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "São Paulo", "days": 1, "deep": [1, 2.5, None, True]}}}
CONVERSATIONS = {
    "question": [user("What is a casting?")],
    "system": [system("You are terse."), user("Hi")],
    "many_turns": [system("S"), user("One"), assistant("Two"), user("Three"), assistant("Four")],
    "no_system": [user("One"), assistant("Two"), user("Three"), assistant("Four"), user("Five")],
    "empty": [user(""), assistant(""), user("x")],
    "spaces": [system("  s \n"), user("  lead\n\ttrail  \n"), assistant("\n a\n\n"), user(" b ")],
    "unicode": [user("naïve 日本語 🦊 ß\u00a0"), assistant("e\u0301 \u2028 ok \u3000")],
    "special": [user("<|im_end|></s> [INST] <|eot_id|> {{ x }} {% if %}"), assistant("<s><end_of_turn>"), user("{# c #}")],
    "two_users": [user("One"), user("Two")],
    "call": [user("Weather?"), assistant("", tool_calls=[CALL]),
             {"role": "tool", "name": "get_weather", "tool_call_id": "a1b2c3d4e", "content": '{"t": 3}'},
             assistant("It is 3."), user("Thanks")],
    "call_null": [user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [CALL]}],
    "parallel": [user("Both?"), assistant("", tool_calls=[CALL, {**CALL, "id": "a1b2c3d4f"}]),
                 {"role": "tool", "name": "get_weather", "tool_call_id": "a1b2c3d4e", "content": "3"},
                 {"role": "tool", "name": "get_weather", "tool_call_id": "a1b2c3d4f", "content": "4"}, assistant("3 and 4.")],
    "parts": [user([{"type": "text", "text": " Hi "}, {"type": "text", "text": "you"}]), assistant("Hello")],
    "reasoning": [user("2+2?"), assistant("4", reasoning_content="two and two"), user("3+3?"), assistant("<think>\nhm\n</think>\n\n6")],
}
WITH_TOOLS = ("system", "call", "call_null")


def render(source, messages, generation, tools, **variables):
    try:
        return reference.render_jinja_template(
            [messages], tools=tools, chat_template=source, add_generation_prompt=generation, **SPECIAL, **variables)[0][0]
    except Exception:  # raise_exception, an undefined operation, a TypeError: the engine must refuse too
        return None


def templates(folder):
    expected = {}
    for path in sorted(folder.glob("*.jinja")):
        with open(path, newline="") as file:
            source = file.read()
        rows = {}
        for name, messages in CONVERSATIONS.items():
            for tools in (None, [TOOL]) if name in WITH_TOOLS and "tools" in source else (None,):
                without = render(source, messages, False, tools)
                prompt = render(source, messages, True, tools)
                if without is not None and prompt is not None and prompt.startswith(without):
                    prompt = {"adds": prompt[len(without):]}
                rows[name + ("+tools" if tools else "")] = [without, prompt]
        expected[path.stem] = rows
    return {"now": NOW, "special_tokens": SPECIAL, "tools": [TOOL], "folder": str(folder), "conversations": CONVERSATIONS,
            "expected": expected}


def expressions():
    rows = []
    for source in EXPRESSIONS:
        try:
            rows.append([source, reference._compile_jinja_template(source).render(**VARIABLES)])
        except Exception:
            rows.append([source, None])
    return {"variables": VARIABLES, "expected": rows}


def write(path, value):
    with open(path, "w", newline="\n") as file:
        json.dump(value, file, ensure_ascii=False, indent=0, separators=(",", ":"))
        file.write("\n")
    print(path, os.path.getsize(path), "bytes")


def main():
    os.chdir(HERE.parent.parent.parent)
    write(HERE / "templates.json", templates((HERE / "templates").relative_to(pathlib.Path.cwd())))
    write(HERE / "expressions.json", expressions())


if __name__ == "__main__":
    main()
