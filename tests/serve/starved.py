#!/usr/bin/env python3
"""A server whose memory and threads are limited while it runs (RLIMIT_AS, which is also what a thread's stack is taken from): single
requests are refused or their connections closed, but the server goes on, and when there is memory again it says what it said before.

Usage: starved.py PROGRAM MODEL
"""
import http.client
import json
import re
import resource
import socket
import sys
import threading

from serving import serve

ASK = {"prompt": "Once upon a time", "max_tokens": 24, "seed": 5, "temperature": 1.0}


def ask(port, path, data, timeout=60):
    """The status; 0 when the connection was closed without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError):
            return -1
        return 0
    finally:
        connection.close()


def size_of(process):
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as status:
        return int(re.search(r"VmSize:\s+(\d+)", status.read()).group(1)) * 1024


def bodies():
    yield "/v1/completions", json.dumps({**ASK, "stream": True, "max_tokens": 60})
    yield "/tokenize", json.dumps({"prompt": "word " * 1500000})
    yield "/v1/completions", json.dumps({"prompt": "word " * 2000000})
    yield "/v1/chat/completions", '{"messages": [' + ",".join(['{"role": "user", "content": "x"}'] * 200000) + "]}"
    yield "/v1/completions", '{"prompt": "a", "stop": [' + ",".join(["[]"] * 3000000) + "]}"


def crowd(port, clients):
    """Every client asks once; the answers' statuses and how many there were of each."""
    found, lock = {}, threading.Lock()

    def one(path, data):
        status = ask(port, path, data)
        with lock:
            found[status] = found.get(status, 0) + 1

    every = list(bodies())
    threads = [threading.Thread(target=one, args=every[i % len(every)]) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main():
    program, model = sys.argv[1:3]
    with serve(program, model) as served:
        text = served.json("POST", "/v1/completions", ASK)[1]["choices"][0]["text"]
        unlimited = resource.prlimit(served.process.pid, resource.RLIMIT_AS)
        for megabytes in (2, 16, 64, 256):
            idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
            limit = size_of(served.process) + (megabytes << 20)
            resource.prlimit(served.process.pid, resource.RLIMIT_AS, (limit, unlimited[1]))
            found = crowd(served.port, 60)
            assert served.process.poll() is None, f"with {megabytes} MB to go the server ended: {served.process.returncode}"
            assert -1 not in found, f"with {megabytes} MB to go clients got no answer: {found}"
            resource.prlimit(served.process.pid, resource.RLIMIT_AS, unlimited)
            for client in idle:
                client.close()
            status, answer = served.json("POST", "/v1/completions", ASK)
            assert status == 200 and answer["choices"][0]["text"] == text, answer
            print(f"{megabytes} MB to go, 60 requests: {dict(sorted(found.items()))} (0: closed); the same text afterwards", flush=True)


if __name__ == "__main__":
    main()
