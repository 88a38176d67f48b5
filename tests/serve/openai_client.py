#!/usr/bin/env python3
"""What the `openai` package can do with a server: one row per feature, "yes" or why not. Runs on any OpenAI-compatible
address, so that servers can be compared.

Usage: openai_client.py BASE_URL [MODEL]      (needs: pip install openai)
"""
import json
import sys

import openai

BASE, *rest = sys.argv[1:]
client = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0, timeout=300)
MODEL = rest[0] if rest else client.models.list().data[0].id
HELLO = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
ROWS = []


def row(name):
    def add(function):
        ROWS.append((name, function))
        return function
    return add


def chat(**fields):
    return client.chat.completions.create(**{"model": MODEL, "messages": HELLO, "max_tokens": 24, "temperature": 0, **fields})


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
    token = chat(max_tokens=1, logprobs=True).choices[0].logprobs.content[0].token
    ids = client.post("/../tokenize", body={"content": token, "prompt": token, "add_special_tokens": False}, cast_to=object)["tokens"]
    other = chat(max_tokens=1, logprobs=True, logit_bias={str(ids[0]): -100}).choices[0].logprobs.content[0].token
    assert other != token


@row("stop")
def _():
    text = chat().choices[0].message.content
    word = text.split()[2]
    assert word not in chat(stop=[word]).choices[0].message.content


@row("presence and frequency penalties change the text")
def _():
    repeat = [{"role": "user", "content": "Repeat the word tree many times."}]
    plain = chat(messages=repeat, max_tokens=40).choices[0].message.content
    assert chat(messages=repeat, max_tokens=40, frequency_penalty=2, presence_penalty=2).choices[0].message.content != plain


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
    ids = client.post("/../tokenize", body={"content": "Gravity is a force that", "prompt": "Gravity is a force that"}, cast_to=object)["tokens"]
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


def main():
    failed = 0
    print(f"| {'feature':52} | {BASE} |\n| --- | --- |")
    for name, function in ROWS:
        try:
            function()
            verdict = "yes"
        except Exception as error:  # noqa: BLE001: whatever goes wrong is the row's verdict
            verdict = f"no: {type(error).__name__} {str(error)[:110]!r}"
            failed += 1
        print(f"| {name:52} | {verdict} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
