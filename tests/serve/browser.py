"""Headless Chromium over its DevTools protocol: just enough to do what a person does. Standard library only."""
import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request


def find_chromium():
    # The shell has no browser around the page and so starts in a fraction of the time.
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


class WebSocket:
    """The client side of RFC 6455 for text messages on loopback."""

    def __init__(self, url):
        host, _, path = url.removeprefix("ws://").partition("/")
        name, port = host.split(":")
        self.socket = socket.create_connection((name, int(port)), timeout=180)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        while self.file.readline().strip():
            pass

    def send(self, text):
        data = text.encode()
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x81, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
        mask = os.urandom(4)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def receive(self):
        message = b""
        while True:
            first, size = self.file.read(2)
            size &= 0x7F
            if size == 126:
                size = struct.unpack("!H", self.file.read(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.file.read(8))[0]
            data = self.file.read(size)
            if first & 0x0F == 8:
                raise ConnectionError("the browser closed the connection")
            if first & 0x0F in (0, 1):
                message += data
                if first & 0x80:
                    return message.decode()


KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowUp": 38, "ArrowDown": 40, "Backspace": 8}


class Browser:
    """One tab. `problems` collects uncaught exceptions, console errors and refusals of the content policy."""

    def __init__(self, chromium, width=1280, height=820):
        self.folder = tempfile.mkdtemp(prefix="fettle-page-")
        self.downloads = os.path.join(self.folder, "downloads")
        os.mkdir(self.downloads)
        self.process = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--mute-audio",
             "--remote-debugging-port=0", f"--user-data-dir={self.folder}/profile", f"--window-size={width},{height}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.count = 0
        self.problems = []
        self.expected_problems = []
        self.download_names = {}  # by the browser's own name of a download
        self.saved = []           # names of finished downloads
        self.socket = WebSocket(self._target())
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=self.downloads, eventsEnabled=True)
        self.size(width, height)

    def _target(self):
        port_file = os.path.join(self.folder, "profile", "DevToolsActivePort")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if os.path.exists(port_file) and os.path.getsize(port_file) > 0:
                port = open(port_file).readline().strip()
                for target in json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json")):
                    if target["type"] == "page":
                        return target["webSocketDebuggerUrl"]
            time.sleep(0.1)
        raise TimeoutError("Chromium did not start")

    def close(self):
        os.killpg(self.process.pid, signal.SIGTERM)  # the program may be a script around the browser
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self.count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            self._event(message)

    def _event(self, message):
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message.get("method") == "Browser.downloadWillBegin":
            self.download_names[parameters["guid"]] = parameters["suggestedFilename"]
        elif message.get("method") == "Browser.downloadProgress" and parameters["state"] == "completed":
            self.saved.append(self.download_names.pop(parameters["guid"]))
        elif message.get("method") == "Page.javascriptDialogOpening":
            self.problems.append(f"a dialog opened: {parameters['message']}")
            self.socket.send(json.dumps({"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}))

    def unexpected(self):
        """What went wrong in the page, but for the network errors that a test caused on purpose."""
        return [text for text in self.problems if not any(part in text for part in self.expected_problems)]

    def run(self, expression):
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}\n{answer['exceptionDetails'].get('exception', {}).get('description', '')}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=60):
        """Waits until the expression is true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.run(f"Boolean({expression})"):
                    return
            except RuntimeError:
                pass  # the page is just being loaded
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {expression}\nthe page says: {self.run('document.body.innerText')[:1500]}")

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def reload(self):
        self.run("window.beforeReload = true")
        self.call("Page.reload")
        self.wait("!window.beforeReload && document.readyState === 'complete'")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def count_of(self, selector):
        return self.run(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        """A real press of the mouse in the middle of the first match, once that stands still; fails when something lies over it."""
        quoted = json.dumps(selector)
        self.wait(f"document.querySelector({quoted})?.getClientRects().length")
        where = self.run(f"""(async () => {{
            const find = () => document.querySelector({quoted});
            const place = () => find()?.getBoundingClientRect() ?? {{}};
            find()?.scrollIntoView({{block: "nearest", behavior: "instant"}});
            let last = {{}};
            for (let frame = 0, still = 0; frame < 300 && still < 2; ++frame) {{
                await new Promise((done) => requestAnimationFrame(done));
                const {{ left, top }} = place();
                still = left !== undefined && left === last.left && top === last.top ? still + 1 : 0;
                last = {{ left, top }};
            }}
            const node = find(), box = node.getBoundingClientRect();
            const x = box.left + box.width / 2, y = box.top + box.height / 2;
            const hit = document.elementFromPoint(x, y);
            return {{x, y, hit: node === hit || node.contains(hit), over: hit?.outerHTML.slice(0, 120)}};
        }})()""")
        assert where["hit"], f"{selector} is covered by {where['over']}"
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=where["x"], y=where["y"], button="left", clickCount=1)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, shift=False, alt=False, control=False):
        modifiers = alt * 1 | control * 2 | shift * 8
        event = {"modifiers": modifiers, "key": key, "code": key if key in KEYS else self._code(key),
                 "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        text = "\r" if key == "Enter" else key if len(key) == 1 and not (alt or control) else None
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    @staticmethod
    def _code(key):
        return f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"

    def size(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def theme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def offline(self, on):
        self.call("Network.enable")
        self.call("Network.emulateNetworkConditions", offline=on, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def choose_files(self, selector, paths):
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=paths)

    def downloaded(self, name, seconds=20):
        """The text of a saved file, which is then removed."""
        deadline = time.monotonic() + seconds
        # The file stands there empty before it is saved, so its being there says nothing.
        while name not in self.saved:
            assert time.monotonic() < deadline, f"{name} was not saved"
            self.run("0")  # events arrive with an answer
            time.sleep(0.05)
        self.saved.remove(name)
        path = os.path.join(self.downloads, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        os.remove(path)
        return text

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
