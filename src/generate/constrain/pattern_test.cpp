#include "generate/constrain/pattern.h"

#include "generate/constrain/grammar_test_support.h"
#include "generate/constrain/string_formats.h"

namespace fettle {
namespace {

using test::refusal;

bool found(std::string_view pattern, std::string_view text) {
  return pattern_automaton(pattern).matches(text);
}

TEST(Pattern, FindsWhatItShouldAndNothingElse) {
  struct Case {
    const char* pattern;
    std::vector<const char*> good, bad;
  };
  const std::vector<Case> cases{
      {"^[0-9]{5}$", {"12345"}, {"1234", "123456", "1234a", ""}},
      {"b+", {"abc", "bbb"}, {"", "ac"}},
      {"^a|b$", {"axx", "xxb"}, {"xax", "bx"}},
      {"^(?:ab?){2,3}$", {"aa", "abab", "aaba"}, {"a", "aaaa", "abb"}},
      {"^(?<year>\\d{4})-\\d{2}$", {"2024-07"}, {"24-07"}},
      {"^[^\\s\\d\"]+$", {"abc", "é"}, {"a b", "a1", "a\"b", ""}},
      {"^\\w+@\\w+\\.(com|org)$", {"a_b@c.org"}, {"a@b.net", "@c.com"}},
      {"^.{2}$", {"éü", "ab"}, {"a\n", "abc"}},
      {"^\\u00e9\\x41\\u{1F600}\\uD83D\\uDE00\\/\\-$", {"éA😀😀/-"}, {"eA😀😀/-"}},
      {"^[\\b\\]a-c-]{3}$", {"]-b"}, {"d--"}},
      {"^a{,2}$", {"a{,2}"}, {"aa"}},
      {"^(a*)*b??$", {"", "aaa", "ab"}, {"ba"}},
      {"^(?=.*[A-Z])(?=.*\\d)[A-Za-z\\d]{4,8}$", {"aB3d", "9ZZZZ"}, {"abcd", "AB12345678", "aB3!"}},
      {"^(?!.*\\.\\.)(?!\\.)[a-z.]+$", {"a.b.c"}, {"a..b", ".a", ""}},
      {"(?!x)y|z", {"y", "az"}, {"x", ""}},
  };
  for (const Case& one : cases) {
    for (const char* text : one.good) EXPECT_TRUE(found(one.pattern, text)) << one.pattern << " in " << text;
    for (const char* text : one.bad) EXPECT_FALSE(found(one.pattern, text)) << one.pattern << " in " << text;
  }
  EXPECT_TRUE(whole_pattern_automaton("a|b").matches("a"));
  EXPECT_FALSE(whole_pattern_automaton("a|b").matches("ab"));
}

TEST(Pattern, RefusalsSayWhatAndWhere) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"(a)\\1", "back-reference"},   {"(?<=a)b", "look-behind"},  {"\\bword", "word boundary"},
      {"\\p{L}", "Unicode property"}, {"(?i)a", "not supported"},  {"(a", "lacks a ')'"},
      {"a)", "')' too many"},         {"[a", "lacks a ']'"},       {"*a", "nothing before"},
      {"a**", "two quantifiers"},     {"[z-a]", "wrong order"},    {"a{3,2}", "wrong order"},
      {"\\u12", "hexadecimal"},       {"a\\", "backslash"},        {"((?!a)b)*", "look-ahead"},
      {"a{9999}", "more than 5000"},  {"\\Aa\\Z", "write ^ or $"}, {"\\q", "unknown escape"},
  };
  for (const auto& [pattern, why] : cases) {
    const std::string message = refusal([&, p = pattern] { pattern_automaton(p); });
    EXPECT_NE(message.find(why), std::string::npos) << pattern << ": " << message;
  }
}

TEST(Pattern, WhatNeedsTooManyStatesIsRefusedSoon) {
  for (const char* pattern : {"(a|b)*a(a|b){20}", "((((a{100}){100}){100}){100})", "^(.{0,5000}){0,20}$"})
    EXPECT_NE(refusal([&] { pattern_automaton(pattern); }).find("states"), std::string::npos) << pattern;
  EXPECT_NE(refusal([] { pattern_automaton(std::string(200, '(')); }), "");
}

TEST(StringFormat, ExamplesOfEach) {
  struct Case {
    const char* name;
    std::vector<const char*> good, bad;
  };
  const std::vector<Case> cases{
      {"date",
       {"2024-02-29", "2000-02-29", "1999-12-31"},
       {"2023-02-29", "1900-02-29", "2024-13-01", "0000-01-01", "2024-04-31"}},
      {"time", {"23:59:59Z", "00:00:00.125+02:00"}, {"24:00:00Z", "12:00:00", "12:00Z"}},
      {"date-time", {"2024-02-29T12:00:00Z"}, {"2024-02-29 12:00:00Z", "2024-02-30T12:00:00Z"}},
      {"duration", {"P1Y2M3DT4H", "PT5M", "P2W"}, {"P", "PT", "P1H", "1D"}},
      {"email", {"ann.lee@mail.example.org"}, {"ann", "@b.org", "a@b", "a..b@c.org"}},
      {"hostname", {"a", "www.example.org"}, {"-a.org", "a-.org", ".a", ""}},
      {"ipv4", {"0.0.0.0", "255.10.1.99"}, {"256.1.1.1", "01.1.1.1", "1.1.1"}},
      {"ipv6",
       {"::", "::1", "1:2:3:4:5:6:7:8", "fe80::a:b"},
       {"1:2:3", "1::2::3", ":::", "1:2:3:4:5:6:7:8:9"}},
      {"uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567e89b12d3a456426614174000"}},
      {"uuid4", {"123e4567-e89b-42d3-a456-426614174000"}, {"123e4567-e89b-12d3-a456-426614174000"}},
      {"uri", {"https://example.org/a%20b?c=d#e", "urn:isbn:12"}, {"example.org", "http://", "http://a b"}},
      {"password", {"", "x\n"}, {}},
  };
  for (const Case& one : cases) {
    for (const char* text : one.good)
      EXPECT_TRUE(string_format(one.name).matches(text)) << one.name << " " << text;
    for (const char* text : one.bad)
      EXPECT_FALSE(string_format(one.name).matches(text)) << one.name << " " << text;
  }
  EXPECT_NE(refusal([] { string_format("phone"); }).find("'phone'"), std::string::npos);
}

}  // namespace
}  // namespace fettle
