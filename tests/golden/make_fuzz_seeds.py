"""Writes small seeds for the fuzz targets, made from the golden files: OUT/TARGET/NAME.

    python3 tests/golden/make_fuzz_seeds.py OUT
"""
import base64, bz2, gzip, io, itertools, json, lzma, pathlib, re, struct, sys, zipfile, zlib

GOLDEN = pathlib.Path(__file__).parent
ROOT = GOLDEN.parent.parent
# "hello hello hello" and the like, by the programs zstd --long=28, lz4 and PyPI's brotli.
ZSTD_FRAME = bytes.fromhex("28b52ffd04906500003068656c6c6f200100314a11a2ed1e0c")
LZ4_FRAME = bytes.fromhex("04224d186440a70f0000006868656c6c6f2006005068656c6c6f00000000f26b940b")
BROTLI = bytes.fromhex("1b1700f88d946ede445586d60a206c6f4a1179e280ae16")


def safetensors(tensors):
    header, body = {}, b""
    for name, shape, values in tensors:
        data = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def small_tokenizers():
    golden = json.loads((GOLDEN / "text/tokenizers.json").read_text())
    for row in golden["tokenizers"]:
        model = golden["models"][row["model"]] | row["options"]
        if isinstance(model["vocab"], list):
            model |= {"vocab": model["vocab"][:40]}
        else:  # the first merges and what they need
            merges = model["merges"][:12]
            parts = {part for merge in merges for part in (merge.split(" ") if isinstance(merge, str) else merge)}
            parts |= {(merge.split(" ") if isinstance(merge, str) else merge)[0] for merge in merges} | {"<unk>", "a", "<s>", "</s>"}
            joined = {"".join(m.split(" ") if isinstance(m, str) else m).replace("##", "") for m in merges} | {
                "".join(m.split(" ") if isinstance(m, str) else m) for m in merges}  # fmt: skip
            kept = [name for name in model["vocab"] if name in parts | joined]
            model |= {"vocab": {name: id for id, name in enumerate(kept)}, "merges": merges}
        added = [entry | {"id": 100 + i} for i, entry in enumerate(row["parts"]["added_tokens"])]
        parts = row["parts"] | {"model": model, "added_tokens": added, "post_processor": None}
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
        yield row["name"], text + b"\0the end of <|im_end|>"
    for row in golden["sentencepiece"]:
        yield row["name"] + ".model", base64.b64decode(row["model"])


def small_wheel():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        for name, method in [("m/tiny.gguf", zipfile.ZIP_DEFLATED), ("m/config.json", zipfile.ZIP_STORED)]:
            wheel.writestr(zipfile.ZipInfo(name), b"GGUF" * 20, method)
        wheel.writestr(zipfile.ZipInfo("m-1.dist-info/RECORD"), "m/tiny.gguf,sha256=abc,80\nm/config.json,,\n")
    return out.getvalue()


def llama2c_tokenizer():
    names = ["<unk>", "\n<s>\n", "\n</s>\n"] + [f"<0x{b:02X}>" for b in range(256)] + list("abeht ") + ["th", "the", " the"]
    out = struct.pack("<i", 8)
    for id, name in enumerate(names):
        out += struct.pack("<fi", -float(id), len(name)) + name.encode()
    return out


def data_files():
    yield "csv_fuzz", "table", b'\2question,answer\r\n"a, ""b""\nc",\r\nragged\r\nx,y\r\n'
    yield "csv_fuzz", "semicolons", b'\1\xef\xbb\xbf"a";b\n1;"2"x\n3;4'
    packed = [gzip.compress(b"hello hello"), zlib.compress(b"hello"), zlib.compress(b"hello")[2:-4], ZSTD_FRAME,
              lzma.compress(b"hello " * 9), lzma.compress(b"hello " * 9, lzma.FORMAT_ALONE), bz2.compress(b"hello"), LZ4_FRAME, BROTLI]
    for kind, data in enumerate(packed):
        yield "decompress_fuzz", str(kind), bytes([kind, 5]) + data
        yield "decompress_fuzz", f"{kind}-twice", bytes([kind, 60]) + data + data
    yield "decompress_fuzz", "dictionary", bytes([3, 3]) + b"\x5d\x2a\x4d\x18\x04\0\0\0abcd" + ZSTD_FRAME
    for label, text in (("shift_jis", "日本語のテキスト"), ("euc-kr", "토마토"), ("gb18030", "阳台番茄"), ("windows-1251", "Как посадить"),
                        ("iso-2022-jp", "日本語"), ("utf-16", "Grüße"), ("big5", "陽台"), ("euc-jp", "日本語"), ("koi8-r", "томаты")):
        page = f'<?xml encoding="{label}"?><!-- x --><meta http-equiv=content-type content="text/html; charset = {label}"><p>{text}'
        yield "page_encoding_fuzz", label, label.encode() + b"\n" + page.encode(label)
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=x\r\n"
    answers = [head + "Transfer-Encoding: chunked\r\n\r\n3;a\r\n<p>\r\n1\r\na\r\n0\r\n\r\n", head + "Content-Encoding: deflate\r\n\r\n",
               head + "\r\n<p>two"]
    bodies = [text.encode() + body for text, body in zip(answers, (b"", zlib.compress(b"<p>"), b""))]
    yield "warc_fuzz", "answers", b"\3" + b"".join(
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n" % (len(body) + lie, body)
        for body, lie in zip(bodies, (0, 0, 50)))
    for path in sorted((GOLDEN / "data/parquet").glob("*.parquet")):
        if path.stat().st_size < 12000:
            yield "parquet_fuzz", path.name, path.read_bytes()


def model_folders():
    """config.json, the index, generation_config.json, tokenizer_config.json, special_tokens_map.json, the template, openchat.json."""
    hf = GOLDEN / "checkpoint/hf"
    config, generation = (hf / "config.json").read_bytes(), (hf / "generation_config.json").read_bytes()
    names = re.findall(rb'"([a-z_.0-9]+\.weight)"', (hf / "model.safetensors").read_bytes())
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": {name.decode(): "model-00001-of-00001.safetensors" for name in names}}).encode()
    tokens = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False, "special": True}, "unk_token": "<unk>"}
    settings = {**tokens, "add_bos_token": True, "clean_up_tokenization_spaces": False, "model_max_length": 1e30, "chat_template": [
        {"name": "default", "template": "{{ messages[0].content }}"}, {"name": "tool_use", "template": "{{ tools }}"}],
        "added_tokens_decoder": {"0": {"content": "<unk>", "special": True}}}  # fmt: skip
    sampling = {"do_sample": True, "temperature": 0.7, "top_k": 9, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.1, "eos_token_id": [2, 3]}
    template = b"{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{% endfor %}"
    openchat = b'{"model_type": "openchat_v3.2"}'
    dump = lambda value: json.dumps(value).encode()
    yield "plain", b"\0".join((config, b"", generation))
    yield "sharded", b"\0".join((config, index, dump(sampling), dump(settings), dump(tokens), template, openchat))
    yield "templates", b"\0".join((config, b"", b"", dump(settings), dump({"additional_special_tokens": ["<s>"]}), b"", openchat))


def conversations():
    """What a client sends, whole: heads, bodies, chunks, several requests one after another."""
    def post(path, body, *more):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = "".join(line + "\r\n" for line in (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}", *more))
        return head.encode() + b"\r\n" + data

    get = lambda target, *more: "".join(line + "\r\n" for line in (f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *more, "")).encode()
    chat = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    vote = {"messages": chat["messages"], "a": {"model": "l", "content": "x"}, "b": {"model": "r", "content": "y"}, "vote": "a"}
    yield "chat", post("/v1/chat/completions", chat) + get("/health")
    yield "stream", post("/v1/chat/completions", {**chat, "stream": True}, "Connection: close")
    yield "chunks", b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n{\"pro\r\n12\r\nmpt\": [3,4], \"n\":1\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n" + get("/metrics")
    yield "tokenize", post("/tokenize", {"content": "a b", "add_special_tokens": False, "return_token_strs": True})
    yield "tokenize-chat", post("/tokenize", {"messages": chat["messages"], "add_generation_prompt": True, "tools": []})
    yield "detokenize", post("/detokenize", {"tokens": [70, 71], "skip_special_tokens": True})
    yield "embeddings", post("/v1/embeddings", {"input": ["a", [70]], "encoding_format": "base64"})
    yield "votes", post("/v1/arena/votes", vote) + get("/v1/arena/votes?limit=2&after=x") + get("/v1/arena/votes/export") + get("/v1/arena")
    yield "models", get("/v1/models") + get("/v1/models/small") + get("/", "Accept: text/html")
    yield "responses", post("/v1/responses", {"input": "a", "max_output_tokens": 2}) + get("/v1/responses/x")
    yield "messages", post("/v1/messages", {**chat, "model": "small"}, "anthropic-version: 2023-06-01") + post("/v1/messages/count_tokens", chat)
    yield "preflight", b"OPTIONS /v1/models HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    yield "expect", b"PUT /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcDELETE /v1/arena/votes/1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\n"


def seeds():
    for name, data in model_folders():
        yield "model_folder_fuzz", name, data
    for name, data in conversations():
        yield "server_fuzz", name, data
    for name, data in small_tokenizers():
        yield "sentencepiece_fuzz" if name.endswith(".model") else "tokenizer_json_fuzz", name, data
    yield "llama2c_tokenizer_fuzz", "small", llama2c_tokenizer()
    templates = sorted((GOLDEN / "text/templates").iterdir())
    for path in templates:
        yield "jinja_fuzz", path.name, path.read_bytes()
        yield "tokenize_chat_fuzz", path.name, path.read_bytes() + b"\0Hi <|im_end|>\0 Hello \0And?\0x<think>y</think>z"
        yield "tokenize_chat_fuzz", path.name + ".fields", path.read_bytes() + (
            b'\0{"content": [{"type": "text", "text": "Hi"}]}\0{"reasoning": "r", "tool_calls": [{"id": "a1b2c3d4e", '
            b'"type": "function", "function": {"name": "f", "arguments": "{}"}}]}\0And?\0{"thinking": "t"}')
    for path in sorted((GOLDEN / "model").glob("*.json")):
        config = json.loads(path.read_text()).get("config")
        if config:
            yield "families_fuzz", path.name, json.dumps(config).encode()
    yield "families_fuzz", "beyond_whole_numbers", b'{"model_type": "mpt", "vocab_size": 61, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 1e92}'
    tensors = safetensors([("a.weight", [2, 3], [1.0] * 6), ("b", [], [0.5])])
    yield "safetensors_fuzz", "small", tensors
    yield "gguf_fuzz", "model", (GOLDEN / "checkpoint/model.gguf").read_bytes()
    adapter = GOLDEN / "checkpoint/adapter"
    yield "peft_fuzz", "adapter", b"\0".join(
        (adapter / name).read_bytes() for name in ("adapter_config.json", "adapter_model.safetensors"))
    kinds = GOLDEN / "checkpoint/adapters"
    for kind in ("saved", "rows", "dora_head", "grown", "lora_bias_none", "patterns"):
        yield "peft_fuzz", kind, b"\0".join(
            (kinds / kind / name).read_bytes() for name in ("adapter_config.json", "adapter_model.safetensors"))
    for kind in ("zip", "legacy"):
        yield "torch_file_fuzz", kind, (kinds / kind / "adapter_model.bin").read_bytes()
    yield "llama2c_fuzz", "small", struct.pack("<7i", 4, 8, 1, 2, 1, 12, 8) + bytes(4 * 700)
    state = {"format": 1, "step": 3, "best": None, "best_step": -1, "fingerprint": {"a": 1}, "arithmetic": {}}
    yield "run_state_fuzz", "good", b"\0" + json.dumps(state).encode() + b"\0" + tensors
    yield "run_state_fuzz", "raw", b"\1" + json.dumps({"format": 1, "state": "{}", "state_hash": "00"}).encode() + b"\0" + tensors
    rows = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5}]},
        {"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "completion": "b", "label": True},
        {"instruction": "a", "input": "", "output": "b"}, {"conversations": [{"from": "human", "value": "x"}]}, {"text": "é"},
    ]  # fmt: skip
    # The rows of the table in docs/data.md, one of each published shape.
    table = re.findall(r"^\| .* \| `(\{.*\})` \| `", (ROOT / "docs/data.md").read_text(), re.M)
    yield "json_rows_fuzz", "shapes", b"\1" + "\n".join(table).encode()
    yield "json_rows_fuzz", "turns", b"\1" + b'''{"messages":[{"role":"user","parts":["a"]},{"role":"assistant","tool_calls":"[{\\"name\\":\\"f\\",\\"arguments\\":{\\"a\\":null}}]","train":"no"}],"tools":"[]"}
{"conversations":[{"from":"function_call","value":"{\\"name\\":\\"f\\"}"},["a","b"],{"user":"x","bot":"y"}],"label":"up","system":"s","history":[["q","a"]]}'''
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    yield "json_rows_fuzz", "lines", b"\3" + lines + b'\n{"broken": \n{"text": "ok"}'
    yield "json_rows_fuzz", "array", b"\2" + json.dumps(rows, indent=1).encode()
    yield from data_files()
    yield "json_fuzz", "rows", json.dumps(rows).encode()
    for folder, target in (("recipes", "recipe_fuzz"), ("recipes", "yaml_fuzz")):
        for path in sorted((ROOT / folder).glob("*.yaml")):
            yield target, path.name, path.read_bytes()
    config = "method: dpo\nmodel: m\ndata: [{path: a.jsonl, weight: 2}, b.jsonl]\nout: o\nadapter: {rank: 4, targets: [q_proj]}\n"
    config += "schedule: {name: cosine, warmup: 0.1}\noptimizer: {name: adamw, betas: [0.9, 0.95]}\nlearning_rate: 5.0e-7\nbeta: 0.1\n"
    yield "config_fuzz", "dpo", config.encode()
    yield "yaml_fuzz", "config", config.encode() + b"a: &x [1, *x]\nb: |\n  text\n"
    tool = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    head = b"POST /v1/completions?x=1 HTTP/1.1\r\nHost: own.example:1\r\nIf-None-Match: \"t\"\r\n"
    yield "http_request_fuzz", "length", head + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nabcdeGET / HTTP/1.1\r\n\r\n"
    yield "http_request_fuzz", "chunks", head + b"Transfer-Encoding: chunked\r\n\r\n5;a=\"b\\\"\" ; c\r\nabcde\r\n0a\r\n0123456789\r\n0\r\nT: u\r\n\r\n"
    yield "http_request_fuzz", "chunks-alone", b"1\r\na\r\n1\r\nb\r\n000\r\n\r\nrest"
    yield "serve_request_fuzz", "chat", json.dumps({
        "messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "function": tool}], "logprobs": True, "top_logprobs": 2,
        "response_format": {"type": "json_object"}, "stop": ["x"], "return_token_ids": True, "prompt_logprobs": 1}).encode()  # fmt: skip
    yield "serve_request_fuzz", "completion", json.dumps({"prompt": [[3, 4], [5]], "echo": True, "logprobs": 1, "logit_bias": {"5": 1}}).encode()
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x": 1}'},
        {"type": "function_call_output", "call_id": "c", "output": "d"}]  # fmt: skip
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]}
    schema = {"format": {"type": "json_schema", "name": "n", "schema": tool["parameters"], "strict": True}, "verbosity": "low"}
    yield "serve_request_fuzz", "responses", json.dumps({
        "input": items, "instructions": "i", "tools": [{"type": "function", **tool}], "tool_choice": allowed, "reasoning": {"effort": "low"},
        "include": ["message.output_text.logprobs"], "metadata": {"a": "b"}, "max_output_tokens": 5}).encode()  # fmt: skip
    yield "serve_request_fuzz", "responses-schema", json.dumps({"input": "a", "text": schema, "store": False}).encode()
    blocks = [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "b", "signature": ""}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": [{"type": "text", "text": "d"}]}]}]  # fmt: skip
    yield "serve_request_fuzz", "messages", json.dumps({
        "max_tokens": 5, "system": [{"type": "text", "text": "s"}], "messages": blocks, "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "tools": [{"name": "f", "input_schema": tool["parameters"]}], "thinking": {"type": "enabled", "budget_tokens": 9}}).encode()  # fmt: skip
    yield "serve_request_fuzz", "answer", b'<think>\na\n</think>\n\nb <tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'
    yield "serve_request_fuzz", "fields", json.dumps({
        "messages": [{"role": "assistant", "content": None, "refusal": "r", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
                     {"role": "tool", "tool_call_id": "1", "content": "d"}],
        "tools": [{"type": "function", "function": {**tool, "strict": True}}], "parallel_tool_calls": False, "min_tokens": 2, "stop_token_ids": [5],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
        "reasoning_effort": "none", "metadata": {"a": "b"}, "modalities": ["text"], "stream_options": None}).encode()  # fmt: skip
    yield "serve_request_fuzz", "guided", json.dumps({"prompt": "a", "structured_outputs": {"regex": "a{2}|[^b]"}, "guided_choice": None}).encode()
    person = {
        "$defs": {"t": {"type": "object", "properties": {"v": {"type": "number", "minimum": -1.5, "exclusiveMaximum": 2}, "n": {"$ref": "#/$defs/t"}}}},
        "type": "object", "required": ["d", "q"], "additionalProperties": {"type": ["boolean", "null"]}, "maxProperties": 5,
        "properties": {
            "d": {"type": "string", "format": "date-time"}, "z": {"type": "string", "pattern": "^(?!00)\\d{2}[^a-c]$", "maxLength": 3},
            "l": {"type": "array", "prefixItems": [{"enum": [1, "a", None]}], "items": {"$ref": "#/$defs/t"}, "maxItems": 3},
            "i": {"allOf": [{"type": "integer", "multipleOf": 7}, {"maximum": 99}]}, "o": {"oneOf": [{"const": {"a": 1}}, {"type": "null"}]}}}  # fmt: skip
    yield "json_schema_fuzz", "schema", json.dumps(person).encode() + b"\0" + bytes(range(90))
    yield "json_schema_fuzz", "names", json.dumps({
        "patternProperties": {"^x": {"type": "integer"}}, "propertyNames": {"minLength": 2}, "minProperties": 1}).encode() + b"\0" + bytes(range(60))  # fmt: skip
    yield "json_schema_fuzz", "pattern", rb"/^(?=.*\d)([a-z]{2,5}|\u00e9?|[^\s\w]+?)*$" + b"\0" + bytes(range(40))
    yield "hub_listing_fuzz", "model", json.dumps({"siblings": [
        {"rfilename": "config.json", "size": 12, "blobId": "a" * 40}, {"rfilename": "complete.json"},
        {"rfilename": "model.safetensors", "size": 1 << 33, "lfs": {"sha256": "b" * 64, "size": 1 << 33, "pointerSize": 135}}]}).encode()  # fmt: skip
    yield "wheel_fuzz", "wheel", small_wheel()
    choice = {"index": 1, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop", "logprobs": {"content": [
        {"token": "yes", "logprob": -0.5, "bytes": [121], "top_logprobs": [{"token": "no", "logprob": -1e3}]}]}}  # fmt: skip
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    yield "remote_reply_fuzz", "whole", b"\0" + json.dumps({"model": "m", "choices": [choice | {"index": 0}, choice], "usage": usage}).encode()
    yield "remote_reply_fuzz", "stream", b"\1" + b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "y"}}]}, {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": usage}, {"error": {"message": "no", "code": 500}}])  # fmt: skip
    for form, reply in enumerate(["Rating: [[7.5]]", "[[B]]", "Say more.\nOverall Score: 8/10", "Rating: 4\nRationale: a\n\nRating: N/A\nRationale: b",
                                  "Type: 1, 3\nRationale: a\nRating: 2\nRationale: b", "**Score:** 4.5", "8, 7.5\nbecause", "a: 8\nb: 7",
                                  "[{'model': 'model_1', 'rank': 1}]", "m", "7", '{"a": 3, "b": 4.5}']):  # fmt: skip
        yield "reply_rules_fuzz", str(form), bytes([form, 2 if "Rationale" in reply or form in (1, 6, 7, 8, 9) else 1]) + reply.encode()
    yield "event_stream_fuzz", "stream", b"\2data: one\n\nevent: x\ndata:two\r\ndata: more\r\n\r\n: c\n\ndata: [DONE]\n\n"


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1])
    for target, name, data in itertools.chain(seeds()):
        (out / target).mkdir(parents=True, exist_ok=True)
        (out / target / f"seed-{name}").write_bytes(data)
