#!/usr/bin/env python3
"""Fails when a source parses JSON by any other way than the program's entrances, which bound depth, size and time.

Json::accept, which builds nothing, is no entrance either. Text that this program has written itself and reads back at once (parse(dump_json(…)), parse(….dump())) is none of others.
Usage: json_entrances.py SRC [--self-test]
"""
import pathlib
import re
import sys

# The entrances, and what reads formats whose own bounds stand beside them.
ALLOWED = {
    "base/json.cpp", "base/ordered_json.cpp",  # parse_json, parse_ordered_json
    "checkpoint/safetensors.cpp",  # a header, event by event, without a tree
    "data/rows/parse_row.cpp", "data/rows/row_view.cpp", "data/rows/row_view.h", "data/parquet/rows.cpp",  # rows, by simdjson with a depth of its own
}
CALL = re.compile(r"(?:(?:Json|json|OrderedJson|ordered_json|basic_json<[^>]*>)\s*::\s*(?:parse|sax_parse|from_\w+)\s*\(|"
                  r"simdjson::(?:dom|ondemand)::parser\b|\"_json\b|std::cin\s*>>\s*json)")
OWN_TEXT = re.compile(r"parse\s*\(\s*(?:dump_json\s*\(|[^;]*\.dump\s*\(\s*\))")


def violations(src):
    found, seen = [], 0
    for path in sorted(src.rglob("*")):
        name = path.relative_to(src).as_posix()
        if path.suffix not in {".h", ".cpp"} or path.stem.endswith(("_test", "_fuzz")) or "test_" in path.stem or name in ALLOWED:
            continue
        seen += 1
        text = re.sub(r"//[^\n]*", "", path.read_text(errors="replace"))
        for match in CALL.finditer(text):
            if OWN_TEXT.match(text[match.start():match.start() + 200].split("::", 1)[-1].strip()):
                continue
            found.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0)} — use parse_json or parse_ordered_json")
    return found, seen


def self_test():
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        (src / "serve").mkdir()
        (src / "serve" / "bad.cpp").write_text("auto a = OrderedJson::parse(text, nullptr, false);\n"
                                               "auto b = Json::parse(dump_json(value));\nauto c = Json::parse(position.x.dump());\n"
                                               "nlohmann::json::parse(line);\nsimdjson::dom::parser p;\nOrderedJson :: parse(text);\n")
        (src / "serve" / "good_test.cpp").write_text("Json::parse(text);\n")
        found, seen = violations(src)
        assert seen == 1 and [line.split(":")[1] for line in found] == ["1", "4", "5", "6"], found


if __name__ == "__main__":
    self_test()
    found, seen = violations(pathlib.Path(sys.argv[1]))
    if seen == 0:
        found.append(f"no source files under {sys.argv[1]}")
    print("\n".join(found) or f"{seen} files, JSON comes in by its entrances alone")
    sys.exit(1 if found else 0)
