"""The page's modules by themselves, run inside the browser: Markdown, hostile text, colours, streams, files."""
import json

# (source, what the nodes must be, as the browser writes them)
MARKDOWN_CASES = [
    ("plain", "<p>plain</p>"),
    ("a *b* **c** ***d*** ~~e~~ `f`", "<p>a <em>b</em> <strong>c</strong> <em><strong>d</strong></em> <del>e</del> <code>f</code></p>"),
    ("snake_case_name and 2*3*4 and * a *", "<p>snake_case_name and 2<em>3</em>4 and * a *</p>"),
    ("**bold with *inner* end**", "<p><strong>bold with <em>inner</em> end</strong></p>"),
    ("**open", "<p>**open</p>"),
    ("``a ` b`` and `open", "<p><code>a ` b</code> and `open</p>"),
    ("\\*not\\* \\`code\\`", "<p>*not* `code`</p>"),
    ("one\ntwo  \nthree", "<p>one\ntwo<br>three</p>"),
    ("# A #\n## B\n#nospace", "<h2>A</h2><h3>B</h3><p>#nospace</p>"),
    ("Title\n===\nSub\n---", "<h2>Title</h2><h3>Sub</h3>"),
    ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
    ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
    ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
    ("1. a\n  - b\n    - c\n2. d", "<ol><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ol>"),
    ("text\n- a\n- b\n\nafter", "<p>text</p><ul><li>a</li><li>b</li></ul><p>after</p>"),
    ("> a\n> b\n\nc", "<blockquote><p>a\nb</p></blockquote><p>c</p>"),
    ("---", "<hr>"),
    ("a & b &lt; &amp;lt; &#65; &nope;", "<p>a &amp; b &lt; &amp;lt; A &amp;nope;</p>"),
    ("a<br>b<br/>c", "<p>a<br>b<br>c</p>"),
    ("https://example.org/a_(b)). See www.example.org!",
     '<p><a href="https://example.org/a_(b)" target="_blank" rel="noopener noreferrer nofollow">https://example.org/a_(b)</a>). See '
     '<a href="https://www.example.org/" target="_blank" rel="noopener noreferrer nofollow">www.example.org</a>!</p>'),
    ('[a **b**](https://example.org "t") [x](nowhere)',
     '<p><a href="https://example.org/" target="_blank" rel="noopener noreferrer nofollow">a <strong>b</strong></a> <span>x</span></p>'),
    ("[a] [b](c", "<p>[a] [b](c</p>"),
]

HOSTILE = [
    "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "<svg/onload=window.hacked=1>",
    "[a](javascript:window.hacked=1)", "[a](JaVaScRiPt:window.hacked=1)", "[a](\tjavascript:window.hacked=1)",
    "[a](<java\nscript:window.hacked=1>)", "[a](vbscript:x)", "[a](data:text/html,<script>1</script>)", "[a](file:///etc/passwd)",
    "[a](blob:https://example.org/x)", "<javascript:window.hacked=1>", "![a](javascript:window.hacked=1)",
    "![a](https://example.org/pixel.png)", "[a](https://example.org/\"onmouseover=\"window.hacked=1)",
    "```<script>window.hacked=1</script>\n</code></pre><script>window.hacked=1</script>\n```", "`<b onclick=window.hacked=1>`",
    "| <img src=x onerror=window.hacked=1> |\n| - |\n| <script>window.hacked=1</script> |", "# <iframe src=javascript:window.hacked=1>",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;", "&#60;script&#62;window.hacked=1&#60;/script&#62;", "<math><mi//xlink:href=\"data:x\">",
    "<style>*{display:none}</style>", "<base href=https://example.org>", "<meta http-equiv=refresh content=0;url=https://example.org>",
    "\u202e[abc](https://example.org)", "\x00\x01<script\x00>", "<a href='https://example.org' onclick='window.hacked=1'>x</a>",
    "[<img src=x onerror=window.hacked=1>](https://example.org)", "- [x] <input onfocus=window.hacked=1 autofocus>",
]

# Nothing may cost more than time linear in its length. Linear these take well under a second on an idle machine, squared
# minutes; the limit leaves room for a busy one.
SLOW = [
    "'*a '.repeat(40000)", "'**'.repeat(50000)", "'['.repeat(100000)", "'[a]('.repeat(40000)", "'`'.repeat(100000)",
    "'` `` '.repeat(20000)", "'>'.repeat(50000)", "'> '.repeat(50000) + 'a'", "'- '.repeat(50000)", "'<'.repeat(100000)",
    "'<a@' + '.'.repeat(100000)", "'# ' + ' '.repeat(100000) + 'x'", "'http://a' + ')'.repeat(100000)", "'|'.repeat(50000) + '\\n' + '|-'.repeat(50000)",
    "'|-' + ' '.repeat(100000) + 'x\\n|-' + ' '.repeat(100000) + 'x'", "'a\\n'.repeat(50000)", "'&#'.repeat(50000)", "'_a_b'.repeat(40000)",
    "'- a\\n'.repeat(20000)", "'```'.repeat(30000)", "'~~~ ' + ' '.repeat(100000) + '`'", "'\\\\'.repeat(100000)", "'a  \\n'.repeat(30000)",
    "'[a](https://b.c/' + 'x('.repeat(50000)", "'www.' + '.,'.repeat(50000)",
]

SNIPPETS = {
    "python": "def f(x):\n    '''doc'''\n    return x + 0x1F  # done\n@wraps\nclass A: pass\ns = 'open\n",
    "cpp": "#include <vector>\n/* a\n b */ int main() { return 'a' + 1.5e3f; } // x\n",
    "js": "const a = `t ${b}\n`; /re/; // c\nawait f(1_000)\n", "json": '{"a": [1, true, "b\\"c"]}', "sql": "SELECT * FROM t WHERE a = 'x' -- c\n",
    "bash": "for f in *.txt; do echo \"$f\" # c\ndone", "html": "<!-- c --><p class=\"a\">b &amp; <br/></p>\n<", "diff": "@@ 1 @@\n-a\n+b\n c",
    "yaml": "a: 1\nb: 'c' # d\n", "rust": "fn main() { let x: Vec<u8> = vec![1]; }", "css": "a { color: #fff; /* c */ }", "go": "func f() {}\n",
    "klingon": "<b>nothing</b>", "": "\"'`#/*", "c": "\"\\", "lua": "-- x",
}


def check_markdown(browser):
    browser.run("""import('/js/markdown.js').then(({ MarkdownView }) => {
        window.renderMarkdown = (text) => {
            const box = document.createElement('div');
            new MarkdownView(box).update(text);
            return box;
        };
    })""")
    for source, expected in MARKDOWN_CASES:
        found = browser.run(f"renderMarkdown({json.dumps(source)}).innerHTML")
        assert found == expected, f"{source!r}\nexpected {expected}\nfound    {found}"


def check_growing_text(browser):
    """A text that came in pieces ends as one that came whole, at every cut."""
    source = "# A\n\ntext *with* `code`\n\n- a\n  - b\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n```py\nx = 1\n```\n> q\n\nend"
    same = browser.run(f"""(async () => {{
        const {{ MarkdownView }} = await import('/js/markdown.js');
        const text = {json.dumps(source)};
        const box = document.createElement('div');
        const view = new MarkdownView(box);
        for (let end = 0; end <= text.length; end += 1) view.update(text.slice(0, end));
        return box.innerHTML === renderMarkdown(text).innerHTML;
    }})()""")
    assert same


def check_hostile(browser):
    for source in HOSTILE:
        found = browser.run(f"""(() => {{
            const box = renderMarkdown({json.dumps(source)});
            document.body.append(box);
            const tags = [...box.querySelectorAll('*')].map((node) => node.localName);
            const attributes = [...box.querySelectorAll('*')].flatMap((node) => node.getAttributeNames());
            const links = [...box.querySelectorAll('a')].map((node) => node.protocol);
            setTimeout(() => box.remove(), 50);
            return {{ tags, attributes, links }};
        }})()""")
        allowed_tags = set("p em strong del code a span br h2 h3 h4 h5 h6 hr blockquote ul ol li input div table thead tbody tr th td figure "
                           "figcaption button svg path pre".split())
        assert set(found["tags"]) <= allowed_tags, (source, found["tags"])
        assert not [name for name in found["attributes"] if name.startswith("on") or name in ("src", "srcdoc", "style")], (source, found)
        assert set(found["links"]) <= {"https:", "http:", "mailto:"}, (source, found["links"])
    browser.run("new Promise((done) => setTimeout(done, 200))")
    assert browser.run("window.hacked === undefined")
    refused = browser.run("""(() => { try { document.createElement('p').innerHTML = '<b>x</b>'; return false; } catch { return true; } })()""")
    assert refused, "the browser must refuse to parse any string as HTML"


def check_linear(browser):
    for source in SLOW:
        spent = browser.run(f"(() => {{ const text = {source}; const t = performance.now(); renderMarkdown(text); return performance.now() - t; }})()")
        assert spent < 10000, f"{source} took {spent:.0f} ms"


def check_colours(browser):
    for language, code in SNIPPETS.items():
        found = browser.run(f"""import('/js/highlight.js').then(({{ highlight }}) => {{
            const box = document.createElement('code');
            box.append(...highlight({json.dumps(code)}, {json.dumps(language)}));
            return {{ text: box.textContent, kinds: [...box.querySelectorAll('span')].map((node) => node.className.slice(3) + ':' + node.textContent) }};
        }})""")
        assert found["text"] == code, (language, found)
        if language == "python":
            assert {"keyword:def", "function:f", "string:'''doc'''", "number:0x1F", "comment:# done", "type:@wraps"} <= set(found["kinds"]), found


def check_events(browser):
    """Server-sent events, cut at every byte, with all three line ends."""
    for source in ("data: a\n\ndata: é\ndata: c\n\n", ": note\r\ndata: a\r\n\r\nevent: x\r\ndata: é\r\ndata:c\r\n\r\n"):
        found = browser.run(f"""(async () => {{
            const {{ events }} = await import('/js/api.js');
            const bytes = new TextEncoder().encode({json.dumps(source)});
            const results = new Set();
            for (let cut = 0; cut <= bytes.length; cut += 1) {{
                const body = new ReadableStream({{ start(out) {{
                    for (const part of [bytes.slice(0, cut), bytes.slice(cut)]) if (part.length) out.enqueue(part);
                    out.close();
                }} }});
                const list = [];
                for await (const data of events(body)) list.push(data);
                results.add(JSON.stringify(list));
            }}
            return [...results];
        }})()""")
        assert found == ['["a","é\\nc"]'], found


def check_files(browser):
    rows = [{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "title": "T"},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
            {"messages": [{"role": "pilot", "content": "x"}]}, {"text": "x"}]
    text = "\n".join(json.dumps(row) for row in rows) + "\n{broken\n"
    found = browser.run(f"""import('/js/exchange.js').then(({{ importRows, exportLines }}) => {{
        const {{ conversations, rejected }} = importRows({json.dumps(text)});
        const again = (format) => exportLines(conversations, format).trim().split('\\n').map(JSON.parse);
        return {{ count: conversations.length, rejected, messages: again('messages'), sharegpt: again('sharegpt'),
                  array: importRows({json.dumps(json.dumps(rows[:2]))}).conversations.length }};
    }})""")
    assert found["count"] == 3 and found["array"] == 2
    assert [row["line"] for row in found["rejected"]] == [4, 5, 6], found["rejected"]
    assert found["messages"][0]["messages"] == rows[0]["messages"]
    assert found["sharegpt"][0]["conversations"] == [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    assert found["messages"][1]["title"] == "T" and len(found["messages"]) == 2


CHECKS = [check_markdown, check_growing_text, check_hostile, check_linear, check_colours, check_events, check_files]
