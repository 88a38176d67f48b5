#!/usr/bin/env python3
"""A page of another origin asks `fettle serve` in headless Chromium, with the headers that OpenAI's JavaScript SDK sends:
its script must be able to read answers, streams and errors, and a page of an origin that was not allowed nothing.

Usage: cors_page.py PROGRAM MODEL     (77, which ctest reads as skipped, where there is no Chromium)
"""
import contextlib
import http.server
import sys
import threading

import serving
from browser import Browser, find_chromium

KEY = "sk-page"
# As the SDK's requests in a browser carry them; the browser asks for each before it sends any.
SDK = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "application/json", "X-Stainless-Arch": "unknown",
       "X-Stainless-Lang": "js", "X-Stainless-OS": "Unknown", "X-Stainless-Package-Version": "6.0.0", "X-Stainless-Retry-Count": "0",
       "X-Stainless-Runtime": "browser:chrome", "X-Stainless-Runtime-Version": "140.0.0", "X-Stainless-Timeout": "600",
       "OpenAI-Organization": "none"}
ASK = """(async () => {
  try {
    const answer = await fetch(%(url)r, {method: %(method)r, headers: %(headers)r, %(body)s});
    return answer.status + " " + await answer.text();
  } catch (error) { return "blocked"; }
})()"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    """A page's server on a port, and so an origin, of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def ask(browser, port, path, body=None, key=KEY):
    headers = {**SDK, "Authorization": f"Bearer {key}"}
    return browser.run(ASK % {"url": f"http://127.0.0.1:{port}{path}", "method": "GET" if body is None else "POST", "headers": headers,
                              "body": "" if body is None else f"body: {body!r}"})


def check(browser, served, allowed):
    chat = '{"messages": "Hello", "max_tokens": 4, "temperature": 0%s}'
    wanted = {
        "models": (ask(browser, served.port, "/v1/models"), "200 ", '"object":"list"'),
        "chat": (ask(browser, served.port, "/v1/chat/completions", chat % ""), "200 ", "chat.completion"),
        "stream": (ask(browser, served.port, "/v1/chat/completions", chat % ', "stream": true'), "200 data:", "[DONE]"),
        "a wrong key": (ask(browser, served.port, "/v1/chat/completions", chat % "", key="wrong"), "401 ", "invalid_api_key"),
        "a wrong field": (ask(browser, served.port, "/v1/chat/completions", chat % ', "colour": 1'), "400 ", "colour"),
        "a model that is not there": (ask(browser, served.port, "/v1/chat/completions", chat % ', "model": "x:latest"'), "404 ", "model_not_found"),
        "a path that is not there": (ask(browser, served.port, "/v1/nothing"), "404 ", "not_found"),
    }
    for name, (answer, begin, inside) in wanted.items():
        good = answer.startswith(begin) and inside in answer if allowed else answer == "blocked"
        assert good, f"{name}, origin {'allowed' if allowed else 'not allowed'}: {answer[:300]}"


def main():
    program, model = sys.argv[1:3]
    chromium = find_chromium()
    if chromium is None:
        print("skipped: no chromium")
        sys.exit(77)
    browser = Browser(chromium)
    try:
        with origin() as home, origin() as other:
            for allowed in (home, "*"):
                with serving.serve(program, model, "--cors-origin", allowed, "--api-keys", KEY) as served:
                    browser.open(home)
                    check(browser, served, True)
                    browser.open(other)
                    check(browser, served, allowed == "*")
    finally:
        browser.close()
    print("pages of the allowed origin read answers, streams and errors; others nothing")


if __name__ == "__main__":
    main()
