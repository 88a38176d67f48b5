"""A server with the API's shapes whose answers the test chooses, so that the page meets hostile text, slow streams
and errors that no small model gives on demand. The files of web/ go out with the headers that fettle sends."""
import http.server
import json
import mimetypes
import os
import threading
import time

POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")

MARKDOWN = """## A plan

Some **bold**, *slanted* and `inline` text with a [link](https://example.org/page).

| model | score | note |
| :--- | ---: | --- |
| base | 61.2 | plain |
| polite | 68.9 | a \\| b |

1. First step
   - with a detail
   - and another
2. Second step

- [x] done
- [ ] not yet

> A quotation
> of two lines.

```python
def area(radius: float) -> float:
    \"\"\"The area of a circle.\"\"\"
    return 3.14159 * radius ** 2  # pi
```
"""

HOSTILE = """<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2">

[press](javascript:window.hacked=3) [data](data:text/html,<script>window.hacked=4</script>) ![pixel](https://example.com/pixel.png)

| <svg onload=window.hacked=5> | b |
| --- | --- |
| <iframe srcdoc="<script>parent.hacked=6</script>"></iframe> | <b onclick=window.hacked=7>x</b> |

```html"><script>window.hacked=8</script>
</code></pre><script>window.hacked = 9</script>
```

<a href="javascript:window.hacked=10">x</a> <style>body { display: none }</style> &lt;script&gt;window.hacked=11&lt;/script&gt;
"""


class State:
    def __init__(self, web, key=None, models=None):
        self.web = web
        self.key = key
        self.models = models or [("smollm2-135m", None), ("polite", "smollm2-135m"), ("terse", "smollm2-135m")]
        self.votes = []
        self.requests = []
        self.closed_by_client = 0
        self.fail_votes = 0


def answer_for(model, prompt):
    """(pieces, seconds between them, how it ends)"""
    if prompt.startswith("markdown"):
        text = MARKDOWN
    elif prompt.startswith("hostile"):
        text = HOSTILE
    elif prompt.startswith("slow"):
        return [f"word{i} " for i in range(100000)], 0.05, "stop"
    elif prompt.startswith("burst"):
        return ["all ", "of it ", "at once"], 0, "stop"
    elif prompt.startswith("breaks"):
        return ["half an ", "answer"], 0.02, "error"
    elif prompt.startswith("cut"):
        return ["half an ", "answer"], 0.02, "cut"
    elif prompt.startswith("long"):
        text = "A sentence that fills the page. " * 400
    else:
        text = f"{model} heard: {prompt}"
    return [text[i:i + 7] for i in range(0, len(text), 7)], 0.004, "stop"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None
    held = None  # what is gathered to go out at once

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, message, code):
        self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}})

    def allowed(self):
        if not self.state.key or self.headers.get("Authorization") == f"Bearer {self.state.key}":
            return True
        self.error(401, "", "invalid_api_key")
        return False

    def do_GET(self):
        if not self.path.startswith("/v1/"):
            return self.page()
        if not self.allowed():
            return None
        if self.path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [
                {"id": name, "object": "model", "created": 1, "owned_by": "fettle", "parent": parent, "max_model_len": 8192,
                 "default_sampling": {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "min_p": 0, "repetition_penalty": 1}}
                for name, parent in self.state.models]})
        if self.path == "/v1/arena/votes/export":
            lines = [json.dumps(self.preference(vote)) + "\n" for vote in self.state.votes if vote["vote"] in "ab"]
            return self.reply(200, "".join(lines).encode(), "application/x-ndjson")
        if self.path == "/v1/arena/table":
            return self.reply(200, self.table())
        return self.error(404, "There is nothing here.", "not_found")

    def page(self):
        path = os.path.normpath(os.path.join(self.state.web, self.path.split("?")[0].lstrip("/") or "index.html"))
        if not path.startswith(self.state.web) or not os.path.isfile(path):
            return self.error(404, "There is nothing here.", "not_found")
        with open(path, "rb") as file:
            return self.reply(200, file.read(), mimetypes.guess_type(path)[0] or "application/octet-stream",
                              [("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-cache")])

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.allowed():
            return None
        if self.path == "/v1/chat/completions":
            return self.chat(body)
        if self.path == "/v1/arena/votes":
            if self.state.fail_votes:
                self.state.fail_votes -= 1
                return self.error(500, "The disk is full.", "disk_full")
            self.state.votes.append(body)
            return self.reply(201, {"id": f"vote-{len(self.state.votes)}", "object": "arena.vote", "created": 1, "vote": body["vote"]})
        return self.error(404, "There is nothing here.", "not_found")

    def chat(self, body):
        self.state.requests.append(body)
        prompt = body["messages"][-1]["content"]
        if prompt.startswith("too long"):
            return self.error(400, "The model takes 8192 tokens, the messages have 9000.", "context_length_exceeded")
        pieces, pause, end = answer_for(body["model"], prompt)
        self.held = b"" if pause == 0 else None
        begin = time.time()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            self.event({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]})
            for piece in pieces:
                time.sleep(pause)
                self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            if end == "stop":
                self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
                self.event({"choices": [], "usage": {"prompt_tokens": 31, "completion_tokens": len(pieces), "total_tokens": 31 + len(pieces)},
                            "timings": {"first_token_seconds": 0.001, "total_seconds": 0.201 if pause == 0 else time.time() - begin}})
                self.wfile.write((self.held or b"") + b"data: [DONE]\n\n")
            elif end == "error":
                self.event({"error": {"message": "Out of memory for keys and values.", "type": "server_error", "param": None, "code": None}})
        except (BrokenPipeError, ConnectionResetError):
            self.state.closed_by_client += 1
        self.close_connection = True

    def event(self, data):
        line = f"data: {json.dumps(data)}\n\n".encode()
        if self.held is None:
            self.wfile.write(line)
        else:
            self.held += line

    @staticmethod
    def preference(vote):
        chosen, rejected = (vote["a"], vote["b"]) if vote["vote"] == "a" else (vote["b"], vote["a"])
        side = lambda answer: [{"role": "assistant", "content": answer["content"]}]
        return {"prompt": vote["messages"], "chosen": side(chosen), "rejected": side(rejected),
                "chosen_model": chosen["model"], "rejected_model": rejected["model"]}

    def table(self):
        names = sorted({vote[side]["model"] for vote in self.state.votes for side in "ab"})
        models = []
        for name in names:
            games = [vote for vote in self.state.votes if name in (vote["a"]["model"], vote["b"]["model"])]
            wins = sum(vote["vote"] in "ab" and vote[vote["vote"]]["model"] == name for vote in games)
            ties = sum(vote["vote"] not in "ab" for vote in games)
            rate = (wins + ties / 2) / len(games)
            models.append({"model": name, "games": len(games), "wins": wins, "ties": ties, "losses": len(games) - wins - ties,
                           "win_rate": rate, "low": max(0.0, rate - 0.3), "high": min(1.0, rate + 0.3)})
        return {"object": "arena.table", "votes": len(self.state.votes), "models": models, "pairs": []}


def start(state, port=0):
    """The server, running in a thread; its address is `server.server_address`."""
    handler = type("StateHandler", (Handler,), {"state": state})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
