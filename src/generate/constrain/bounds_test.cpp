// What schemas, patterns and grammars may cost: small ones that ask for years of work are refused in a moment, by name.
#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "generate/constrain/grammar_test_support.h"

namespace fettle {
namespace {

using namespace test;

/// What the schema is refused with, empty when it is not; either way soon.
std::string verdict(const std::string& name, const OrderedJson& text) {
  const std::clock_t begin = std::clock();
  const std::string why = refusal([&] { GrammarAutomaton automaton(json_schema_grammar(text)); });
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_LT(seconds, 3.0) << name << ": " << why;
  return why;
}

/// a0 … aN, each made of the next one.
OrderedJson chain(int length, const std::function<OrderedJson(const OrderedJson&)>& link, const OrderedJson& last = {{"type", "null"}}) {
  OrderedJson schema{{"$ref", "#/$defs/a0"}, {"$defs", OrderedJson::object()}};
  for (int i = 0; i < length; ++i) schema["$defs"][fmt::format("a{}", i)] = link({{"$ref", fmt::format("#/$defs/a{}", i + 1)}});
  schema["$defs"][fmt::format("a{}", length)] = last;
  return schema;
}

OrderedJson listed(int count, const std::function<OrderedJson(int)>& make) {
  OrderedJson list = OrderedJson::array();
  for (int i = 0; i < count; ++i) list.push_back(make(i));
  return list;
}

TEST(SchemaBounds, ChoicesOfTheSameThingAreReadOnce) {
  for (const char* key : {"anyOf", "allOf"}) {
    const auto twice = [&](const OrderedJson& next) { return OrderedJson{{key, OrderedJson::array({next, next})}}; };
    const std::string why = verdict(key, chain(24, twice));
    EXPECT_TRUE(why.empty() || why.find("is too large") != std::string::npos) << why;
  }
  EXPECT_EQ(verdict("anyOf", chain(24, [](const OrderedJson& next) { return OrderedJson{{"anyOf", OrderedJson::array({next, next})}}; })), "");
  EXPECT_EQ(verdict("objects", chain(30, [](const OrderedJson& next) {
              return OrderedJson{{"type", "object"}, {"properties", {{"x", next}, {"y", next}}}};
            })),
            "");
}

TEST(SchemaBounds, WorkIsBoundedInAll) {
  const auto pattern = [](int i) { return fmt::format("(a|b)*a(a|b){{{}}}c{}", 8 + i % 5, i); };
  EXPECT_NE(verdict("many heavy patterns", {{"allOf", listed(500, [&](int i) {
                                               return OrderedJson{{"properties", {{fmt::format("p{}", i), {{"type", "string"}, {"pattern", pattern(i)}}}}}};
                                             })}}),
            "");
  OrderedJson properties = OrderedJson::object(), patterns = OrderedJson::object();
  for (int i = 0; i < 500; ++i) properties[fmt::format("p{}", i)] = {{"type", "string"}, {"pattern", "(a|b)*a(a|b){12}"}};
  EXPECT_EQ(verdict("one heavy pattern in many places", {{"type", "object"}, {"properties", properties}}), "");
  for (int i = 0; i < 40; ++i) patterns[pattern(i)] = {{"type", "string"}};
  EXPECT_NE(verdict("patternProperties", {{"type", "object"}, {"patternProperties", patterns}}), "");
  EXPECT_NE(verdict("a product", {{"allOf", listed(20, [](int i) {
                                    return OrderedJson{{"anyOf", {{{"minLength", i}}, {{"maxLength", 1000 - i}}}}};
                                  })}}),
            "");
  EXPECT_NE(verdict("two long lists", {{"allOf", {{{"enum", listed(30000, [](int i) { return OrderedJson(i); })}},
                                                  {{"enum", listed(30000, [](int i) { return OrderedJson(i + 1); })}}}}}),
            "");
  for (const char* text : {"((a|b){1000}){1000}", "(a{5000}){5000}", "((((a{1000}){1000}){1000}){1000}){1000}", "(.*a){200}", "(a|aa|aaa){1,2000}",
                           "[a-z]{0,5000}[0-9]{0,5000}x", "^(?=.*a{50})(?=.*b{50})(?=.*c{50}).*$", "(a?){5000}a{5000}"})
    verdict(text, {{"type", "string"}, {"pattern", text}});
  for (const char* keys : {R"({"minItems": 10000})", R"({"minItems": 2000000000})", R"({"maxItems": 2000000000})", R"({"minItems": 9000, "items": {"minItems": 9000,
           "items": {"minItems": 9000, "items": {"minItems": 9000}}}})",
                           R"({"minLength": 2000000000})", R"({"minLength": 100000, "maxLength": 2000000000, "pattern": "^(ab)*$"})",
                           R"({"minProperties": 1000000})", R"({"type": "number", "multipleOf": 0.3999, "minimum": 1, "maximum": 1e30})"})
    verdict(keys, OrderedJson::parse(keys));
}

TEST(SchemaBounds, LongHonestSchemasAreRead) {
  OrderedJson properties = OrderedJson::object();
  for (int i = 0; i < 3000; ++i) properties[fmt::format("name_of_field_{}", i)] = {{"type", "string"}, {"maxLength", 200}};
  EXPECT_EQ(verdict("properties", {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}), "");
  EXPECT_EQ(verdict("an enumeration", {{"enum", listed(1000, [](int i) { return OrderedJson(fmt::format("value {}", i)); })}}), "");
  EXPECT_EQ(verdict("numbers with bounds", {{"enum", listed(1000, [](int i) { return OrderedJson(i); })}, {"type", "integer"}, {"minimum", 0}}), "");
  EXPECT_EQ(verdict("a union", {{"oneOf", listed(200, [](int i) {
                                   OrderedJson fields{{"kind", {{"const", fmt::format("kind{}", i)}}}};
                                   for (int j = 0; j < 20; ++j) fields[fmt::format("f{}", j)] = {{"type", "string"}};
                                   return OrderedJson{{"type", "object"}, {"properties", fields}, {"required", {"kind"}}};
                                 })}}),
            "");
}

/// Alternatives that begin alike are read side by side; how many is bounded, and a long text with them takes no longer.
TEST(GrammarBounds, AnswersThatCanBeReadInManyWaysEndSoon) {
  OrderedJson schema = chain(20, [](const OrderedJson& next) {
    return OrderedJson{{"anyOf", listed(4, [&](int i) { return OrderedJson{{"type", "array"}, {"items", next}, {"minItems", i + 1}}; })}};
  });
  const std::clock_t begin = std::clock();
  GrammarAutomaton automaton(json_schema_grammar(schema));
  const std::string why = refusal([&] {
    for (int32_t state = automaton.start(); state != GrammarAutomaton::dead;) state = automaton.next(state, '[');
  });
  EXPECT_NE(why.find("too many ways"), std::string::npos) << why;
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 2.0);
}

TEST(GrammarBounds, ManyOptionalFieldsAreReadCheaply) {
  OrderedJson properties = OrderedJson::object();
  for (int i = 0; i < 600; ++i) properties[fmt::format("f{}", i)] = {{"type", "integer"}};
  GrammarAutomaton automaton(schema(dump_json(OrderedJson{{"type", "object"}, {"properties", properties}})));
  std::string text = "{";
  for (int i = 0; i < 600; i += 20) text += fmt::format("{}\"f{}\":{}", i == 0 ? "" : ",", i, i);
  int32_t state = automaton.start();
  for (const char c : text + "}") {
    automaton.begin_place();
    for (int byte = 0; byte < 256; ++byte) automaton.next(state, static_cast<uint8_t>(byte));
    state = automaton.next(state, static_cast<uint8_t>(c));
  }
  EXPECT_TRUE(automaton.accepts(state));
}

TEST(BehindThought, TheAnswerIsFreeUpToTheMark) {
  const Grammar opened = behind_thought(schema(R"({"type": "integer"})"), "<think>", "</think>", true);
  EXPECT_TRUE(fits(opened, "Let me see: 6 * 7 </thin, { is\n42</think>\n\n42"));
  EXPECT_TRUE(fits(opened, "</think>42"));
  EXPECT_FALSE(fits(opened, "42"));
  EXPECT_FALSE(fits(opened, "a</think>\n\nb"));
  EXPECT_FALSE(fits(opened, "a</think>b</think>42"));
  const Grammar possible = behind_thought(schema(R"({"type": "integer"})"), "<think>", "</think>", false);
  EXPECT_TRUE(fits(possible, "42"));
  EXPECT_TRUE(fits(possible, "<think>\nhm\n</think>\n\n42"));
  EXPECT_FALSE(fits(possible, "hm</think>42"));
  EXPECT_FALSE(fits(possible, "<think>42"));
}

}  // namespace
}  // namespace fettle
