#!/usr/bin/env python3
"""Hostile clients beside honest ones, for as long as is wanted. Every honest text must be the one that the same request has alone;
the server's memory, descriptors and threads must not grow after the first third.

Usage: soak.py PROGRAM MODEL [--seconds 60] [--clients 64] [--seed S] [serve flags…]
Half of the clients are honest: they stream seeded answers, a few hang up. The other half send what nobody should, drawn by the seed
from a table, or a good request with bytes changed.
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import socket
import sys
import threading
import time

import hostile_clients
from load import request, stream, take
from serving import serve

KINDS = 32
# Rows of the table that take long by themselves, or that say how a server without company behaves.
ALONE = ("half a head, then silence", "300 such clients", "10,000 idle connections", "64 MB of chunks", "Content-Length of 1 GB", "600 bodies", "15 MB")
PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/tokenize", "/detokenize", "/v1/arena/votes", "/v1/models", "/health"]
GOOD = [
    {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "stream": True},
    {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "tools": [{"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"x": {"type": "integer"}}}}}]},
    {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
        "type": "object", "properties": {"a": {"type": "string", "maxLength": 9}, "b": {"enum": [1, None]}}, "required": ["a"]}}}},
    {"prompt": ["a", "b"], "max_tokens": 2, "n": 2, "logprobs": 1}, {"input": "hi", "max_output_tokens": 3}, {"text": "a b c"},
    {"prompt": "one two", "max_tokens": 4, "structured_outputs": {"regex": "(a|b){1,3}"}},
]


def mutated(random_):
    """A good request with a few bytes changed, cut, doubled or nested, in pieces that do not end where lines do."""
    body = bytearray(json.dumps(random_.choice(GOOD)).encode())
    for _ in range(random_.choice([0, 1, 1, 2, 8])):
        at = random_.randrange(len(body))
        change = random_.randrange(5)
        if change == 0:
            body[at] = random_.randrange(256)
        elif change == 1:
            del body[at:at + random_.randint(1, 20)]
            body += b" "
        elif change == 2:
            body[at:at] = body[at:at + random_.randint(1, 40)] * random_.choice([2, 50])
        elif change == 3:
            body[at:at] = random_.choice([b"[", b'{"a":', b'"\\u0000"', b"1e999", b"-0", b"null", b"\xff"]) * random_.choice([1, 3, 3000])
        else:
            body[at:at] = b'"' + bytes(random_.randrange(32, 127) for _ in range(9)) + b'":'
    head = f"{random_.choice(['POST', 'POST', 'POST', 'GET', 'PUT', 'OPTIONS', 'BREW'])} {random_.choice(PATHS)} HTTP/1.{random_.choice('01')}\r\n"
    head += f"Host: {random_.choice(['localhost', '127.0.0.1', 'evil.example', ''])}\r\n"
    if random_.random() < 0.2:
        head += f"Origin: {random_.choice(['https://evil.example', 'null', 'http://localhost:1'])}\r\n"
    if random_.random() < 0.15:
        pieces = [f"{len(body):x}\r\n".encode() + bytes(body) + b"\r\n", random_.choice([b"0\r\n\r\n", b"zz\r\n", b"-1\r\n\r\n", b""])]
        return [(head + "Transfer-Encoding: chunked\r\n\r\n").encode(), *pieces]
    length = len(body) + random_.choice([0, 0, 0, 0, 0, -3, 7])
    data = (head + f"Content-Length: {length}\r\n\r\n").encode() + bytes(body)
    cut = random_.randrange(1, len(data))
    return [data[:cut], data[cut:]]


def send(port, pieces, random_):
    """Sends, reads what comes for a short while, and hangs up, at times at once."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=3) as client:
        for piece in pieces:
            client.sendall(piece)
            if random_.random() < 0.1:
                time.sleep(0.05)
        if random_.random() < 0.2:
            return
        client.shutdown(socket.SHUT_WR) if random_.random() < 0.3 else None
        read, end = 0, time.time() + 3
        while time.time() < end and read < 1 << 20 and (piece := client.recv(65536)):
            read += len(piece)


class Soak:
    def __init__(self, served, seconds, seed):
        self.served, self.end, self.seed = served, time.time() + seconds, seed
        self.counts, self.wrong, self.lock = collections.Counter(), [], threading.Lock()
        self.table = [send for name, _, send in hostile_clients.rows(served.port) if not name.startswith(ALONE)]
        self.alone = {number: stream(served.port, request(number))[1] for number in range(KINDS)}
        self.figures = []

    def count(self, what, wrong=None):
        with self.lock:
            self.counts[what] += 1
            if wrong:
                self.wrong.append(wrong)

    def honest(self, index):
        random_ = random.Random(f"{self.seed} honest {index}")
        while time.time() < self.end:
            number = random_.randrange(KINDS)
            hang_up = random_.randint(0, 5) if random_.random() < 0.1 else None
            try:
                status, text, _, _, whole = stream(self.served.port, request(number), hang_up)
            except Exception as error:  # whatever comes of it is a fault of the server's, and is told
                self.count("failed", f"an honest client got {error!r}")
                time.sleep(0.2)
                continue
            if status == 503:
                self.count("refused")
                time.sleep(0.2)
            elif status != 200 or (hang_up is None and not whole):
                self.count("failed", f"an honest client got status {status}, {'whole' if whole else 'cut'}")
            elif whole:
                self.count("honest answers", None if text == self.alone[number] else f"another text of request {number}")
            else:
                self.count("hung up")

    def hostile(self, index):
        random_ = random.Random(f"{self.seed} hostile {index}")
        while time.time() < self.end:
            if random_.random() < 0.25:
                with contextlib.suppress(OSError):
                    random_.choice(self.table)()
            else:
                send(self.served.port, mutated(random_), random_)
            self.count("hostile requests")

    def measure(self):
        """Memory in MB, descriptors, threads."""
        process = pathlib.Path(f"/proc/{self.served.process.pid}")
        lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
        return int(lines["VmRSS"].split()[0]) / 1000, len(os.listdir(process / "fd")), int(lines["Threads"])

    def run(self, clients):
        threads = [threading.Thread(target=self.honest if i % 2 == 0 else self.hostile, args=(i,)) for i in range(clients)]
        for thread in threads:
            thread.start()
        begin = time.time()
        while time.time() < self.end and self.served.process.poll() is None:
            self.figures.append((time.time() - begin, *self.measure()))
            time.sleep(min(5, max(0.5, (self.end - begin) / 60)))
        for thread in threads:
            thread.join()
        if self.served.process.poll() is not None:
            self.wrong.append(f"the server ended with status {self.served.process.returncode}")
            return
        end = time.time() + 30  # what hung up may be computed to its end
        while time.time() < end and self.served.metrics()["fettle_requests_running"] > 0:
            time.sleep(0.2)
        if self.served.metrics()["fettle_requests_running"] > 0:
            self.wrong.append("requests run although nobody waits for them")
        for number, text in self.alone.items():
            if stream(self.served.port, request(number))[1] != text:
                self.wrong.append(f"another text of request {number} after all")

    def judge_figures(self):
        """The last third must need what the one before it needed; the first warms up."""
        third = len(self.figures) // 3
        print("| | memory MB | descriptors | threads |\n| --- | --- | --- | --- |")
        tops = [[max(row[1 + i] for row in self.figures[begin:begin + third]) for i in range(3)] for begin in (0, third, 2 * third)]
        for name, top in zip(("first third", "second third", "last third"), tops):
            print(f"| {name}, most | {top[0]:.0f} | {top[1]} | {top[2]} |")
        for i, (name, slack) in enumerate((("memory", 20), ("descriptors", 24), ("threads", 8))):
            if tops[2][i] > tops[1][i] * 1.05 + slack:
                self.wrong.append(f"{name} grow: {tops[1][i]:.0f}, then {tops[2][i]:.0f}")


def main():
    program, model, *flags = sys.argv[1:]
    seconds, clients, seed = take(flags, "--seconds", 60), take(flags, "--clients", 64), take(flags, "--seed", 1)
    with serve(program, model, *flags) as served:
        threading.Thread(target=lambda: collections.deque(served.process.stderr, maxlen=0), daemon=True).start()  # a full pipe would hold it
        soak = Soak(served, seconds, seed)
        soak.run(clients)
        soak.judge_figures()
    print(f"seed {seed}, {seconds} s, {clients} clients:", ", ".join(f"{count} {what}" for what, count in sorted(soak.counts.items())))
    if served.process.returncode not in (0, 1, None):
        soak.wrong.append(f"the server ended with status {served.process.returncode} when it was asked to")
    for what, count in collections.Counter(soak.wrong).most_common(20):
        print(f"WRONG ({count} times) {what}")
    sys.exit(1 if soak.wrong or not soak.counts["honest answers"] else 0)


if __name__ == "__main__":
    main()
