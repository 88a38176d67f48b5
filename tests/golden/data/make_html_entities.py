#!/usr/bin/env python3
"""Writes src/data/html/entities.cpp: the named character references of the HTML standard, as Python's html.entities has them.

    python3 tests/golden/data/make_html_entities.py > src/data/html/entities.cpp
"""
from html.entities import html5


def literal(text):
    """Every byte that is not plain ASCII escaped in octal, which takes at most three digits and so never swallows what follows."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else "\\%03o" % b for b in text.encode()) + '"'


print('''// Written by tests/golden/data/make_html_entities.py from the table of the HTML standard (WHATWG, "Named character
// references"); sorted by bytes.
#include "data/html/entities.h"

#include <algorithm>
#include <iterator>

namespace fettle::data {
namespace {

struct Entity {
  std::string_view name, text;
};

// clang-format off
constexpr Entity entities[] = {''')
line = " "
for name, text in sorted(html5.items(), key=lambda item: item[0].encode()):
    entry = " {%s, %s}," % (literal(name), literal(text))
    if len(line) + len(entry) > 150:
        print(line)
        line = " "
    line += entry
print(line)
print('''};
// clang-format on

}  // namespace

std::string_view html_entity(std::string_view name) {
  const auto* found = std::lower_bound(std::begin(entities), std::end(entities), name,
                                       [](const Entity& entity, std::string_view wanted) { return entity.name < wanted; });
  return found != std::end(entities) && found->name == name ? found->text : std::string_view{};
}

}  // namespace fettle::data''')
