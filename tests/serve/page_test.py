#!/usr/bin/env python3
"""Drives headless Chromium through the page as a person would.

    page_test.py --web web                    against a stand-in whose answers the test chooses
    page_test.py --web web --fettle PROGRAM   and then what any model can show, against `fettle serve` with the small model of
                                              $FETTLE_SHARED (default ../shared)
    … --url http://127.0.0.1:18888/           against a server that runs already
    … --shots FOLDER                          keeps pictures of each view
    … --only NAME NAME                        runs these checks alone

Ends with status 77, which ctest reads as skipped, where there is no Chromium."""
import argparse
import os
import signal
import sys
import time
import traceback

import page_arena
import page_chat
import page_modules
import page_server
import stand_in
from browser import Browser, find_chromium


class Page:
    """What the checks share: the browser, the stand-in behind it, and the steps that many of them take."""

    def __init__(self, browser, state, url, shots):
        self.browser = browser
        self.state = state
        self.url = url
        self.shots = shots

    def fresh(self, path=""):
        """The page as a person finds it who was never here."""
        self.browser.open(f"{self.url}favicon.svg")
        self.browser.run("""(async () => {
            localStorage.clear();
            sessionStorage.clear();
            await new Promise((done) => { const gone = indexedDB.deleteDatabase('fettle'); gone.onsuccess = gone.onerror = gone.onblocked = done; });
        })()""")
        self.browser.open(f"{self.url}{path}")
        self.ready()

    def ready(self):
        self.browser.wait("document.querySelector('.server-status')?.dataset.state === 'good'")

    def write(self, text):
        self.browser.click("#composer-text")
        self.browser.type(text)
        self.browser.press("Enter")

    def ask(self, text):
        before = len(self.questions())
        self.write(text)
        self.browser.wait(f"document.querySelectorAll('.turn-user .turn-text').length > {before}")
        self.finished()

    def finished(self, seconds=120):
        self.browser.wait("!document.querySelector('.streaming') && !document.querySelector('.stopping')", seconds)

    def answers(self):
        return self.browser.run("[...document.querySelectorAll('.turn-assistant .turn-text')].map((node) => node.innerText)")

    def questions(self):
        return self.browser.run("[...document.querySelectorAll('.turn-user .turn-text')].map((node) => node.innerText)")

    def shot(self, name):
        if self.shots:
            self.browser.screenshot(os.path.join(self.shots, f"{name}.png"))


def passes(check, page):
    page.browser.problems.clear()
    began = time.monotonic()
    page.browser.expected_problems[:] = ["favicon.ico"]  # which browsers ask for beside a page that is no HTML
    try:
        check(page)
        assert not page.browser.unexpected(), page.browser.unexpected()
        print(f"ok      {check.__name__} {time.monotonic() - began:.1f} s", flush=True)
        return True
    except Exception:
        print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
        page.shot(f"failed_{check.__name__}")
        return False


def run(checks, page, only):
    """The number of checks that failed."""
    return sum(not passes(check, page) for check in checks if not only or check.__name__ in only)


def check_modules(page):
    page.fresh()
    page.browser.expected_problems.append("TrustedHTML")
    for check in page_modules.CHECKS:
        check(page.browser)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--web", required=True, help="the folder of the page's files")
    parser.add_argument("--fettle", help="the program, to serve a small model and drive its page as well")
    parser.add_argument("--url", help="a running server to drive as well")
    parser.add_argument("--shots", help="folder for pictures")
    parser.add_argument("--only", nargs="+", help="names of checks")
    options = parser.parse_args()
    chromium = find_chromium()
    if not chromium:
        print("skipped: no chromium")
        return 77
    if options.shots:
        os.makedirs(options.shots, exist_ok=True)
    state = stand_in.State(os.path.abspath(options.web))
    server = stand_in.start(state)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the browser ends with the test
    browser = Browser(chromium)
    try:
        page = Page(browser, state, f"http://127.0.0.1:{server.server_address[1]}/", options.shots)
        failed = run([check_modules] + page_chat.CHECKS + page_arena.CHECKS, page, options.only)
        if options.fettle:
            with page_server.serving(options.fettle) as url:
                failed += run(page_server.CHECKS, Page(browser, None, url, options.shots), options.only) if url else 0
        if options.url:
            failed += run(page_server.CHECKS, Page(browser, None, options.url, options.shots), options.only)
    finally:
        browser.close()
        server.shutdown()
    print("all checks passed" if not failed else f"{failed} checks failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
