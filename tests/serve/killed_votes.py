#!/usr/bin/env python3
"""Votes are posted from many clients at once, the server is killed (SIGKILL) meanwhile and started again on the same file: every
vote that was answered as stored must be there, whole and once, and nothing that was not posted.

Usage: killed_votes.py PROGRAM MODEL [ROUNDS]
"""
import http.client
import json
import os
import random
import sys
import tempfile
import threading
import time

from serving import serve

CLIENTS = 12


def vote(round_number, client, number):
    """A vote that can be known again, of a length that spans from one page of the file to several."""
    name = f"{round_number}.{client}.{number}"
    size = random.Random(name).choice([10, 500, 9000])
    return {"messages": [{"role": "user", "content": f"prompt {name}"}], "a": {"model": "left", "content": f"A {name} " + "ä" * size},
            "b": {"model": "right", "content": f"B {name}"}, "vote": random.Random(name).choice(["a", "b", "tie", "both_bad"])}


def post_until_killed(port, round_number, client, posted, stored, refused):
    """Adds to posted what may be in the file, to stored what was answered with 201, to refused any other answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number = 0
    while True:
        body = vote(round_number, client, number)
        number += 1
        posted.append(body)
        try:
            connection.request("POST", "/v1/arena/votes", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            return
        if answer.status != 201:
            refused.append((answer.status, data))
            return
        stored[json.loads(data)["id"]] = body


def all_votes(served):
    votes, after = [], ""
    while True:
        status, page = served.json("GET", f"/v1/arena/votes?limit=1000{after}")
        assert status == 200, page
        votes += page["data"]
        if not page["has_more"]:
            return votes
        after = f"&after={votes[-1]['id']}"


def key(body):
    return json.dumps(body, sort_keys=True)


def check(found, stored, posted):
    by_id = {each["id"]: key({name: each[name] for name in ("messages", "a", "b", "vote")}) for each in found}
    assert len(by_id) == len(found), "an id stands there twice"
    lost = [name for name, body in stored.items() if by_id.get(name) != key(body)]
    assert not lost, f"{len(lost)} votes that were answered as stored are lost or changed: {lost[:5]}"
    assert len(set(by_id.values())) == len(by_id), "a vote stands there twice"
    strange = set(by_id.values()) - {key(body) for body in posted}
    assert not strange, f"{len(strange)} votes that nobody posted: {min(strange)[:200]}"


def main():
    program, model, *rest = sys.argv[1:]
    rounds = int(rest[0]) if rest else 5
    posted, stored, refused = [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--votes", os.path.join(folder, "votes.sqlite"))
        for number in range(rounds):
            with serve(program, model, *flags) as served:
                check(all_votes(served), stored, posted)
                before, end = len(stored), time.time() + 60
                threads = [threading.Thread(target=post_until_killed, args=(served.port, number, client, posted, stored, refused))
                           for client in range(CLIENTS)]
                for thread in threads:
                    thread.start()
                while len(stored) == before and not refused and time.time() < end:
                    time.sleep(0.01)
                time.sleep(random.uniform(0, 0.8))
                served.process.kill()
                served.process.wait()
                for thread in threads:
                    thread.join()
            print(f"round {number + 1}: {len(stored) - before} votes answered as stored, then killed", flush=True)
            assert not refused, refused[0]
            assert len(stored) > before, "no vote was stored before the kill"
        with serve(program, model, *flags) as served:
            found = all_votes(served)
            check(found, stored, posted)
    print(f"{len(stored)} answered as stored, {len(found)} found, {len(posted)} posted: none lost")


if __name__ == "__main__":
    main()
