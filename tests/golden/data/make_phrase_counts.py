"""How many rows of real files hold a phrase of each published list: any(phrase.lower() in text.lower()), as upstream matches.

Run with plain Python 3 from the repository's root:
    python3 tests/golden/data/make_phrase_counts.py SHARED_DATA_FOLDER > tests/golden/data/phrase_counts.json
The lists are read out of src/data/signals/phrase_lists.cpp, so that both sides search for the same strings.
"""
import ast
import json
import re
import sys

source = open("src/data/signals/phrase_lists.cpp", encoding="utf-8").read()
tables = {name: ast.literal_eval("[" + body + "]")
          for name, body in re.findall(r"const std::vector<std::string> (\w+)\{(.*?)\};", source, re.S)}
lists = {"wizardlm-unfiltered": "wizardlm", "vicuna-unfiltered": "vicuna", "openchat": "openchat_released", "openchat-later": "openchat_later"}

folder = sys.argv[1] + "/conversations/"
files = {
    "alpaca_5_percent.json": lambda row: [row["output"]],
    "alpaca_en_demo.json": lambda row: [row["output"]],
    "sharegpt_dummy.json": lambda row: [turn["value"] for turn in row["conversations"] if turn["from"] == "gpt"],
    "ultrafeedback_pairs_train.jsonl": lambda row: [row["chosen"], row["rejected"]],
}
result = {}
for name, texts in files.items():
    text = open(folder + name, encoding="utf-8").read()
    rows = [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
    result[name] = {key: sum(any(phrase.lower() in text.lower() for text in texts(row) for phrase in tables[table]) for row in rows)
                    for key, table in lists.items()}
print(json.dumps(result, indent=1))
