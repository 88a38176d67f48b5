#!/usr/bin/env python3
"""ShareGPT pages out of a seed, and texts of tag soup, for comparing `fettle data clean` with the libraries OpenChat used.

    python3 make_sharegpt_pages.py pages FOLDER [COUNT] [SEED]   pages, a fifth of them broken in one of the named ways
    python3 make_sharegpt_pages.py soup FILE [COUNT] [SEED]      JSON lines {"html"}: turns, changed at random
"""
import json
import os
import random
import sys

WORDS = {
    "en": "the model answers a question about light rivers code and music with care while snow_case and a*b stay".split(),
    "de": "die Antwort über Flüsse und Straßen ist größer als früher gedacht außerdem schön".split(),
    "zh": "我们 今天 讨论 一个 问题 关于 天气 和 编程 的 简单 方法".split(),
    "ru": "сегодня мы обсудим простой вопрос о погоде и программах".split(),
    "es": "¿cómo funciona la memoria de los niños según el señor?".split(),
    "ar": "نناقش اليوم سؤالا بسيطا عن الطقس والبرمجة".split(),
}
CODE = ["def f_x(a):\n    return a * 2\n", "SELECT *\nFROM t_a;\n", "for (int i = 0; i &lt; n; ++i) {\n\tsum += a[i];\n}\n", "&lt;p&gt;hi&lt;/p&gt;\n", "x\n\n\n\ny\n", ""]
LANGUAGES = ["python", "sql", "cpp", "html", "bash", "css", "", "objective-c"]
ENTITIES = ["&amp;", "&lt;tag&gt;", "&nbsp;", "&quot;q&quot;", "&#39;", "&hellip;", "&eacute;", "&#x1F600;", "&copy;", "&frac12;", "&NotEqualTilde;"]


def words(r, count=None):
    language = WORDS[r.choice(list(WORDS))]
    return " ".join(r.choice(language) for _ in range(count or r.randint(1, 25)))


def inline(r, depth=0):
    kind = r.randrange(16)
    text = words(r, r.randint(1, 6))
    if kind < 6 or depth > 2:
        return text + r.choice(["", " ", ".", ", ", "\n", "  "])
    inner = inline(r, depth + 1)
    if kind == 6:
        return "<strong>%s</strong> " % inner
    if kind == 7:
        return "<em>%s</em>" % inner
    if kind == 8:
        return "<code>%s</code> " % r.choice(["a_b", "x*y", "git  log", "&lt;div&gt;"])
    if kind == 9:
        return '<a href="https://example.org/%s" target="_new">%s</a>' % (r.choice(["", "a_b", "q?x=1&amp;y=2"]), inner)
    if kind == 10:
        return r.choice(ENTITIES)
    if kind == 11:
        return "<br>" + text
    if kind == 12:
        return '<img src="https://example.org/i.png" alt="%s">' % words(r, 2)
    if kind == 13:
        return "<del>%s</del> " % inner
    if kind == 14:
        return "<span class=\"hljs-keyword\">%s</span>" % inner
    return "<b> %s </b>" % inner


def code_block(r):
    code = r.choice(CODE)
    if r.random() < 0.15:
        return "<pre><code>%s</code></pre>" % code
    body = '<code class="!whitespace-pre hljs language-x">%s</code>' % "".join(
        '<span class="hljs-title">%s</span>' % w if r.random() < 0.2 else w for w in code.split(" "))
    return ('<pre><div class="bg-black rounded-md mb-4"><div class="flex items-center"><span class="">%s</span>'
            '<button class="flex ml-auto gap-2"><svg stroke="currentColor"></svg>Copy code</button></div>'
            '<div class="p-4 overflow-y-auto">%s</div></div></pre>') % (r.choice(LANGUAGES), body)


def list_of(r, depth=0):
    items = []
    for _ in range(r.randint(1, 4)):
        body = "".join(inline(r) for _ in range(r.randint(1, 2)))
        if r.random() < 0.3:
            body = "<p>%s</p>" % body
        if depth < 3 and r.random() < 0.25:
            body += r.choice(["", "\n"]) + list_of(r, depth + 1)
        items.append("<li>%s</li>" % body)
    space = r.choice(["", "\n", " "])
    if r.random() < 0.5:
        return "<ol%s>%s</ol>" % (r.choice(["", "", ' start="3"']), space + space.join(items) + space)
    return "<ul>%s</ul>" % (space + space.join(items) + space)


def table(r):
    columns = r.randint(1, 3)
    head = "<thead><tr>%s</tr></thead>" % "".join("<th>%s</th>" % words(r, 1) for _ in range(columns)) if r.random() < 0.7 else ""
    body = "".join("<tr>%s</tr>" % "".join("<td>%s</td>" % inline(r) for _ in range(columns)) for _ in range(r.randint(1, 3)))
    return "<table>%s<tbody>%s</tbody></table>" % (head, body)


def block(r):
    kind = r.randrange(12)
    if kind < 5:
        return "<p>%s</p>" % "".join(inline(r) for _ in range(r.randint(1, 5)))
    if kind == 5:
        return code_block(r)
    if kind in (6, 7):
        return list_of(r)
    if kind == 8:
        return table(r)
    if kind == 9:
        level = r.randint(1, 6)
        return "<h%d>%s</h%d>" % (level, inline(r), level)
    if kind == 10:
        return "<blockquote><p>%s</p>%s</blockquote>" % (words(r), r.choice(["", "<p>%s</p>" % words(r), list_of(r)]))
    return r.choice(["<hr>", "<hr/>", "\n", "<sup>%s</sup>" % words(r, 1)])


def answer(r):
    html = '<div class="markdown prose w-full break-words dark:prose-invert light">%s</div>' % r.choice(["", "\n"]).join(
        block(r) for _ in range(r.randint(1, 8)))
    if r.random() < 0.1:
        html = "%d / %d" % (r.randint(1, 3), 3) + html
    if r.random() < 0.05:
        html += "Copy%d chars / %d words" % (r.randint(1, 999), r.randint(1, 99))
    return html


def question(r):
    return r.choice(["", "", "1 / 2", "2 / 2\n"]) + words(r) + r.choice(["?", "", "\n\n\n" + words(r), " *x_y*", " &lt;b&gt;"])


def conversation(r):
    items = []
    for _ in range(r.randint(1, 6)):
        items += [{"from": "human", "value": question(r)}, {"from": "gpt", "value": answer(r)}]
    if r.random() < 0.15:
        items.insert(0, {"from": r.choice(["gpt", "system"]), "value": answer(r)})
    if r.random() < 0.15:
        items.append({"from": "human", "value": question(r)})
    return items


BROKEN = ["no script", "bad json", "no content", "too short", "one human", "wrong role", "two humans", "blocked", "parser", "list start", "deep"]


def break_it(r, how, items):
    if how == "too short":
        return items[:1]
    if how == "one human":
        return [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]
    if how == "wrong role":
        items[-1]["from"] = r.choice(["bing", "GPT", "user"])
        return [{"from": "human", "value": "q"}, *items[1:], {"from": "gpt", "value": "z"}]
    if how == "two humans":
        return [items[0], {"from": "human", "value": "and?"}, *items[1:]]
    if how == "blocked":
        items[r.randrange(1, len(items))]["value"] += r.choice(["<p>OpenAI</p>", "openai", " by OPENAI."])
    if how == "parser":
        items[1]["value"] += "<![endless"
        items[1]["value"] += " ]>"
    if how == "list start":
        items[1]["value"] += '<ol start="one"><li>a</li></ol>'
    if how == "deep":
        items[1]["value"] += "<ul>" * 2000
    return items


def page(r, index, how):
    items = conversation(r)
    content = {"avatarUrl": "data:image/png;base64,xx", "model": r.choice(["Model: GPT-4", "Model: Default (GPT-3.5)", "", None]), "items": items,
               "created": 1680000000 + index / 4}
    if content["model"] is None:
        del content["model"]
    if how:
        content["items"] = break_it(r, how, items)
    properties = {"id": "id%05d" % index, "views": r.randint(0, 1000), "content": content}
    if r.random() < 0.1:
        del properties["views"]
    if how == "no content":
        del properties["content"]
    data = json.dumps({"props": {"pageProps": properties}, "page": "/c/[id]"}, ensure_ascii=r.random() < 0.5).replace("</", "<\\/")
    if how == "bad json":
        data = data[:-20]
    script = "" if how == "no script" else '<script id="__NEXT_DATA__" type="application/json">%s</script>' % data
    return "<!DOCTYPE html><html><head><title>x</title></head><body><div id=\"__next\">…</div>%s</body></html>" % script


def write_pages(folder, count, seed):
    os.makedirs(folder, exist_ok=True)
    made = []
    for index in range(count):
        r = random.Random("%d %d" % (seed, index))
        if made and r.random() < 0.05:
            text = r.choice(made[-200:])
        else:
            text = page(r, index, r.choice(BROKEN) if r.random() < 0.2 else None)
            made.append(text)
        with open(os.path.join(folder, "%05d.html" % index), "w", encoding="utf-8", newline="") as out:
            out.write(text)


BITS = ["<", ">", "</", "/>", "<br>", "<br/>", "</br>", "</p>", "<p>", "<li>", "</li>", "<ul>", "</ul>", "<ol start='7'>", "<pre>", "</pre>", "<code>",
        "</code>", "&", "&#", "&#;", "&#x41;", "&#150;", "&#0;", "&#xD83D;", "&#9999999;", "&amp", "&ampx;", "&nosuch;", "&foo-bar", "<!--", "-->", "<!-- x -- >",
        "<!>", "<!DOCTYPE html>", "<?php x ?>", "<![CDATA[ y_* ]]>", "<![if a]>", "<![endif]>", "<a href=", "<a href='x", "<a href = \"a_b\" title='t\"'>", "</a>",
        "<a\u00a0b href=q>", "<img alt=a src=b/>", "<img/>", "<td>", "<th>", "<tr>", "</tr>", "<table>", "</table>", "<tbody>", "<script>", "</script>",
        "<style>", "</style >", "<textarea>", "</textarea>", "<h2>", "</h2>", "<h7>", "<h10x>", "<list>", "<blockquote>", "</blockquote>", "\n", "\n\n\n", "  ", "\t",
        "\u00a0", "\u3000", "\x1c", "\x00", "```", "Copy code", "\"", "'", "=", "/", "*", "_", "<b>", "</b>", "<i >", "</i\n>", "<em/>", "<hr>", "<sub> x </sub>",
        "<kbd>", "</kbd>", "<x y='>'>", "<a href==''>", "<a href== 'x>", "<a b='c'd=e f>", "<a title=\"&quot;&notit;&#x80;\" href=\"&ltx\">l</a>", "<div x>",
        "<span\n>", "</ p>", "</p x='>'>", "<\u017fcript>", "<P>", "</P>", "<UL><LI>", "<soup>", "<hn>", "<h\u0663>", "𝟘", "1 / 2", "Copy1 chars / 2 words"]


def mutate(r, html):
    for _ in range(r.randint(1, 12)):
        at = r.randrange(len(html) + 1)
        kind = r.randrange(5)
        if kind <= 1:
            html = html[:at] + r.choice(BITS) + html[at:]
        elif kind == 2:
            html = html[:at] + html[at + r.randint(1, 12):]
        elif kind == 3:
            end = at + r.randint(1, 60)
            html = html[:at] + html[at:end] * 2 + html[end:]
        else:
            other = r.randrange(len(html) + 1)
            piece = html[at:at + 40]
            html = html[:other] + piece + html[other:]
    return html


def write_soup(file, count, seed):
    with open(file, "w", encoding="utf-8") as out:
        for index in range(count):
            r = random.Random("soup %d %d" % (seed, index))
            if index % 4 == 0:
                html = "".join(r.choice(BITS + [words(r, 1)]) for _ in range(r.randint(1, 25)))
            else:
                html = mutate(r, answer(r))
            out.write(json.dumps({"html": html}) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("pages", "soup"):
        sys.exit(__doc__)
    what = write_pages if sys.argv[1] == "pages" else write_soup
    what(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else (5000 if sys.argv[1] == "pages" else 2000), int(sys.argv[4]) if len(sys.argv) > 4 else 1)
