#!/usr/bin/env python3
"""Sends a server what nobody should, and prints a table of what was sent and what came back. After each row the server must
still answer an honest request.

Usage: hostile_clients.py PROGRAM MODEL [serve flags…]     (ends with 1 when a row is not as expected)
"""
import contextlib
import json
import resource
import socket
import sys
import time

from serving import serve

HEAD = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


def exchange(port, *pieces, pause=0.0, half_close=False, wait=5.0):
    """Sends pieces and reads until the server closes or says nothing for `wait` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as client:
        try:
            for piece in pieces:
                client.sendall(piece if isinstance(piece, bytes) else piece.encode())
                time.sleep(pause)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the server may have closed already; what it said is read all the same
        answer = b""
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                answer += piece
                head, separator, body = answer.partition(b"\r\n\r\n")
                length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if separator and length and len(body) >= length[0]:
                    break
        return answer


def status(answer):
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


def post(port, body, **options):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status(exchange(port, HEAD + f"Content-Length: {len(data)}\r\n\r\n", data, **options))


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, **fields}


def big_body(port):
    """Announces and sends: a server that reads a gigabyte would take long or grow."""
    def pieces():
        yield HEAD + "Content-Length: 1000000000\r\n\r\n"
        for _ in range(64):
            yield b"x" * (1 << 20)
    return status(exchange(port, *pieces()))


def big_chunks(port):
    return status(exchange(port, HEAD + "Transfer-Encoding: chunked\r\n\r\n", *[b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"] * 64))


def slow_head(port):
    begin = time.time()
    code = status(exchange(port, "GET /health HT", wait=20))
    return code if time.time() - begin < 15 else -1


def slow_heads_beside(port):
    """300 clients that never finish their head, and one honest one."""
    clients = []
    for _ in range(300):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        clients.append(client)
    code = status(exchange(port, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    for client in clients:
        client.close()
    return code


def slow_bodies_beside(port):
    """600 clients, more than there are threads, whose bodies do not end, and one honest one."""
    clients = []
    for i in range(600):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall((HEAD + ("Content-Length: 100\r\n\r\n{" if i % 2 else "Transfer-Encoding: chunked\r\n\r\n5\r\n{")).encode())
        clients.append(client)
    code = post(port, chat())
    for client in clients:
        client.close()
    return code


def smuggled(port, head):
    """501, 404 and so on; -1 when the request inside the body was answered too."""
    inner = "GET /v1/models/SMUGGLED HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client, contextlib.suppress(OSError):
        client.sendall((head.replace("LENGTH", str(len(inner))) + inner + inner).encode())
        while piece := client.recv(65536):
            answer += piece
    return -1 if b"SMUGGLED" in answer or answer.count(b"HTTP/1.1 ") != 1 else status(answer)


def idle(port, count=10000):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    clients = []
    with contextlib.suppress(OSError):
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=5))
    code = status(exchange(port, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    print(f"  ({len(clients)} idle connections were opened)", file=sys.stderr)
    for client in clients:
        client.close()
    return code


def in_time(seconds, send):
    """What comes back, -1 when it takes longer."""
    begin = time.time()
    code = send()
    return code if time.time() - begin < seconds else -1


def doubling_schema(depth):
    """A schema of few bytes that stands for 2^depth."""
    definitions = {f"s{i}": {"anyOf": [{"$ref": f"#/$defs/s{i + 1}"}] * 2} for i in range(depth)}
    schema = {"$ref": "#/$defs/s0", "$defs": {**definitions, f"s{depth}": {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}}}
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def calls_with(arguments):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [{"role": "assistant", "content": "x", "tool_calls": [call]}, {"role": "user", "content": "x"}], "max_tokens": 1}


def rows(port):
    yield "an honest chat", 200, lambda: post(port, chat())
    yield "no HTTP at all", 400, lambda: status(exchange(port, "\x16\x03\x01 hello\r\n\r\n"))
    yield "half a head, then silence", 408, lambda: slow_head(port)
    yield "300 such clients beside an honest one", 200, lambda: slow_heads_beside(port)
    yield "600 bodies that do not end beside an honest client", 200, lambda: slow_bodies_beside(port)
    yield "15 MB in chunks of one byte", 400, lambda: status(exchange(port, HEAD + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 15000000 + b"0\r\n\r\n"))
    for line in ("PROPFIND /x", "POST /nothing", "POST /health", "GET /health", "DELETE /x"):
        yield f"a request in the body of {line}", (200, 404, 405, 501), lambda line=line: smuggled(port, f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: LENGTH\r\n\r\n")
    for size in ("g", "0x2", "+2", "-2", "2 ", "", "10000000000000002"):
        yield f"a chunk of the size '{size}'", 400, lambda size=size: smuggled(port, HEAD + f"Transfer-Encoding: chunked\r\n\r\n{size}\r\n")
    yield "10,000 idle connections beside an honest client", 200, lambda: idle(port)
    yield "half-closed after a whole request", (0, 200, 499), lambda: post(port, chat(), half_close=True)
    yield "Content-Length of 1 GB", 413, lambda: big_body(port)
    yield "64 MB of chunks", (0, 400, 413), lambda: big_chunks(port)
    yield "a body that stops half-way", 400, lambda: status(exchange(port, HEAD + "Content-Length: 100\r\n\r\n{", half_close=True))
    yield "a gzip bomb", 415, lambda: status(exchange(port, HEAD + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"))
    yield "a head of 100 KB", 431, lambda: status(exchange(port, HEAD + "X: " + "a" * 100000 + "\r\n\r\n"))
    yield "1000 header lines", 431, lambda: status(exchange(port, HEAD + "X: a\r\n" * 1000 + "\r\n"))
    yield "a path of 10 KB", 414, lambda: status(exchange(port, "GET /" + "a" * 10000 + " HTTP/1.1\r\n\r\n"))
    yield "two Content-Lengths", 400, lambda: status(exchange(port, HEAD + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"))
    yield "length and chunks (smuggling)", 400, lambda: status(exchange(port, HEAD + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
    yield "a folded header line", 400, lambda: status(exchange(port, HEAD + " more\r\n\r\n"))
    yield "a NUL in a header", 400, lambda: status(exchange(port, (HEAD + "X: \0\r\n\r\n").encode()))
    yield "CR LF inside a field (header injection)", 404, lambda: status(exchange(port, "GET /v1/models/a%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    yield "../../etc/passwd", 404, lambda: status(exchange(port, "GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    yield "%2e%2e%2f%2e%2e%2fetc/passwd", 404, lambda: status(exchange(port, "GET /%2e%2e%2f%2e%2e%2fetc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    yield "no Host", 400, lambda: status(exchange(port, "GET /v1/models HTTP/1.1\r\n\r\n"))
    yield "another Host (DNS rebinding)", 403, lambda: status(exchange(port, "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"))
    yield "a page of another origin", 403, lambda: status(exchange(port, HEAD + "Origin: https://evil.example\r\nContent-Length: 2\r\n\r\n{}"))
    yield "JSON nested 100,000 deep", 400, lambda: post(port, b"[" * 100000)
    yield "an object nested 100,000 deep", 400, lambda: post(port, b'{"a":' * 100000)
    yield "invalid UTF-8", 400, lambda: post(port, b'{"messages": "\xff\xfe"}')
    yield "a lone surrogate", 400, lambda: post(port, b'{"messages": "\\ud800"}')
    yield "n = 1,000,000,000", 400, lambda: post(port, chat(n=10**9))
    yield "max_tokens beyond the context", 400, lambda: post(port, chat(max_tokens=10**7))
    yield "a prompt beyond the context", 400, lambda: post(port, chat(messages=[{"role": "user", "content": "word " * 200000}]))
    yield "temperature NaN", 400, lambda: post(port, b'{"messages": "hi", "temperature": NaN}')
    yield "seed 1e400", 400, lambda: post(port, b'{"messages": "hi", "seed": 1e400}')
    yield "4097 messages", 400, lambda: post(port, chat(messages=[{"role": "user", "content": "x"}] * 4097))
    yield "a tool as a number", 400, lambda: post(port, chat(tools=[1]))
    yield "a schema that refers to itself", 400, lambda: post(port, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}))
    yield "a schema with 10^6 repetitions", (200, 400), lambda: in_time(
        5, lambda: post(port, chat(response_format={"type": "json_schema", "json_schema": {"schema": {"type": "string", "maxLength": 10**6}}}), wait=30))
    yield "tool arguments nested 20,000 deep", 400, lambda: post(port, calls_with("[" * 20000 + "]" * 20000))
    yield "a schema of 2^24 branches", (200, 400), lambda: in_time(5, lambda: post(port, chat(response_format=doubling_schema(24)), wait=30))
    yield "100,000 keys in one object", (200, 400), lambda: in_time(8, lambda: post(port, chat(chat_template_kwargs={f"k{i}": 1 for i in range(100000)}), wait=30))
    yield "an unknown method", (400, 404, 405, 501), lambda: status(exchange(port, "BREW /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"))


def main():
    program, model, *flags = sys.argv[1:]
    bad = 0
    with serve(program, model, *flags) as served:
        before = served.metrics()["fettle_resident_bytes"]
        print(f"| {'sent':50} | back | expected |\n| --- | --- | --- |")
        for name, expected, send in rows(served.port):
            allowed = expected if isinstance(expected, tuple) else (expected,)
            back = send()
            honest = served.ask("GET", "/health")[0] == 200 and served.process.poll() is None
            good = back in allowed and honest
            bad += not good
            print(f"| {name:50} | {back or 'closed'} | {'' if good else '**' + str(expected) + ('' if honest else ', server gone') + '**'} |", flush=True)
        after = served.metrics()["fettle_resident_bytes"]
        print(f"memory: {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
