"""A `fettle serve` of its own for a check: started on a free port of loopback, ended with the check."""
import contextlib
import http.client
import json
import re
import subprocess
import time


class Served:
    def __init__(self, process, port):
        self.process, self.port = process, port

    def ask(self, method, path, body=None, headers=None, timeout=120):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        status, data, _ = self.ask(method, path, body, headers)
        return status, json.loads(data)

    def metrics(self):
        text = self.ask("GET", "/metrics")[1].decode()
        return {name: float(value) for name, value in re.findall(r"^([a-z_]+) ([0-9.e+-]+)$", text, re.M)}


@contextlib.contextmanager
def serve(program, model, *flags):
    command = [program, "serve", "--model", model, "--port", "0", *flags, *([] if "--votes" in flags else ["--no-votes"])]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = None
        for line in process.stderr:
            found = re.search(r"is served at https?://[^ ]*:(\d+)$", line.strip())
            if found:
                port = int(found.group(1))
                break
        if port is None:
            raise SystemExit("the server did not start")
        served = Served(process, port)
        for _ in range(100):
            with contextlib.suppress(OSError):
                if served.ask("GET", "/health")[0] == 200:
                    break
            time.sleep(0.1)
        yield served
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
