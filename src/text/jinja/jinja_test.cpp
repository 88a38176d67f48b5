// The Jinja engine against what Python's jinja2 gives (tests/golden/text/make_templates.py), and its limits.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "text/chat/chat_template.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/parser.h"

namespace fettle {
namespace {

OrderedJson read_golden(const fs::path& path) {
  const std::string text = read_file(path);
  return OrderedJson::parse(text);
}

std::string render(const std::string& source, const OrderedJson& variables = OrderedJson::object()) {
  RenderOptions options;
  options.variables = variables;
  return ChatTemplate(source, Json::object(), "t").render({}, options).text;
}

std::string render_error(const std::string& source, const OrderedJson& variables = OrderedJson::object()) {
  try {
    return "rendered: " + render(source, variables);
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(Jinja, EqualsPythonOnExpressions) {
  const OrderedJson golden = read_golden("tests/golden/text/expressions.json");
  ASSERT_GT(golden["expected"].size(), 400U);
  for (const auto& row : golden["expected"]) {
    const auto source = row[0].get<std::string>();
    const std::string got = render_error(source, golden["variables"]);
    if (row[1].is_null()) {
      EXPECT_TRUE(got.starts_with("t: ")) << source << " must fail, got: " << got;
    } else {
      EXPECT_EQ(got.starts_with("t: ") ? got : render(source, golden["variables"]), row[1].get<std::string>())
          << source;
    }
  }
}

void compare_templates(const fs::path& file) {
  const OrderedJson golden = read_golden(file);
  const fs::path folder = golden["folder"].get<std::string>();
  size_t rows = 0;
  for (const auto& [name, conversations] : golden["expected"].items()) {
    const ChatTemplate chat(read_file(folder / (name + ".jinja")), Json(golden["special_tokens"]), name);
    for (const auto& [key, expected] : conversations.items()) {
      RenderOptions options;
      options.now = golden["now"].get<int64_t>();
      const bool tools = key.ends_with("+tools");
      if (tools) options.variables["tools"] = golden["tools"];
      Messages messages;
      for (const auto& message : golden["conversations"][tools ? key.substr(0, key.size() - 6) : key]) {
        messages.push_back(message_from_json(message, key));
      }
      std::string without;
      for (const bool generation : {false, true}) {
        SCOPED_TRACE(name + " " + key + (generation ? " with generation prompt" : ""));
        const auto& want = expected[generation ? 1 : 0];
        options.add_generation_prompt = generation;
        ++rows;
        if (want.is_null()) {
          EXPECT_THROW(chat.render_as_given(messages, options), Error);
          continue;
        }
        const Rendered got = chat.render_as_given(messages, options);
        if (!generation) without = got.text;
        EXPECT_EQ(got.text,
                  want.is_object() ? without + want["adds"].get<std::string>() : want.get<std::string>());
        int64_t end = 0;
        for (const auto& run : got.runs) {
          EXPECT_EQ(run.begin, end);
          EXPECT_GT(run.end, run.begin);
          end = run.end;
        }
        EXPECT_EQ(end, static_cast<int64_t>(got.text.size()));
      }
    }
  }
  EXPECT_GT(rows, 600U);
}

TEST(Jinja, EqualsTransformersOnWellKnownTemplates) {
  setenv("TZ", "UTC", 1);
  compare_templates("tests/golden/text/templates.json");
}

TEST(Jinja, ErrorsNameThePlace) {
  EXPECT_EQ(render_error("a\n{% if x %}\n{{ 1 +  }}"), "t: line 3, column 9: unexpected '}}'");
  EXPECT_EQ(render_error("{{ x | trimm }}"), "t: line 1, column 8: unknown filter 'trimm'; did you mean 'trim'?");
  EXPECT_EQ(render_error("{{ x is defind }}"),
            "t: line 1, column 9: unknown test 'defind'; did you mean 'defined'?");
  EXPECT_EQ(render_error("a\nb\n{{ messages[0].content }}"), "t: line 3: list object has no element 0");
  EXPECT_EQ(render_error("{% endfor %}").find("t: line 1, column 4: unknown or misplaced statement 'endfor'"),
            0U);
  EXPECT_EQ(render_error("{% include 'x' %}"),
            "t: line 1, column 4: 'include' has no meaning in a chat template");
  EXPECT_EQ(render_error("x\n{{ raise_exception('No system role') }}"),
            "t: line 2: the template refuses this conversation: No system role");
  EXPECT_EQ(render_error("{% if a %}x"),
            "t: line 1, column 11: the block that begins here is never closed; add '{% endif %}'");
}

TEST(Jinja, StopsWhatDoesNotEnd) {
  const auto stops = [](const std::string& source, const std::string& why) {
    const std::string error = render_error(source);
    EXPECT_NE(error.find(why), std::string::npos) << source << "\n" << error;
  };
  const std::string steps = "step limit";
  stops("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", steps);
  stops("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "does a macro call itself");
  stops("{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "more than 64 MiB");
  stops("{{ 'x' * 9999999999 }}", "more than 64 MiB");
  stops("{{ [0] * 99999999 }}", "items");
  stops(
      "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
      "ns.l }}",
      "values");
  stops("{% set ns = namespace(l=[1]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}",
        "nested");
  stops("{{ '%999999999d' % 1 }}", "width");
  stops("{{ '{:>999999999}'.format('a') }}", "width");
  stops("{{ 'a' | center(999999999999) }}", "more than 64 MiB");
  stops("{{ 'a' | indent(999999999999) }}", "more than 64 MiB");
  stops("{{ 9223372036854775807 + 1 }}", "64 bits");
  stops("{{ 10 ** 100 }}", "64 bits");
  stops("{% set ns = namespace(s='x' * 60000000) %}{{ ns.s }}{{ ns.s }}", "more than 64 MiB");
  stops("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested");
  stops("{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}", "nested more than");
  stops("{{ " + std::string(5000, '-') + "1 }}", "nested more than");
  std::string nots;
  for (int i = 0; i < 5000; ++i) nots += "not ";
  stops("{{ " + nots + "1 }}", "nested more than");
  std::string ifs;
  for (int i = 0; i < 5000; ++i) ifs += "{% if 1 %}";
  stops(ifs, "nested more than");
}

/// The work of a filter is paid for, so that no template takes much longer than its steps do.
TEST(Jinja, WorkOnLongTextsIsCharged) {
  const std::string same = "{% set a = 'a' * 1000000 %}{% set s = 'a' * 500000 + 'b' %}{% set r = 'b' + 'a' * 500000 %}";
  std::vector<std::string> once;
  for (const char* call : {"a.count(s)", "s in a", "a.find(s)", "a.rfind(r)", "a.index('a')", "a.replace(s, 'x')", "a.split(s)", "a.rsplit(r)",
                           "a.partition(s)", "a.rpartition(r)", "a.replace(s, 'x', 3)", "a | replace(s, 'x')", "a.strip(s)", "a | trim(s)"})
    once.push_back(same + "{% set x = " + call + " %}");
  // Processor time of so many steps; a template has ten million.
  const auto seconds = [](const std::string& source) {
    constexpr int64_t steps = 500'000;
    const std::clock_t begin = std::clock();
    const auto program = jinja::parse(source, "t");
    jinja::Interpreter run(*program, steps, std::nullopt);
    try {
      run.run(jinja::Bindings(*program), 0, "t");
    } catch (const Error&) {
    }
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  for (const std::string& source : once) EXPECT_LT(seconds(source), 0.5) << source.substr(100);
  const std::string loop = "{% for i in range(100000) %}{% for j in range(100000) %}";
  for (const char* work :
       {"a.upper()", "a.swapcase()", "a.title()", "a | upper", "a | title", "a | capitalize", "a | length", "a | wordcount", "a | escape",
        "a | first", "a | last", "a | list", "a | reverse", "a | int", "a | float", "a is lower", "a is upper", "a is eq(a ~ '')", "a is sameas(a ~ '')",
        "a.isalnum()", "a.isspace()", "a.splitlines()", "a.split('a')", "a.split()", "a.rsplit('b')", "a.count('b')", "a.find('b')", "a.rfind('b')",
        "a.rfind('ab')", "'b' in a", "a[5:]", "a[::2]", "a[999999]", "a + 'b'", "a ~ 'b'", "a == a ~ ''", "a | tojson", "a | indent", "a | replace('b', 'c')",
        "a | trim", "a.strip('b')", "a.strip('a')", "a.startswith('b', 5)", "a.zfill(1000001)", "a | center(1000002)", "'%s' | format(a)", "'{}'.format(a)",
        "[a, a] | join", "[a, a] | string", "[a] | tojson", "[a, a] | unique | list", "[a, a] | sort | list", "[a, a] | max", "{'k': a} == {'k': a ~ ''}",
        "a.replace('a', 'b')", "a | batch(1) | list", "a | slice(1) | list", "[a] | map('upper') | list", "[a] | select('lower') | list",
        "a | truncate(5)", "a.removeprefix('b')", "a.partition('b')", "a.rpartition('b')", "a | string", "a | safe", "[[a]] | safe",
        "{'k': a} | dictsort(by='value') | list", "{'k': a} | items | list", "[a, a] | groupby(0) | list", "[a, a] | sum(start='')"}) {
    const double spent = seconds("{% set a = 'a' * 1000000 %}" + loop + "{% set x = " + work + " %}{% endfor %}{% endfor %}");
    EXPECT_LT(spent, 0.5) << work;
  }
}

TEST(Jinja, ManyKeysTakeNoLonger) {
  OrderedJson variables, list = OrderedJson::array();
  for (int i = 0; i < 60000; ++i) list.push_back({fmt::format("k{}", i), i});
  variables["pairs"] = std::move(list);
  const std::clock_t begin = std::clock();
  render_error("{% set d = dict(pairs) %}{{ d == dict(pairs | reverse) }}", variables);
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 2.0);
}

TEST(Jinja, LongFlatExpressionsAreFine) {
  std::string sum = "{{ 0";
  for (int i = 0; i < 5000; ++i) sum += " + 1";
  EXPECT_EQ(render(sum + " }}"), "5000");
}

TEST(Jinja, NamespacesMayHoldThemselves) {
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.l = [ns] %}{{ ns.me.me.l | length }}"),
      "1");
  EXPECT_EQ(render("{% set ns = namespace() %}{% macro m() %}x{% endmacro %}{% set ns.m = m %}{{ ns.m() }}"),
            "x");
  EXPECT_EQ(
      render("{% set ns = namespace() %}{% for x in [1] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}"),
      "1");
}

TEST(Jinja, ClockIsInjectable) {
  setenv("TZ", "UTC", 1);
  RenderOptions options;
  options.now = 1722000000;
  const ChatTemplate chat("{{ strftime_now('%d %b %Y %H:%M') }}", Json::object());
  EXPECT_EQ(chat.render({}, options).text, "26 Jul 2024 13:20");
}

}  // namespace
}  // namespace fettle
