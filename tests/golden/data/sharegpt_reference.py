#!/usr/bin/env python3
"""The rules of OpenChat's clean_sharegpt over the libraries it used, to compare with; needs markdownify==0.11.6 and
beautifulsoup4==4.11.2.

    python sharegpt_reference.py clean FOLDER OUT.json [BLOCKED_WORD…]   counters on standard error
    python sharegpt_reference.py texts IN.jsonl                          one JSON text a line: what becomes of each {"html"};
                                                                         seconds and processor seconds on standard error
    python sharegpt_reference.py golden IN.jsonl OUT.json COUNT          the file that the unit test reads
"""
import collections
import glob
import json
import os
import re
import sys
import time
import warnings

import bs4
import markdownify

warnings.filterwarnings("ignore")
DIV, SPAN = re.compile(r"<div.*?>"), re.compile(r"<span.*?>")
BLOCK = re.compile(r"```\s*(.*?)(?:Copy code)+(.+?)\s*?```", re.DOTALL)
COUNTER = re.compile(r"^\d+ / \d+")
COUNTS = re.compile(r"Copy\d+ chars / \d+ words")
EMPTY = re.compile(r"```(.*?)Copy code\s*```")


def to_markdown(html):
    html = SPAN.sub("", DIV.sub("", html))
    text = markdownify.markdownify(html).strip()
    text = BLOCK.sub(r"```\1\n\2\n```", text)
    text = COUNTER.sub("", text, count=1)
    text = EMPTY.sub("", COUNTS.sub("", text))
    return text.replace("\n\n\n", "\n").strip()


class Rejected(Exception):
    pass


def conversation(path, blocked):
    with open(path, encoding="utf-8") as file:
        script = bs4.BeautifulSoup(file, "html.parser").find("script", id="__NEXT_DATA__")
    if script is None:
        raise Rejected("No page data")
    try:
        properties = json.loads(script.contents[0])["props"]["pageProps"]
    except json.JSONDecodeError:
        raise Rejected("Page data is not valid JSON")
    if "content" not in properties:
        raise Rejected("Unable to extract content")
    sample = dict(properties["content"], id=properties.get("id", ""), views=properties.get("views", 0))
    items = sample["items"]
    if len(items) <= 1:
        raise Rejected("Conversation too short")
    if items[0]["from"] != "human":
        items = items[1:]
    if len(items) <= 1:
        raise Rejected("Conversation too short")
    if items[-1]["from"] == "human":
        items = items[:-1]
    if len(items) <= 1:
        raise Rejected("Conversation too short")
    for index, item in enumerate(items):
        if item["from"] != ("human", "gpt")[index % 2]:
            raise Rejected("Wrong format")
        if any(word in item["value"].lower() for word in blocked):
            raise Rejected("Contain blocked words")
        try:
            item["value"] = to_markdown(item["value"])
        except Exception:
            raise Rejected("Parser error")
    sample["items"] = items
    return sample


def clean(folder, out, blocked):
    counts, samples, seen = collections.Counter(), [], set()
    for path in sorted(glob.glob(os.path.join(folder, "*.html"))):
        try:
            sample = conversation(path, blocked)
        except Rejected as error:
            counts[str(error)] += 1
            continue
        key = ("".join(item["value"] for item in sample["items"]), len(sample["items"]))
        if key in seen:
            counts["Duplicate"] += 1
            continue
        seen.add(key)
        counts["kept"] += 1
        samples.append(dict(sample, hash=[0, key[1]]))
    with open(out, "w") as file:
        json.dump(samples, file, indent="\t")
    print(json.dumps(counts, sort_keys=True), file=sys.stderr)


def text_of(html):
    try:
        return to_markdown(html)
    except Exception:
        return "Parser error"


if __name__ == "__main__":
    if sys.argv[1:2] == ["clean"]:
        clean(sys.argv[2], sys.argv[3], sys.argv[4:])
    elif sys.argv[1:2] == ["texts"]:
        start = time.perf_counter(), time.process_time()
        for line in open(sys.argv[2], encoding="utf-8"):
            print(json.dumps(text_of(json.loads(line)["html"])))
        print(time.perf_counter() - start[0], time.process_time() - start[1], file=sys.stderr)
    elif sys.argv[1:2] == ["golden"]:
        rows = [json.loads(line)["html"] for line in open(sys.argv[2], encoding="utf-8")]
        rows = [html for html in rows if not re.search("[\ud800-\udfff]", html) and len(html) < 1500][:int(sys.argv[4])]
        with open(sys.argv[3], "w") as file:
            json.dump([{"html": html, "text": json.dumps(text_of(html))} for html in rows], file, indent=1)
    else:
        sys.exit(__doc__)
