#!/usr/bin/env python3
"""What a page of another origin can do to a server that allowed it nothing: every kind of request that a browser lets such a page send
is refused, none changes anything, no answer may be read or put into a page. Then the same from a real page in headless Chromium, and
names and votes full of markup in the server's own page; that part says "without a browser" where there is no Chromium.

Usage: foreign_pages.py PROGRAM MODEL
"""
import itertools
import json
import os
import sys
import tempfile

from browser import Browser, find_chromium
from cors_page import origin
from serving import serve

MARKUP = "<img src=x onerror=window.hacked=1>\u202e<script>window.hacked=2</script>"
KINDS = ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", ""]
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
VOTE = {"messages": CHAT["messages"], "a": {"model": MARKUP, "content": MARKUP}, "b": {"model": "b", "content": "y"}, "vote": "a"}
BODIES = {"/v1/chat/completions": CHAT, "/v1/completions": {"prompt": "a", "max_tokens": 1}, "/v1/responses": {"input": "a", "max_output_tokens": 1},
          "/v1/messages": CHAT, "/v1/embeddings": {"input": "a"}, "/tokenize": {"content": "a"}, "/detokenize": {"tokens": [5]}, "/v1/arena/votes": VOTE}
failures = []


def check(what, holds, *shown):
    if not holds:
        failures.append(what)
        print("WRONG", what, *shown)


def origins(port):
    return ["https://evil.example", "null", f"http://127.0.0.1:{port + 1}", f"http://127.0.0.1:{port}.evil.example", f"http://evil.example:{port}",
            "http://localhost.evil.example", "file://"]


def votes_of(served):
    return len(served.json("GET", "/v1/arena/votes")[1]["data"])


def refused(served):
    """Posts with every Content-Type that needs no leave, and with one that does; and the other methods. What is only read may be
    answered, but not so that the page's script could look at it."""
    count = 0
    for (path, body), kind, foreign in itertools.product(BODIES.items(), KINDS, origins(served.port)):
        headers = {"Origin": foreign, "Sec-Fetch-Site": "cross-site", **({"Content-Type": kind} if kind else {})}
        status, data, answered = served.ask("POST", path, body, headers)
        check(f"POST {path} as {kind or 'nothing'} from {foreign}", status in (403, 415) and "Access-Control-Allow-Origin" not in answered, status, data[:200])
        count += 1
    for path, foreign in itertools.product(("/v1/models", "/v1/arena/votes", "/v1/arena/votes/export", "/metrics", "/"), origins(served.port)):
        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            headers = {"Origin": foreign, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
            status, data, answered = served.ask(method, path, None, headers)
            check(f"{method} {path} from {foreign}", (status >= 400 or method == "GET") and not any(name.startswith("Access-Control-Allow") for name in answered),
                  status, data[:200])
            count += 1
    check("nothing was stored", votes_of(served) == 0)
    return count


def names(served):
    """A name that somebody else lets point here (DNS rebinding) opens nothing; our own do."""
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254", "[fe80::1]"):
        status, data, _ = served.ask("GET", "/v1/models", None, {"Host": host})
        check(f"Host: {host}", status == 403, status, data[:200])
    for host in ("localhost", "127.0.0.1", f"localhost:{served.port}", f"127.0.0.1:{served.port}"):
        check(f"Host: {host}", served.ask("GET", "/v1/models", None, {"Host": host})[0] == 200)
    own = f"http://127.0.0.1:{served.port}"
    check("our own page may ask", served.ask("POST", "/v1/completions", BODIES["/v1/completions"], {"Origin": own, "Host": own[7:]})[0] == 200)


def answers_stay(served):
    """No answer can be sniffed as something else, framed, or read by a page that includes it."""
    for method, path, body in (("GET", "/", None), ("GET", "/js/main.js", None), ("GET", "/v1/models", None), ("GET", "/v1/nothing", None),
                               ("POST", "/v1/chat/completions", CHAT), ("POST", "/v1/chat/completions", {"messages": 1})):
        _, _, headers = served.ask(method, path, body)
        lower = {name.lower(): value for name, value in headers.items()}
        check(f"{path} is not sniffed", lower.get("x-content-type-options") == "nosniff", lower)
        check(f"{path} stays with its origin", lower.get("cross-origin-resource-policy") == "same-origin", lower)
        if path != "/" and not path.startswith("/js/"):
            check(f"{path} is not kept", "no-store" in lower.get("cache-control", ""), lower)
    policy = served.ask("GET", "/")[2].get("Content-Security-Policy", "")
    for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
        check(f"the page's policy has {part}", part in policy, policy)


TRIES = """(async () => {
  const base = %r, done = [];
  const say = (name, value) => done.push(name + ": " + value);
  for (const mode of ["cors", "no-cors"]) for (const type of ["text/plain", "application/json"]) {
    try {
      const answer = await fetch(base + "/v1/arena/votes", {method: "POST", mode, headers: {"Content-Type": type}, body: %s});
      say("fetch " + mode, (await answer.text()) || "opaque");
    } catch { say("fetch " + mode, "blocked"); }
  }
  navigator.sendBeacon(base + "/v1/arena/votes", new Blob([%s], {type: "text/plain"}));
  for (const [tag, path] of [["script", "/v1/models"], ["img", "/favicon.svg"], ["script", "/js/main.js"]]) {
    say(tag + " " + path, await new Promise((end) => {
      const node = document.createElement(tag);
      node.onload = () => end("loaded");
      node.onerror = () => end("blocked");
      node.src = base + path;
      document.head.append(node);
    }));
  }
  return done;
})()"""


def in_a_browser(served, chromium):
    browser = Browser(chromium)
    vote = json.dumps(json.dumps(VOTE))
    try:
        with origin() as elsewhere:
            browser.open(elsewhere)
            for line in browser.run(TRIES % (f"http://127.0.0.1:{served.port}", vote, vote)):
                check(f"in Chromium, {line}", line.endswith(("blocked", "opaque")))
        check("no page of another origin voted", votes_of(served) == 0)
        served.json("POST", "/v1/arena/votes", VOTE)
        browser.problems.clear()
        browser.open(f"http://127.0.0.1:{served.port}/#/arena/results")
        browser.wait("document.querySelector('.results-table tbody tr')")
        check("markup in votes is text", MARKUP in browser.run("document.body.textContent"), browser.run("document.body.innerText"))
        browser.open(f"http://127.0.0.1:{served.port}/")
        browser.wait("document.querySelector('.server-status')?.dataset.state === 'good'")
        check("markup in names is text", browser.run("window.hacked === undefined && document.querySelectorAll('img[src=x]').length === 0"))
        check("no script was refused, since none was there", not [text for text in browser.problems if "Content Security" in text], browser.problems)
    finally:
        browser.close()


def main():
    program, model = sys.argv[1:3]
    chromium = find_chromium()
    with tempfile.TemporaryDirectory() as folder:
        with serve(program, model, "--votes", os.path.join(folder, "votes.sqlite"), "--name", MARKUP) as served:
            count = refused(served)
            names(served)
            answers_stay(served)
            if chromium:
                in_a_browser(served, chromium)
    print(f"{count} requests of foreign pages refused" + ("" if chromium else "; without a browser: no chromium"))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
