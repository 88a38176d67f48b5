"""The arena and its results, and what holds for every view: small screens, names for screen readers, contrast, keys."""
import json


def round_of(page, text):
    page.write(text)
    page.browser.wait("!document.querySelector('.votes').hidden")


def arena_vote(page):
    page.fresh("#/arena")
    browser = page.browser
    browser.run("document.getElementById('arena-model-0').value = 'polite'; document.getElementById('arena-model-0').dispatchEvent(new Event('change'))")
    browser.run("document.getElementById('arena-model-1').value = 'terse'; document.getElementById('arena-model-1').dispatchEvent(new Event('change'))")
    seen = set()
    for number in range(6):
        page.write("markdown" if number == 0 else f"slow {number}" if number == 1 else f"burst {number}" if number == 2 else f"prompt {number}")
        if number == 1:
            browser.wait("[...document.querySelectorAll('.arena-side .prose')].every((node) => node.innerText.includes('word2'))")
            browser.press("Escape")
            browser.wait("!document.querySelector('.arena-outcome').hidden")
            assert "Only two whole answers" in browser.text(".arena-outcome") and browser.run("document.querySelector('.votes').hidden")
            continue
        browser.wait("!document.querySelector('.votes').hidden")
        names = browser.run("[...document.querySelectorAll('.side-name')].map((node) => node.innerText)")
        assert names == ["Answer A", "Answer B"], names
        if number == 0:
            attributes = browser.run("document.querySelector('.arena-sides').outerHTML")
            assert "polite" not in attributes.replace("<td class=\"align-left\">polite", "") and "tokens/s" not in attributes
            page.shot("arena")
        browser.press("1")
        browser.wait("document.querySelector('.arena-side.chosen')")
        names = browser.run("[...document.querySelectorAll('.side-name')].map((node) => node.innerText)")
        assert sorted(names) == ["polite", "terse"] and names == [page.state.votes[-1][side]["model"] for side in "ab"]
        assert page.state.votes[-1]["vote"] == "a" and ("10 tokens/s" if number == 2 else "tokens/s") in browser.text(".arena-side .turn-stats")
        seen.add(names[0])
    assert len(page.state.votes) == 5
    page.shot("arena_voted")


def arena_any_and_failure(page):
    page.fresh("#/arena")
    browser = page.browser
    browser.expected_problems.append("500")
    page.state.fail_votes = 1
    before = len(page.state.votes)
    round_of(page, "which one")
    browser.click("[data-vote=b]")
    browser.wait("document.querySelector('.toast-error')")
    assert "The disk is full." in browser.text(".toast-error") and len(page.state.votes) == before
    assert browser.run("document.querySelector('.side-name').innerText") == "Answer A", "no name before the vote is stored"
    browser.click(".toast-error .link-button")
    browser.wait("document.querySelector('.arena-side.chosen')")
    assert len(page.state.votes) == before + 1 and page.state.votes[-1]["vote"] == "b"
    assert page.state.votes[-1]["a"]["model"] != page.state.votes[-1]["b"]["model"]
    browser.click(".arena-outcome button")
    browser.wait("!document.querySelector('.votes').hidden")
    browser.click("[data-vote=tie]")
    browser.wait("!document.querySelector('.arena-outcome').hidden")
    assert "Stored" in browser.text(".arena-outcome") and page.state.votes[-1]["vote"] == "tie"


def results(page):
    browser = page.browser
    browser.click("a[href='#/arena/results']")
    browser.wait("document.querySelector('.results-table tbody tr')")
    assert f"{len(page.state.votes)} votes" in browser.text(".results-head")
    page.shot("results")
    browser.click(".results-head button")
    rows = [json.loads(line) for line in browser.downloaded("preferences.jsonl").splitlines()]
    assert len(rows) == sum(vote["vote"] in "ab" for vote in page.state.votes)
    assert rows[0]["prompt"][-1]["role"] == "user" and rows[0]["chosen"][0]["role"] == "assistant"


def arena_needs_two(page):
    models, page.state.models = page.state.models, page.state.models[:1]
    try:
        page.fresh("?one#/arena")
        assert "needs two models" in page.browser.text(".arena .empty")
        page.shot("arena_one_model")
    finally:
        page.state.models = models


def narrow_window(page):
    page.fresh()
    browser = page.browser
    page.ask("markdown")
    page.ask("hostile")
    try:
        for width in (390, 320):
            browser.size(width, 760, phone=True)
            for place in (browser.run("location.hash"), "#/arena", "#/arena/results"):
                browser.run(f"location.hash = {json.dumps(place)}")
                browser.run("new Promise((done) => setTimeout(done, 200))")
                wide = browser.run("""[...document.querySelectorAll('#main *')].filter((node) => node.getClientRects().length
                    && !node.closest('.table-scroll, pre') && node.getBoundingClientRect().right > innerWidth + 1).map((node) => node.className)""")
                assert browser.run("document.documentElement.scrollWidth <= innerWidth") and not wide, (width, place, wide)
                page.shot(f"phone_{width}_{place.split('/')[-1] if 'arena' in place else 'chat'}")
            browser.click("button[aria-label='Conversations']")
            browser.wait("document.querySelector('.sidebar').getBoundingClientRect().left === 0")
            page.shot(f"phone_{width}_list")
            browser.click(".entry a")
            browser.wait("document.querySelector('.sidebar').getBoundingClientRect().right <= 0 && document.querySelectorAll('.turn').length === 4")
            browser.click("button[aria-label='Settings']")
            browser.wait("!document.getElementById('tune').hidden")
            browser.click("[aria-label='Close settings']")
    finally:
        browser.size(1280, 820)


def names_for_screen_readers(page):
    browser = page.browser
    page.fresh()
    page.ask("markdown")
    browser.press("s", alt=True)
    browser.call("Accessibility.enable")
    for place in (None, "#/arena", "#/arena/results"):
        if place:
            browser.run(f"location.hash = '{place}'")
            browser.run("new Promise((done) => setTimeout(done, 300))")
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        asked = ("button", "link", "textbox", "searchbox", "checkbox", "combobox", "spinbutton", "radio", "img", "dialog", "navigation")
        nameless = [node["role"]["value"] for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in asked
                    and not node.get("name", {}).get("value")]
        assert not nameless, (place, nameless)


def focus_is_seen(page):
    """Every stop of the Tab key lies on the screen and looks different from what has no focus."""
    page.fresh()
    page.ask("markdown")
    browser = page.browser
    browser.run("document.activeElement.blur()")
    stops = set()
    for _ in range(60):
        browser.press("Tab")
        stop = browser.run("""(() => {
            const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
            const ring = style.outlineStyle !== 'none' || Boolean(node.closest('.composer-box'));
            return { name: node.getAttribute('aria-label') ?? node.innerText.slice(0, 30), body: node === document.body, ring,
                     seen: box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth };
        })()""")
        if stop["body"]:
            continue  # past the last stop, before the first
        assert stop["ring"] and stop["seen"], stop
        stops.add(stop["name"])
    assert {"Message", "Search conversations", "Copy code", "Answer again", "Settings", "Edit message"} <= stops, stops


def contrast(page):
    """Text on its grounds: at least 4.5 to 1, WCAG's AA, in both themes."""
    page.fresh()
    pairs = [(ink, ground) for ink in ("ink", "ink-soft", "ink-faint", "accent", "bad") for ground in ("paper", "raised")]
    pairs += [("ink-soft", "sunk"), ("ink", "bubble"), ("ink", "hover"), ("ink-faint", "side"), ("ink-soft", "side"), ("on-accent", "accent"),
              ("bad", "bad-wash"), ("accent", "accent-wash")]
    pairs += [(f"hl-{kind}", "sunk") for kind in ("comment", "string", "number", "keyword", "type", "function")]
    for theme in ("light", "dark"):
        page.browser.theme(theme)
        for ink, ground in pairs:
            ratio = page.browser.run(f"""(() => {{
                const probe = document.createElement('p');
                document.body.append(probe);
                const light = (name) => {{
                    probe.style.color = `var(--${{name}})`;
                    const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
                    const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
                    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
                }};
                const both = [light('{ink}'), light('{ground}')].sort((a, b) => b - a);
                probe.remove();
                return (both[0] + 0.05) / (both[1] + 0.05);
            }})()""")
            assert ratio >= 4.5, f"{theme}: {ink} on {ground} has {ratio:.2f}"
    page.browser.theme("light")


def chosen_theme(page):
    page.fresh()
    browser = page.browser
    browser.theme("light")
    before = browser.run("getComputedStyle(document.body).backgroundColor")
    browser.click("[aria-label='Theme: Like the system']")
    browser.click("[aria-label='Theme: Light']")
    browser.wait("document.documentElement.dataset.theme === 'dark'")
    browser.reload()
    page.ready()
    assert browser.run("getComputedStyle(document.body).backgroundColor") != before


CHECKS = [arena_vote, arena_any_and_failure, results, arena_needs_two, narrow_window, names_for_screen_readers, focus_is_seen, contrast, chosen_theme]
