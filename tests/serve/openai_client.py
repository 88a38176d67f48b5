#!/usr/bin/env python3
"""What the `openai` package can do with a server: one row per feature, "yes" or why not. Runs on any OpenAI-compatible
address, so that servers can be compared: each gets a column.

Usage: openai_client.py URL [--model NAME]
       openai_client.py --table fettle=http://127.0.0.1:18888/v1 llama.cpp=http://127.0.0.1:8000/v1
(needs: pip install openai; the rows about tools need a template that renders them, such as chatml_tools.jinja beside this file:
fettle serve --model M --chat-template tests/serve/chatml_tools.jinja)

Ends with 1 when the first server lacks a row, with 77 ("skipped") where a package is missing.
"""
import argparse
import json
import sys
import typing

try:
    import openai
    import pydantic
except ImportError as missing:
    print(f"skipped: no {missing.name}; pip install openai")
    sys.exit(77)

HELLO = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
ROWS = []
client = MODEL = None  # of the server that is asked


def row(name):
    def add(function):
        ROWS.append((name, function))
        return function
    return add


def chat(**fields):
    return client.chat.completions.create(**{"model": MODEL, "messages": HELLO, "max_tokens": 24, "temperature": 0, **fields})


def tokenize(text, special):
    """The ids of a text; the route is no part of OpenAI's API, so each server has its own."""
    body = {"content": text, "prompt": text, "input": text, "add_special_tokens": special}
    for path in ("/../tokenize", "/../extras/tokenize"):
        try:
            return client.post(path, body={name: body[name] for name in body if (name == "input") == ("extras" in path)}, cast_to=object)["tokens"]
        except openai.NotFoundError:
            pass
    raise AssertionError("no route that tokenizes")


@row("models")
def _():
    assert any(model.id == MODEL for model in client.models.list().data)


@row("chat, greedy twice the same")
def _():
    first, second = chat(), chat()
    assert first.choices[0].message.content and first.choices[0].message.content == second.choices[0].message.content


@row("stream equals the whole answer, with usage")
def _():
    whole, text, usage = chat(), "", None
    for event in chat(stream=True, stream_options={"include_usage": True}):
        text += "".join(choice.delta.content or "" for choice in event.choices)
        usage = event.usage or usage
    assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
    assert usage.completion_tokens == whole.usage.completion_tokens


@row("n = 3 with a seed, reproducible, all different")
def _():
    one, two = (chat(n=3, seed=5, temperature=1.2) for _ in range(2))
    texts = [choice.message.content for choice in one.choices]
    assert texts == [choice.message.content for choice in two.choices] and len(set(texts)) == 3, texts


@row("logprobs with alternatives")
def _():
    content = chat(logprobs=True, top_logprobs=3, max_tokens=4).choices[0].logprobs.content
    assert len(content) == 4 and all(len(token.top_logprobs) == 3 for token in content)
    assert all(token.logprob <= token.top_logprobs[0].logprob + 1e-6 <= 1e-5 for token in content)


@row("logit_bias forbids a token")
def _():
    token = chat(max_tokens=1).choices[0].message.content
    ids = tokenize(token, special=False)
    assert chat(max_tokens=1, logit_bias={str(ids[0]): -100}).choices[0].message.content != token


@row("stop")
def _():
    text = chat().choices[0].message.content
    word = text.split()[2]
    assert word not in chat(stop=[word]).choices[0].message.content


@row("presence and frequency penalties change the text")
def _():
    repeat = [{"role": "user", "content": "Count from 1 to 20, each number in a new line."}]
    plain = chat(messages=repeat, max_tokens=30).choices[0].message.content
    assert chat(messages=repeat, max_tokens=30, frequency_penalty=2, presence_penalty=2).choices[0].message.content != plain


@row("response_format json_object")
def _():
    choice = chat(response_format={"type": "json_object"}, max_tokens=200,
                  messages=[{"role": "user", "content": "Give a JSON object with the name and age of a cat."}]).choices[0]
    # A small model may talk on inside a string until its tokens are spent.
    cut = choice.finish_reason == "length" and choice.message.content.lstrip().startswith("{")
    assert cut or isinstance(json.loads(choice.message.content), dict)


@row("response_format json_schema")
def _():
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 30}, "age": {"type": "integer"},
                                               "colours": {"type": "array", "items": {"enum": ["black", "white"]}, "maxItems": 2}},
              "required": ["name", "age", "colours"], "additionalProperties": False}
    text = chat(response_format={"type": "json_schema", "json_schema": {"name": "cat", "strict": True, "schema": schema}},
                max_tokens=200, messages=[{"role": "user", "content": "Describe a cat as JSON."}]).choices[0].message.content
    cat = json.loads(text)
    assert isinstance(cat["name"], str) and isinstance(cat["age"], int) and set(cat["colours"]) <= {"black", "white"} and len(cat) == 3


TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
          "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}}}]


@row("tools, a call enforced")
def _():
    answer = chat(messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=TOOLS, max_tokens=100,
                  tool_choice={"type": "function", "function": {"name": "get_weather"}})
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and isinstance(json.loads(call.function.arguments)["city"], str)


@row("tools, the enforced call streamed")
def _():
    name, arguments, finish = "", "", None
    for event in chat(messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=TOOLS, max_tokens=100, stream=True,
                      tool_choice={"type": "function", "function": {"name": "get_weather"}}):
        for choice in event.choices:
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    assert name == "get_weather" and isinstance(json.loads(arguments)["city"], str) and finish == "tool_calls", (name, arguments, finish)


@row("tools, a call and its result as messages")
def _():
    turn = [{"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "It rains, 7 degrees."}]
    assert chat(messages=turn, tools=TOOLS).usage.prompt_tokens > chat(messages=turn[:1], tools=TOOLS).usage.prompt_tokens


CAT = [{"role": "user", "content": "Describe a cat as JSON."}]


@row("parse() of a pydantic model: dates, bounds, patterns, lists, unions")
def _():
    import datetime

    class Toy(pydantic.BaseModel):
        kind: typing.Literal["ball", "mouse"]
        price: float = pydantic.Field(ge=0, lt=100)

    class Cat(pydantic.BaseModel):
        name: str = pydantic.Field(pattern="^[A-Z][a-z]{1,12}$")
        born: datetime.date
        lives: int = pydantic.Field(ge=1, le=9)
        toys: list[Toy] = pydantic.Field(max_length=2)
        owner: typing.Union[int, None]

    for seed in range(4):
        answer = client.chat.completions.parse(model=MODEL, messages=CAT, response_format=Cat, max_tokens=300, temperature=1.2, seed=seed)
        assert isinstance(answer.choices[0].message.parsed, Cat)


@row("parse() of tools made from pydantic models (strict)")
def _():
    class GetWeather(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=20)
        days: int = pydantic.Field(ge=1, le=7)

    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, tools=[openai.pydantic_function_tool(GetWeather)], tool_choice="required",
                                           parallel_tool_calls=False, max_tokens=80)
    calls = answer.choices[0].message.tool_calls
    assert len(calls) == 1 and isinstance(calls[0].function.parsed_arguments, GetWeather)


@row("response_format json_object with a schema")
def _():
    text = chat(messages=CAT, extra_body={"response_format": {"type": "json_object", "schema": {"type": "object", "properties": {"ok": {"type": "boolean"}},
                "required": ["ok"], "additionalProperties": False}}}, max_tokens=60).choices[0].message.content
    assert isinstance(json.loads(text)["ok"], bool), text


def call_of(name, **fields):
    tools = [{"type": "function", "function": {"name": "now"}}, *TOOLS]
    return chat(tools=tools, tool_choice={"type": "function", "function": {"name": name}}, max_tokens=100, **fields).choices[0].message


@row("tools, a function without parameters gets {}")
def _():
    assert json.loads(call_of("now").tool_calls[0].function.arguments) == {}


@row("tools, parallel_tool_calls false: one call")
def _():
    message = chat(tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=200, temperature=1.2, seed=3).choices[0].message
    assert len(message.tool_calls) == 1


@row("tools, allowed_tools")
def _():
    tools = [{"type": "function", "function": {"name": "now"}}, *TOOLS]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tools[0]]}}
    calls = chat(tools=tools, tool_choice=choice, parallel_tool_calls=False, max_tokens=80).choices[0].message.tool_calls
    assert {call.function.name for call in calls} == {"now"}


@row("an answer sent back as it came")
def _():
    message = call_of("get_weather")
    turns = [*HELLO, message.model_dump(), {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "7 degrees"}]
    assert chat(messages=turns, tools=TOOLS).choices[0].message is not None
    assert chat(messages=[*HELLO, chat().choices[0].message.model_dump(), *HELLO]).choices[0].message.content


@row("completions with echo and logprobs")
def _():
    answer = client.completions.create(model=MODEL, prompt="Gravity is a force", max_tokens=1, echo=True, logprobs=1, temperature=0)
    logprobs = answer.choices[0].logprobs
    assert logprobs.token_logprobs[0] is None and len(logprobs.tokens) == len(logprobs.token_logprobs) >= 4
    assert answer.choices[0].text.startswith("Gravity is a force")


@row("completions of a list of token lists")
def _():
    answer = client.completions.create(model=MODEL, prompt=[[504, 284], [504, 300]], max_tokens=2, temperature=0)
    assert len(answer.choices) == 2


@row("usage equals the tokenizer's count")
def _():
    answer = client.completions.create(model=MODEL, prompt="Gravity is a force that", max_tokens=5, temperature=0)
    ids = tokenize("Gravity is a force that", special=True)
    assert answer.usage.prompt_tokens == len(ids) and answer.usage.completion_tokens == 5, (answer.usage, ids)


@row("embeddings of length 1")
def _():
    vectors = [item.embedding for item in client.embeddings.create(model=MODEL, input=["a cat", "a dog"]).data]
    assert all(abs(sum(x * x for x in vector) - 1) < 1e-3 for vector in vectors)


def refused(kind, **fields):
    try:
        chat(**fields)
    except kind as error:
        return error
    raise AssertionError(f"was answered: {fields}")


@row("400 for a value out of range, naming it")
def _():
    assert "temperature" in str(refused(openai.BadRequestError, temperature=-3))


@row("400 for a field it does not know, naming it")
def _():
    assert "colour" in str(refused(openai.BadRequestError, extra_body={"colour": 1}))


@row("400 for a context that is too long, with the numbers")
def _():
    error = refused(openai.BadRequestError, messages=[{"role": "user", "content": "word " * 20000}])
    assert "context" in str(error)


@row("404 for a model that is not there")
def _():
    refused(openai.NotFoundError, model="nothing-of-that-name")
    refused(openai.NotFoundError, model="llama3.2:latest")


def why(error):
    """A table's cell: what went wrong, in a few words."""
    text = error.body.get("message", "") if isinstance(error, openai.APIError) and isinstance(error.body, dict) else str(error)
    name = {"BadRequestError": "400", "UnprocessableEntityError": "422", "InternalServerError": "500"}.get(type(error).__name__, type(error).__name__)
    return " ".join(f"no: {name} {text}".replace("|", "/").split())[:110].strip()


def ask(url, model, rows):
    """The verdicts of one server, row by row."""
    global client, MODEL
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=300)
    MODEL = model or client.models.list().data[0].id
    for name, function in rows:
        try:
            function()
            verdict = "yes"
        except Exception as error:  # noqa: BLE001: whatever goes wrong is the row's verdict
            verdict = why(error)
        print(f"{url}: {name}: {verdict}", file=sys.stderr, flush=True)
        yield verdict


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", help="base URL, as in http://127.0.0.1:18888/v1")
    parser.add_argument("--table", nargs="+", default=[], metavar="NAME=URL", help="these servers side by side")
    parser.add_argument("--model", help="the name that requests carry (default: the first that the server lists)")
    parser.add_argument("--rows", nargs="+", default=[""], metavar="TEXT", help="only rows with one of these in their name")
    options = parser.parse_args()
    rows = [row for row in ROWS if any(text in row[0] for text in options.rows)]
    servers = [server.split("=", 1) for server in options.table] or [[options.url, options.url]]
    if servers[0][0] is None:
        parser.error("which server?")
    columns = [list(ask(url, options.model, rows)) for _, url in servers]
    print("| | " + " | ".join(name for name, _ in servers) + " |\n|" + " --- |" * (len(servers) + 1))
    for (name, _), *verdicts in zip(rows, *columns):
        print("| " + " | ".join([name, *verdicts]) + " |")
    sys.exit(any(verdict != "yes" for verdict in columns[0]))


if __name__ == "__main__":
    main()
