"""Chat, as a person uses it: writing, streaming, stopping, branching, settings, files, errors, keys, small screens."""
import json
import tempfile
import time


def empty_page(page):
    page.fresh()
    browser = page.browser
    assert "What shall we talk about?" in browser.text(".empty")
    assert browser.run("document.activeElement.id") == "composer-text"
    assert browser.run("document.querySelector('.send-button').disabled")
    assert browser.text(".server-status") == "3 models ready"
    origins = browser.run("[...new Set(performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin))]")
    assert origins == [browser.run("location.origin")], origins
    page.shot("empty")


def write_and_stream(page):
    page.fresh()
    browser = page.browser
    browser.click("#composer-text")
    browser.type("first line")
    browser.press("Enter", shift=True)
    browser.type("second line")
    assert browser.run("document.querySelector('#composer-text').value") == "first line\nsecond line"
    browser.press("Enter")
    page.finished()
    assert page.questions() == ["first line\nsecond line"]
    assert page.answers() == ["smollm2-135m heard: first line\nsecond line"]
    assert browser.run("document.querySelector('#composer-text').value") == ""
    stats = browser.text(".turn-assistant .turn-stats")
    assert "tokens ·" in stats and "tokens/s" in stats and "first after" in stats and "about" not in stats, stats
    assert "of 8,192 tokens of context" in browser.text(".composer-meter")
    assert "first line" in browser.text(".conversation-list") and browser.run("location.hash").startswith("#/c/")
    assert "Answer complete" in browser.run("document.getElementById('live').textContent")
    request = page.state.requests[-1]
    assert request["stream"] is True and request["stream_options"] == {"include_usage": True} and "temperature" not in request


def markdown_answer(page):
    page.fresh()
    page.ask("markdown")
    browser = page.browser
    assert browser.count_of(".prose table tbody tr") == 2 and browser.count_of(".prose .task input") == 2
    assert browser.text(".prose figcaption span") == "Python" and browser.count_of(".prose .hl-keyword") >= 2
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    browser.click(".code figcaption button")
    browser.wait("window.copied")
    assert browser.run("window.copied").startswith("def area(radius: float)")
    browser.click(".turn-assistant .turn-actions [aria-label='Copy answer']")
    browser.wait("window.copied.startsWith('## A plan')")
    browser.theme("light")
    page.shot("light")
    browser.theme("dark")
    page.shot("dark")
    browser.theme("light")


def hostile_answer(page):
    page.fresh()
    page.ask("hostile <b>words</b> & <script>window.hacked = 1</script>")
    browser = page.browser
    time.sleep(0.3)
    assert browser.run("window.hacked === undefined")
    assert browser.run("document.querySelectorAll('.turns script, .turns img, .turns iframe, .turns style').length") == 0
    assert "<script>window.hacked = 1</script>" in page.answers()[0]
    assert browser.run("document.title").startswith("hostile <b>words</b>")
    page.shot("hostile")


def stop(page):
    page.fresh()
    browser = page.browser
    for way in ("key", "button"):
        gone = page.state.closed_by_client
        page.write("slow please")
        browser.wait("document.querySelector('.turns > :last-child .turn-text').innerText.includes('word8')")
        assert "Esc to stop" in browser.text(".composer-hint")
        browser.press("Escape") if way == "key" else browser.click(".send-button.stopping")
        page.finished(15)
        answer = page.answers()[-1]
        assert answer.startswith("word0 word1") and "word100" not in answer
        assert "Stopped." in browser.text(".turns > :last-child .turn-note")
        deadline = time.monotonic() + 5
        while page.state.closed_by_client == gone:
            assert time.monotonic() < deadline, "the server must see the connection close"
            time.sleep(0.05)


def regenerate_and_variants(page):
    page.fresh()
    browser = page.browser
    page.ask("hello")
    browser.click("[aria-label='Answer again']")
    page.finished()
    assert "2 / 2" in browser.text(".turn-assistant .variants") and len(page.answers()) == 1
    browser.click("[aria-label='Previous version']")
    assert "1 / 2" in browser.text(".turn-assistant .variants")
    page.ask("and then")
    assert page.questions() == ["hello", "and then"]
    browser.click(".turn-assistant [aria-label='Next version']")
    assert page.questions() == ["hello"], "what follows belongs to the other version"
    browser.click(".turn-assistant [aria-label='Previous version']")
    assert page.questions() == ["hello", "and then"]
    browser.press("r", alt=True)
    page.finished()
    assert browser.count_of(".turns > :last-child .variants:not([hidden])") == 1


def edit_and_branch(page):
    page.fresh()
    browser = page.browser
    page.ask("one")
    page.ask("two")
    browser.run("document.querySelector('#composer-text').focus()")
    browser.press("ArrowUp")
    assert browser.run("document.activeElement.value") == "two"
    browser.press("Escape")
    assert browser.count_of(".edit-field") == 0 and page.questions() == ["one", "two"]
    browser.click(".turn-user [aria-label='Edit message']")
    browser.run("document.activeElement.select()")
    browser.type("uno")
    browser.press("Enter")
    page.finished()
    assert page.questions() == ["uno"] and page.answers() == ["smollm2-135m heard: uno"]
    browser.click(".turn-user [aria-label='Previous version']")
    assert page.questions() == ["one", "two"], "the old branch must stay"
    browser.click(".turn-assistant [aria-label='Edit answer']")
    browser.run("document.activeElement.select()")
    browser.type("my own words")
    browser.press("Enter", control=True)
    browser.wait("document.querySelector('.turn-assistant .turn-text').innerText === 'my own words'")
    page.ask("three")
    assert [m["content"] for m in page.state.requests[-1]["messages"]] == ["one", "my own words", "three"]
    page.write("slow four")
    browser.wait("document.querySelector('.turns > :last-child .turn-text').innerText.includes('word2')")
    browser.press("r", alt=True)
    browser.wait("document.querySelector('.turns > :last-child .variants').innerText.includes('2 / 2')")
    browser.press("Escape")
    page.finished()


def settings(page):
    page.fresh()
    browser = page.browser
    browser.press("s", alt=True)
    browser.wait("!document.getElementById('tune').hidden")
    # What is in force where a field is empty stands in it in grey.
    browser.wait("document.getElementById('setting-temperature').placeholder === '0.6'")
    assert browser.run("document.getElementById('setting-top_k').placeholder") == "20"
    for field, value in (("system", "Be brief."), ("temperature", "0.25"), ("max_tokens", "64"), ("seed", "7"), ("extra", '{"condition": "Math"}')):
        browser.run(f"document.getElementById('setting-{field}').focus()")
        browser.type(value)
    page.shot("settings")
    browser.press("Escape")
    assert browser.run("document.getElementById('tune').hidden")
    page.ask("hello")
    request = page.state.requests[-1]
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (request["temperature"], request["max_tokens"], request["seed"], request["condition"]) == (0.25, 64, 7, "Math")
    browser.reload()
    page.ready()
    page.ask("again")
    assert page.state.requests[-1]["temperature"] == 0.25 and len(page.state.requests[-1]["messages"]) == 4


def models_and_blends(page):
    page.fresh()
    browser = page.browser
    browser.click(".picker")
    browser.wait("document.querySelector('.popover').matches(':popover-open')")
    browser.wait("document.querySelector('.popover').contains(document.activeElement)")
    page.shot("models")
    browser.press("ArrowDown")
    browser.wait("document.activeElement.innerText.includes('polite')")
    browser.press("Enter")
    browser.wait("document.querySelector('.picker').innerText.includes('polite')")
    page.ask("hello")
    assert page.state.requests[-1]["model"] == "polite"
    browser.wait("document.querySelector('.turn-assistant .turn-name').innerText === 'polite'")
    browser.click(".picker")
    browser.wait("document.querySelector('.popover').contains(document.activeElement)")
    for box in browser.run("[...document.querySelectorAll('.blend-row input[type=checkbox]')].map((node, i) => { node.closest('.blend-row').id = 'blend' + i; return i; })"):
        if not browser.run(f"document.querySelector('#blend{box} input').checked"):
            browser.click(f"#blend{box} label")
    browser.run("document.querySelector('#blend0 input[type=number]').select()")
    browser.type("0.5")
    browser.click(".popover .primary")
    page.ask("blended")
    assert page.state.requests[-1]["model"] == "polite:0.5+terse:1"


def reload_keeps(page):
    page.fresh()
    browser = page.browser
    page.ask("remember me")
    page.write("slow one")
    browser.wait("document.querySelector('.turns > :last-child .turn-text').innerText.includes('word40')")
    browser.reload()
    page.ready()
    assert page.questions() == ["remember me", "slow one"]
    assert page.answers()[0] == "smollm2-135m heard: remember me" and page.answers()[1].startswith("word0 word1")
    assert "Cut off when the page was closed." in browser.text(".turns > :last-child .turn-note")
    browser.run("location.hash = '#/'")
    browser.wait("document.querySelector('.empty').getClientRects().length")
    browser.click(".entry a")
    browser.wait("document.querySelectorAll('.turn').length === 4")


def background_stream(page):
    """An answer goes on while another conversation is on the screen."""
    page.fresh()
    browser = page.browser
    page.write("slow one")
    browser.wait("document.querySelector('.turns > :last-child .turn-text').innerText.includes('word3')")
    browser.press("n", alt=True)
    browser.wait("document.querySelector('.entry.running')")
    page.ask("another")
    assert len(page.answers()) == 1
    browser.click(".entry.running a")
    browser.wait("document.querySelector('.turn-text').innerText === 'slow one'")
    seen = len(page.answers()[0])
    browser.wait(f"document.querySelector('.turn-assistant .turn-text').innerText.length > {seen + 20}")
    browser.press("Escape")
    page.finished()


def errors(page):
    page.fresh()
    browser = page.browser
    browser.expected_problems += ["400", "ERR_INTERNET_DISCONNECTED", "ERR_"]
    page.ask("too long")
    assert "the messages have 9000" in browser.text(".turns > :last-child .turn-note")
    page.ask("breaks")
    assert page.answers()[-1] == "half an answer" and "Out of memory" in browser.text(".turns > :last-child .turn-note")
    page.ask("cut")
    assert "ended before the answer did" in browser.text(".turns > :last-child .turn-note")
    page.shot("error")
    browser.offline(True)
    try:
        page.ask("anyone there")
        assert "cannot be reached" in browser.text(".turns > :last-child .turn-note")
        assert "Disconnected" in browser.text(".server-status")
        page.shot("disconnected")
    finally:
        browser.offline(False)
    page.ready()
    browser.click(".turns > :last-child .turn-note .link-button")
    page.finished()
    assert page.answers()[-1] == "smollm2-135m heard: anyone there"


def keys(page):
    page.state.key = "secret"
    browser = page.browser
    browser.expected_problems.append("401")
    try:
        browser.run("localStorage.clear(); sessionStorage.clear()")
        browser.open(f"{page.url}?key#/")
        browser.wait("document.querySelector('dialog .key-field')")
        page.shot("key")
        browser.type("wrong")
        browser.press("Enter")
        browser.wait("document.querySelector('dialog .key-field') && document.querySelector('.server-status').dataset.state === 'bad'")
        browser.run("document.querySelector('dialog .key-field').select()")
        browser.type("secret")
        browser.press("Enter")
        page.ready()
        page.ask("let me in")
        assert page.answers()[-1].endswith("heard: let me in")
        assert browser.run("localStorage.getItem('fettle.key')") is None
    finally:
        page.state.key = None


def list_of_conversations(page):
    page.fresh()
    browser = page.browser
    for text in ("alpha apples", "beta bears"):
        browser.press("n", alt=True)
        page.ask(text)
    browser.press("k", control=True)
    browser.type("apples")
    browser.wait("document.querySelectorAll('.entry').length === 1")
    browser.run("document.querySelector('.search input').select()")
    browser.press("Backspace")
    browser.wait("document.querySelectorAll('.entry').length === 2")
    browser.click(".entry.here [aria-label^=Rename]")
    browser.type("Bears & <b>")
    browser.press("Enter")
    browser.wait("document.querySelector('.entry.here a').innerText === 'Bears & <b>'")
    browser.click(".entry.here [aria-label^=Delete]")
    browser.wait("document.querySelectorAll('.entry').length === 1 && document.querySelector('.empty').getClientRects().length")
    browser.click(".toast .link-button")
    browser.wait("document.querySelectorAll('.entry').length === 2")


def files(page):
    page.fresh()
    browser = page.browser
    page.ask("question")
    browser.click("[aria-label='Import and export']")
    page.shot("files")
    browser.click("dialog .primary")
    row = json.loads(browser.downloaded("conversations.jsonl"))
    assert row["messages"] == [{"role": "user", "content": "question"}, {"role": "assistant", "content": "smollm2-135m heard: question"}]
    browser.click("[aria-label='Import and export']")
    browser.run("document.getElementById('file-format').value = 'sharegpt'")
    browser.click("dialog .primary")
    assert json.loads(browser.downloaded("conversations.jsonl"))["conversations"][0] == {"from": "human", "value": "question"}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write('{"conversations": [{"from": "human", "value": "imported"}, {"from": "gpt", "value": "**yes**"}]}\n{"broken\n')
        file.flush()
        browser.click("[aria-label='Import and export']")
        browser.choose_files("dialog input[type=file]", [file.name])
        browser.wait("document.querySelector('.toast')?.innerText.includes('1 imported')")
    assert "line 2, not valid JSON" in browser.text(".toast")
    browser.wait("[...document.querySelectorAll('.entry a')].some((node) => node.innerText === 'imported')")


CHECKS = [empty_page, write_and_stream, markdown_answer, hostile_answer, stop, regenerate_and_variants, edit_and_branch, settings,
          models_and_blends, reload_keeps, background_stream, errors, keys, list_of_conversations, files]
