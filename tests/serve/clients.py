#!/usr/bin/env python3
"""The clients that people use, against a `fettle serve` of its own: chat, stream, tool call, schema, error, wrong key. Prints a table.

Usage: clients.py [--model FOLDER] [--fettle PROGRAM]
(pip install openai anthropic litellm langchain-openai lm-eval openresponses-types; a package that is missing is skipped by name)

Every answer and event of /v1/responses and /v1/messages is also validated against the types that OpenAI, Anthropic and Open Responses
publish. Ends with 1 when a cell is neither "yes" nor "skipped".
"""
import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import serving

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "sk-clients"
ASK = "What is the weather in Paris?"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False}
ANSWER = {"type": "object", "properties": {"word": {"type": "string", "maxLength": 12}, "count": {"type": "integer", "minimum": 0, "maximum": 9}},
          "required": ["word", "count"], "additionalProperties": False}
CHECKS = ["chat", "stream", "tool call and its result", "schema", "error", "wrong key"]


def raises(kind, function, *names):
    """The function must fail with this exception, and name these words."""
    try:
        function()
    except kind as error:
        for name in names:
            assert name in str(error), f"{name!r} is not in {error}"
        return
    raise AssertionError("was answered")


def same(text, pieces):
    joined = "".join(pieces)
    assert text and joined == text, (text, joined)


class OpenAIChat:
    name, package = "openai: chat.completions", "openai"

    def __init__(self, url, model):
        import openai

        self.kind, self.model = openai, model
        self.client, self.wrong = (openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=300) for key in (KEY, "sk-wrong"))

    def create(self, client=None, **fields):
        fields = {"model": self.model, "messages": [{"role": "user", "content": ASK}], "max_tokens": 16, "temperature": 0, **fields}
        return (client or self.client).chat.completions.create(**fields)

    def chat(self):
        self.text = self.create().choices[0].message.content
        assert self.text

    def stream(self):
        same(self.text, [chunk.choices[0].delta.content or "" for chunk in self.create(stream=True) if chunk.choices])

    def tool_call(self):
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
        answer = self.create(tools=tools, tool_choice="required", max_tokens=60).choices[0]
        assert answer.finish_reason == "tool_calls"
        call = answer.message.tool_calls[0]
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        turns = [{"role": "user", "content": ASK}, answer.message, {"role": "tool", "tool_call_id": call.id, "content": "It rains."}]
        assert self.create(messages=turns, tools=tools).choices[0].finish_reason in ("stop", "length")

    def schema(self):
        import pydantic

        class Answer(pydantic.BaseModel):
            word: str = pydantic.Field(max_length=12)
            count: int = pydantic.Field(ge=0, le=9)

        parsed = self.client.chat.completions.parse(model=self.model, messages=[{"role": "user", "content": ASK}], response_format=Answer, max_tokens=60)
        assert isinstance(parsed.choices[0].message.parsed, Answer)

    def error(self):
        raises(self.kind.BadRequestError, lambda: self.create(temperature=-3), "temperature")
        raises(self.kind.NotFoundError, lambda: self.create(model="none"))

    def wrong_key(self):
        raises(self.kind.AuthenticationError, lambda: self.create(self.wrong))


class OpenAIResponses(OpenAIChat):
    name, package = "openai: responses", "openai"

    def create(self, client=None, **fields):
        fields = {"model": self.model, "input": ASK, "max_output_tokens": 16, "temperature": 0, **fields}
        return (client or self.client).responses.create(**fields)

    def chat(self):
        answer = self.create(include=["message.output_text.logprobs"], top_logprobs=2)
        validate_response(answer.to_dict(mode="json"))
        self.text = answer.output_text
        assert self.text and answer.usage.output_tokens == 16 and answer.status == "incomplete"
        more = self.create(previous_response_id=answer.id, input="Are you sure?")
        assert more.usage.input_tokens > answer.usage.input_tokens + 16
        assert self.client.responses.retrieve(answer.id).output_text == self.text
        self.client.responses.delete(answer.id)
        raises(self.kind.NotFoundError, lambda: self.client.responses.retrieve(answer.id))

    def stream(self):
        events = list(self.create(stream=True))
        for event in events:
            validate_event(event.to_dict(mode="json"))
        same(self.text, [event.delta for event in events if event.type == "response.output_text.delta"])
        with self.client.responses.stream(model=self.model, input=ASK, max_output_tokens=16, temperature=0) as stream:
            assert stream.get_final_response().output_text == self.text

    def tool_call(self):
        tools = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}]
        answer = self.create(tools=tools, tool_choice="required", max_output_tokens=60)
        validate_response(answer.to_dict(mode="json"))
        call = next(item for item in answer.output if item.type == "function_call")
        assert isinstance(json.loads(call.arguments)["city"], str)
        turns = [{"role": "user", "content": ASK}, *answer.output, {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}]
        assert self.create(input=turns, tools=tools, store=False).output_text
        events = list(self.create(tools=tools, tool_choice={"type": "function", "name": "get_weather"}, max_output_tokens=60, stream=True))
        for event in events:
            validate_event(event.to_dict(mode="json"))
        assert any(event.type == "response.function_call_arguments.done" and "city" in event.arguments for event in events)
        raises(self.kind.BadRequestError, lambda: self.create(tools=[{"type": "web_search"}]), "web_search")

    def schema(self):
        import pydantic

        class Answer(pydantic.BaseModel):
            word: str = pydantic.Field(max_length=12)
            count: int = pydantic.Field(ge=0, le=9)

        parsed = self.client.responses.parse(model=self.model, input=ASK, text_format=Answer, max_output_tokens=60)
        assert isinstance(parsed.output_parsed, Answer)
        text = {"format": {"type": "json_schema", "name": "answer", "schema": ANSWER, "strict": True}}
        validate_response(self.create(text=text, max_output_tokens=60).to_dict(mode="json"))


class Anthropic(OpenAIChat):
    name, package = "anthropic: messages", "anthropic"

    def __init__(self, url, model):
        import anthropic

        self.kind, self.model = anthropic, model
        self.client, self.wrong = (anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=300) for key in (KEY, "sk-wrong"))

    def create(self, client=None, **fields):
        fields = {"model": self.model, "messages": [{"role": "user", "content": ASK}], "max_tokens": 16, **fields}
        return (client or self.client).messages.create(extra_body={"temperature": 0} | fields.pop("extra_body", {}), **fields)

    def chat(self):
        # As a coding agent asks: system in blocks, many tools, whose user it is.
        answer = self.create(
            system=[{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": " Be brief."}],
            metadata={"user_id": "user_1"})
        validate_message(answer.to_dict(mode="json"))
        self.text = self.create().content[0].text
        assert self.text and answer.stop_reason == "max_tokens" and answer.usage.output_tokens == 16
        counted = self.client.messages.count_tokens(model=self.model, messages=[{"role": "user", "content": ASK}])
        assert counted.input_tokens == self.create().usage.input_tokens

    def stream(self):
        events = list(self.create(stream=True))
        for event in events:
            validate_message_event(event.to_dict(mode="json"))
        with self.client.messages.stream(model=self.model, messages=[{"role": "user", "content": ASK}], max_tokens=16, extra_body={"temperature": 0}) as stream:
            same(self.text, list(stream.text_stream))
            assert stream.get_final_message().usage.output_tokens == 16

    def tool_call(self):
        tools = [{"name": name, "description": "Of a city.", "input_schema": PARAMETERS} for name in ("get_weather", "get_time", "get_map")]
        tools[-1]["cache_control"] = {"type": "ephemeral"}
        choice = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
        answer = self.create(tools=tools, tool_choice=choice, max_tokens=60)
        validate_message(answer.to_dict(mode="json"))
        call = answer.content[-1]
        assert answer.stop_reason == "tool_use" and isinstance(call.input["city"], str)
        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "It rains."}]}
        turns = [{"role": "user", "content": ASK}, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        assert self.create(messages=turns, tools=tools).stop_reason in ("end_turn", "max_tokens")
        with self.client.messages.stream(model=self.model, messages=turns[:1], max_tokens=60, tools=tools, tool_choice={"type": "any"}) as stream:
            assert stream.get_final_message().content[-1].input["city"] is not None

    def schema(self):
        answer = self.create(output_config={"format": {"type": "json_schema", "schema": ANSWER}}, max_tokens=60)
        assert 0 <= json.loads(answer.content[0].text)["count"] <= 9

    def error(self):
        raises(self.kind.BadRequestError, lambda: self.create(extra_body={"temperature": -3}), "temperature")
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
        raises(self.kind.BadRequestError, lambda: self.create(messages=[{"role": "user", "content": [image]}]), "image")
        raises(self.kind.NotFoundError, lambda: self.create(model="none"))


class LiteLLM(OpenAIChat):
    """litellm.completion; the provider's prefix decides which API it speaks."""

    def __init__(self, url, model, provider):
        import litellm

        litellm.suppress_debug_info = True
        litellm.telemetry = False
        self.kind, self.model = litellm, f"{provider}/{model}"
        self.base = url + ("/v1" if provider == "openai" else "")

    def create(self, key=KEY, **fields):
        fields = {"model": self.model, "messages": [{"role": "user", "content": ASK}], "max_tokens": 16, "temperature": 0, **fields}
        return self.kind.completion(api_base=self.base, api_key=key, num_retries=0, **fields)

    def tool_call(self):
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
        answer = self.create(tools=tools, tool_choice="required", max_tokens=60).choices[0]
        call = answer.message.tool_calls[0]
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        turns = [{"role": "user", "content": ASK}, answer.message.model_dump(), {"role": "tool", "tool_call_id": call.id, "content": "It rains."}]
        assert self.create(messages=turns, tools=tools).choices[0].finish_reason in ("stop", "length")

    def schema(self):
        wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER, "strict": True}}
        assert 0 <= json.loads(self.create(response_format=wanted, max_tokens=60).choices[0].message.content)["count"] <= 9

    def error(self):
        raises(self.kind.BadRequestError, lambda: self.create(temperature=-3), "temperature")

    def wrong_key(self):
        raises(self.kind.AuthenticationError, lambda: self.create("sk-wrong"))


class LiteLLMOpenAI(LiteLLM):
    name, package = "litellm: openai/", "litellm"

    def __init__(self, url, model):
        super().__init__(url, model, "openai")


class LiteLLMAnthropic(LiteLLM):
    name, package = "litellm: anthropic/", "litellm"

    def __init__(self, url, model):
        super().__init__(url, model, "anthropic")


class LangChain:
    name, package, responses = "langchain-openai: chat", "langchain_openai", False

    def __init__(self, url, model):
        import langchain_openai
        import openai

        self.kind = openai
        self.make = lambda key=KEY, **fields: langchain_openai.ChatOpenAI(**{
            "base_url": url + "/v1", "api_key": key, "model": model, "temperature": 0, "max_tokens": 16, "max_retries": 0,
            "use_responses_api": self.responses, **fields})

    def text_of(self, message):
        return message.text if isinstance(message.text, str) else message.text()

    def chat(self):
        self.text = self.text_of(self.make().invoke(ASK))
        assert self.text

    def stream(self):
        same(self.text, [self.text_of(chunk) for chunk in self.make().stream(ASK)])

    def tool_call(self):
        from langchain_core.messages import HumanMessage, ToolMessage

        tool = {"type": "function", "function": {"name": "get_weather", "description": "Of a city.", "parameters": PARAMETERS}}
        answer = self.make(max_tokens=60).bind_tools([tool], tool_choice="required").invoke(ASK)
        call = answer.tool_calls[0]
        assert isinstance(call["args"]["city"], str)
        turns = [HumanMessage(ASK), answer, ToolMessage("It rains.", tool_call_id=call["id"])]
        assert self.text_of(self.make().bind_tools([tool]).invoke(turns))

    def schema(self):
        wanted = {"title": "answer", "description": "An answer.", **ANSWER}
        answer = self.make(max_tokens=60).with_structured_output(wanted, method="json_schema", strict=True).invoke(ASK)
        assert 0 <= answer["count"] <= 9, answer

    def error(self):
        raises(self.kind.BadRequestError, lambda: self.make(temperature=-3).invoke(ASK), "temperature")

    def wrong_key(self):
        raises(self.kind.AuthenticationError, lambda: self.make("sk-wrong").invoke(ASK))


class LangChainResponses(LangChain):
    name, responses = "langchain-openai: use_responses_api", True


class LmEval:
    """lm-evaluation-harness on four documents: log-likelihoods through completions, answers through chat."""

    name, package = "lm-eval: local-(chat-)completions", "lm_eval"

    def __init__(self, url, model):
        self.url, self.model = url, model

    def run(self, kind, path, task, key=KEY):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            rows = [{"question": f"One and {n} is", "choices": [" one", f" {n}"], "answer": 1} for n in ("two", "six", "ten", "four")]
            (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (folder / "probe.yaml").write_text(json.dumps({
                "task": "probe", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}, "test_split": "test",
                "doc_to_text": "{{question}}", **task}))
            arguments = f"model={self.model},base_url={self.url}/v1/{path},num_concurrent=1,max_retries=1,tokenizer={MODEL},tokenizer_backend=huggingface"
            command = [sys.executable, "-m", "lm_eval", "--model", kind, "--model_args", arguments, "--tasks", "probe", "--include_path", str(folder),
                       "--limit", "4", *(["--apply_chat_template"] if "chat" in kind else [])]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OPENAI_API_KEY": key, "HF_HUB_OFFLINE": "1"}, timeout=900)
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            return done.stdout

    def chat(self):
        task = {"output_type": "generate_until", "doc_to_target": "{{choices[1]}}", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4},
                "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]}
        assert "exact_match" in self.run("local-chat-completions", "chat/completions", task)

    LIKELIHOOD = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}",
                  "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]}

    def error(self):
        """Nothing to refuse: here stands what completions are for."""
        assert "acc" in self.run("local-completions", "completions", self.LIKELIHOOD)

    def wrong_key(self):
        raises(RuntimeError, lambda: self.run("local-completions", "completions", self.LIKELIHOOD, "sk-wrong"), "401")


def trl_client(url, model):
    """TRL's client for rollouts (it sends no key): ids and log-probabilities of what was drawn and of what is given."""
    import trl.generation.vllm_client as vllm

    vllm.is_vllm_available = lambda: True  # the library itself is not needed to ask a server
    client = vllm.VLLMClient(base_url=url)
    ids = client.session.post(url + "/tokenize", json={"prompt": "The capital of France"}).json()["tokens"]
    drawn = client.generate([ids, ids[:2]], n=2, max_tokens=5, temperature=1.0, logprobs=0)
    assert drawn["prompt_ids"] == [ids, ids[:2]] and len(drawn["completion_ids"]) == 4
    sequence = ids + drawn["completion_ids"][0]
    scored = client.get_sequence_logprobs([sequence], [len(ids)], top_logprobs=100)
    for ours, theirs in zip(drawn["logprobs"][0], scored["actual_logprobs"][0], strict=True):
        assert theirs[0] == float("-inf") or abs(ours[0] - theirs[0]) < 1e-3, (ours, theirs)
    talked = client.chat([[{"role": "user", "content": ASK}]], max_tokens=5, logprobs=0)
    assert len(talked["logprobs"][0]) == len(talked["completion_ids"][0]) <= 5


def validate_response(json_):
    """A whole response, against OpenAI's types and Open Responses'."""
    import openai.types.responses

    openai.types.responses.Response.model_validate(json_, strict=False)
    if OPEN_RESPONSES:
        import openresponses_types.types as types

        json_ = json.loads(json.dumps(json_))
        # The package's generator made "null" of this field's "object or null".
        if "schema" in json_["text"]["format"]:
            json_["text"]["format"]["schema"] = None
        types.ResponseResource.model_validate(json_)


def validate_event(json_):
    import openai.types.responses
    import pydantic

    pydantic.TypeAdapter(openai.types.responses.ResponseStreamEvent).validate_python(json_)
    if "response" in json_:
        validate_response(json_["response"])
    if not OPEN_RESPONSES:
        return
    import openresponses_types.types as types

    json_ = {**json_, "type": json_["type"].replace("reasoning_text", "reasoning")}  # named so by Open Responses
    for name in dir(types):
        field = getattr(types, name).model_fields.get("type") if name.endswith("StreamingEvent") else None
        if field is not None and json_["type"] in [kind.value for kind in field.annotation]:
            getattr(types, name).model_validate(json_)
            return
    raise AssertionError(f"Open Responses knows no event {json_['type']}")


def validate_message(json_):
    import anthropic

    anthropic.types.Message.model_validate(json_)


def validate_message_event(json_):
    import anthropic
    import pydantic

    pydantic.TypeAdapter(anthropic.types.RawMessageStreamEvent).validate_python(json_)


def verdict(check):
    try:
        check()
        return "yes"
    except Exception as error:  # noqa: BLE001: whatever goes wrong is the cell's verdict
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return " ".join(f"no: {type(error).__name__} {error}".replace("|", "/").split())[:90]


def thoughts(url, model):
    """A template that opens a thought: its events and blocks fit the published types as well."""
    chat = OpenAIResponses(url, model)
    events = list(chat.create(stream=True))
    for event in events:
        validate_event(event.to_dict(mode="json"))
    assert any(event.type == "response.reasoning_text.delta" for event in events)
    validate_response(chat.create().to_dict(mode="json"))
    claude = Anthropic(url, model)
    for event in claude.create(stream=True):
        validate_message_event(event.to_dict(mode="json"))
    answer = claude.create()
    validate_message(answer.to_dict(mode="json"))
    assert answer.content[0].type == "thinking"
    turns = [{"role": "user", "content": ASK}, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "And?"}]
    assert claude.create(messages=turns).content


def main():
    global MODEL, OPEN_RESPONSES
    parser = argparse.ArgumentParser()
    parser.add_argument("--fettle", default=str(ROOT / "build/fettle"))
    parser.add_argument("--model", default=str(ROOT / "starter/model"), help="a model's folder with a tokenizer.json")
    parser.add_argument("--only", default="", metavar="TEXT", help="only clients with this in their name")
    options = parser.parse_args()
    MODEL = options.model
    OPEN_RESPONSES = importlib.util.find_spec("openresponses_types") is not None
    os.environ["OPENAI_API_KEY"] = KEY
    template = (ROOT / "tests/serve/chatml_tools.jinja").read_text()
    rows, clients = {check: [] for check in CHECKS}, [OpenAIChat, OpenAIResponses, Anthropic, LiteLLMOpenAI, LiteLLMAnthropic, LangChain, LangChainResponses, LmEval]
    clients = [client for client in clients if options.only in client.name]
    flags = ["--api-keys", KEY, "--name", "served"]
    with serving.serve(options.fettle, MODEL, "--chat-template", str(ROOT / "tests/serve/chatml_tools.jinja"), *flags) as served:
        url = f"http://127.0.0.1:{served.port}"
        for kind in clients:
            if importlib.util.find_spec(kind.package) is None:
                print(f"skipped: no {kind.package}")
                client = None
            else:
                client = kind(url, "served")
            for check in CHECKS:
                function = getattr(client, "tool_call" if check.startswith("tool") else check.replace(" ", "_"), None)
                cell = "skipped" if client is None else "-" if function is None else verdict(function)
                print(f"{kind.name}: {check}: {cell}", file=sys.stderr, flush=True)
                rows[check].append(cell)
    cells = [cell for row in rows.values() for cell in row]
    if importlib.util.find_spec("openai") and importlib.util.find_spec("anthropic"):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
            file.write(template.replace("'<|im_start|>assistant\\n' }}", "'<|im_start|>assistant\\n<think>\\n' }}{# </think> #}"))
            file.flush()
            with serving.serve(options.fettle, MODEL, "--chat-template", file.name, *flags) as served:
                cells.append(verdict(lambda: thoughts(f"http://127.0.0.1:{served.port}", "served")))
                print(f"thoughts against the published types: {cells[-1]}")
    if importlib.util.find_spec("trl"):
        with serving.serve(options.fettle, MODEL, "--name", "served") as served:
            cells.append(verdict(lambda: trl_client(f"http://127.0.0.1:{served.port}", "served")))
            print(f"trl: VLLMClient.generate, chat, get_sequence_logprobs: {cells[-1]}")
    else:
        print("skipped: no trl")
    print("| | " + " | ".join(client.name for client in clients) + " |\n|" + " --- |" * (len(clients) + 1))
    for check, row in rows.items():
        print("| " + " | ".join([check, *row]) + " |")
    sys.exit(any(cell.startswith("no") for cell in cells))


if __name__ == "__main__":
    main()
