#!/usr/bin/env python3
"""64 clients stream answers of mixed lengths, a third of them hang up at random. No error but 503, no growth of memory after
the first quarter, and every finished text equals the text of the same request alone.

Usage: load.py PROGRAM MODEL [--seconds 120] [--clients 64] [serve flags…]
"""
import http.client
import json
import random
import sys
import threading
import time

from serving import serve

WORDS = "the cat sat on a mat and looked at two birds in an old tree near our house today".split()


def request(number):
    rng = random.Random(number)
    prompt = " ".join(rng.choice(WORDS) for _ in range(rng.choice([3, 20, 60])))
    return {"prompt": prompt, "max_tokens": rng.choice([8, 32, 64]), "temperature": rng.choice([0, 0.8]), "seed": number,
            "stream": True, "stream_options": {"include_usage": True}}


def stream(port, body, hang_up_after=None):
    """(status, text, tokens, seconds to first token, whole)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    text, tokens, first, whole = "", 0, None, False
    begin = time.time()
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            answer.read()
            return answer.status, text, 0, None, False
        events = 0
        for line in answer:
            if not line.startswith(b"data: "):
                continue
            if line.strip() == b"data: [DONE]":
                whole = True
                break
            event = json.loads(line[6:])
            for choice in event.get("choices", []):
                text += choice["text"]
                first = first or time.time() - begin
            tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
            events += 1
            if hang_up_after is not None and events >= hang_up_after:
                return 200, text, tokens, first, False
        return 200, text, tokens, first, whole
    finally:
        connection.close()


def take(flags, name, fallback):
    if name not in flags:
        return fallback
    at = flags.index(name)
    value = int(flags[at + 1])
    del flags[at:at + 2]
    return value


def main():
    program, model, *flags = sys.argv[1:]
    seconds, clients = take(flags, "--seconds", 120), take(flags, "--clients", 64)
    kinds = 48
    counts = {"whole": 0, "left": 0, "refused": 0, "wrong": 0, "errors": 0, "tokens": 0}
    firsts, memory, lock = [], [], threading.Lock()
    with serve(program, model, *flags) as served:
        alone = {number: stream(served.port, request(number))[1] for number in range(kinds)}
        end = time.time() + seconds

        def client(index):
            rng = random.Random(1000 + index)
            while time.time() < end:
                number = rng.randrange(kinds)
                hang_up = rng.randint(0, 10) if rng.random() < 1 / 3 else None
                try:
                    status, text, tokens, first, whole = stream(served.port, request(number), hang_up)
                except (OSError, http.client.HTTPException, ValueError) as error:
                    with lock:
                        counts["errors"] += 1
                        print(f"client {index}: {error!r}", file=sys.stderr)
                    continue
                with lock:
                    if status == 503:
                        counts["refused"] += 1
                    elif status != 200 or (hang_up is None and not whole):
                        counts["errors"] += 1
                    elif not whole:
                        counts["left"] += 1
                    else:
                        counts["whole"] += 1
                        counts["tokens"] += tokens
                        counts["wrong"] += text != alone[number]
                    if first:
                        firsts.append(first)
                if status == 503:
                    time.sleep(0.5)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
        begin = time.time()
        for thread in threads:
            thread.start()
        while time.time() < end:
            time.sleep(max(1, seconds / 60))
            memory.append((time.time() - begin, served.metrics()["fettle_resident_bytes"] / 1e6))
        for thread in threads:
            thread.join()
        wall = time.time() - begin
        time.sleep(1)
        last = served.metrics()
    early = [m for t, m in memory if t <= seconds / 4]
    late = [m for t, m in memory if t > seconds / 4]
    firsts.sort()
    report = {**counts, "seconds": round(wall, 1), "tokens_per_second": round(counts["tokens"] / wall, 1),
              "first_token_median": round(firsts[len(firsts) // 2], 3) if firsts else None,
              "first_token_95": round(firsts[len(firsts) * 95 // 100], 3) if firsts else None,
              "memory_mb_first_quarter": round(max(early), 1), "memory_mb_after": round(max(late), 1),
              "running_after": last["fettle_requests_running"], "cancelled": last["fettle_requests_cancelled_total"]}
    print(json.dumps(report))
    good = counts["wrong"] == 0 and counts["errors"] == 0 and counts["whole"] > 0 and max(late) < max(early) * 1.05 + 5
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
