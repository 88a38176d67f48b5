#include "generate/constrain/json_schema.h"

#include <chrono>
#include <functional>

#include "generate/constrain/grammar_test_support.h"

namespace fettle {
namespace {

using test::fits;
using test::refusal;
using test::schema;

std::string refused(std::string_view text) {
  return refusal([&] { schema(text); });
}

struct Case {
  const char* schema;
  std::vector<const char*> good, bad;
};
void check(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const Grammar grammar = schema(one.schema);
    for (const char* text : one.good) EXPECT_TRUE(fits(grammar, text)) << one.schema << "\n" << text;
    for (const char* text : one.bad) EXPECT_FALSE(fits(grammar, text)) << one.schema << "\n" << text;
  }
}

TEST(JsonSchema, AnyObjectIsValidJsonAndNothingElseIs) {
  check({{R"({"type":"object"})",
          {"{}", R"({"a": 1, "b": [true, null, -0.5e+3], "c": {"d": "é\n\u00e9"}})", R"({"a":{"b":{}}})",
           " {}"},
          {"[]", "1", "{a:1}", R"({"a":01})", R"({"a":1,})", R"({"a" 1})", "{\"a\":\"\n\"}", R"({"a":"\x"})",
           "{\"a\":\"\xff\"}", R"({"a":1}})", R"({"a":"\ud800"})", R"({"a":.5})"}}});
  EXPECT_TRUE(test::read(test::any_object(), R"({"a": [1, {"b)").beginning);
}

TEST(JsonSchema, ObjectsAndTheirProperties) {
  check({
      {R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0}},"required":["name","age"],"additionalProperties":false})",
       {R"({"name": "Ann", "age": 7})"},
       {R"({"name":"Ann"})", R"({"age":7,"name":"Ann"})", R"({"name":"Ann","age":-7})",
        R"({"name":"Ann","age":7.5})", R"({"name":"Ann","age":7,"x":1})"}},
      // Optional properties first: the comma belongs to whichever comes second.
      {R"({"properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"required":["b"]})",
       {R"({"b":null})", R"({"a":null,"b":null})", R"({"b":null,"c":null})"},
       {"{}", R"({,"b":null})", R"({"a":null})", R"({"a":null "b":null})"}},
      {R"({"type":"object","properties":{}})", {"{}", "{ }"}, {R"({"a":1})"}},
      {R"({"type":"object","properties":{"a":{"const":1}},"additionalProperties":{"type":"boolean"},"minProperties":2,"maxProperties":3})",
       {R"({"a":1,"b":true})", R"({"x":false,"y":true})", R"({"a":1,"b":true,"ab":false})"},
       {R"({"a":1})", R"({"a":true,"b":true})", R"({"a":1,"a":true})", R"({"a":1,"b":2})",
        R"({"a":1,"b":true,"c":true,"d":true})"}},
      {R"({"type":"object","properties":{"a":{"const":1}},"additionalProperties":true})",
       {R"({"a":1,"b":[{}]})", "{}"},
       {R"({"a":2})"}},
      {R"({"type":"object","patternProperties":{"^x-":{"type":"integer"}},"additionalProperties":false})",
       {R"({"x-a":1,"x-b":2})"},
       {R"({"y":1})", R"({"x-a":true})"}},
      {R"({"type":"object","propertyNames":{"pattern":"^[a-z]{2}$"},"additionalProperties":{"type":"integer"}})",
       {R"({"ab":1})"},
       {R"({"abc":1})"}},
      {R"({"type":"object","properties":{"a":{"const":1}},"required":["a","q"]})",
       {R"({"a":1,"q":[2]})"},
       {R"({"a":1})"}},
      {R"({"type":"object","properties":{"a":false,"b":{"const":1}}})", {R"({"b":1})", "{}"}, {R"({"a":1})"}},
  });
}

TEST(JsonSchema, StringsNumbersAndArrays) {
  check({
      {R"({"type":["string","null"],"minLength":2,"maxLength":3})",
       {R"("éé")", "null", R"("\u00e9a")"},
       {R"("abcd")", R"("a")"}},
      {R"({"type":"string","pattern":"^[a-c\"\\n]+$","maxLength":3})",
       {R"("ab\"")", R"("a\nb")"},
       {R"("abca")", R"("")", R"("\u0061")"}},
      {R"({"type":"string","format":"date","minLength":3})", {R"("2024-02-29")"}, {R"("2023-02-29")"}},
      {R"({"type":"string","format":"cuid2","pattern":"^[a-z]{2}$"})", {R"("ab")"}, {R"("abc")"}},
      {R"({"type":"integer","minimum":-3,"exclusiveMaximum":12})",
       {"-3", "0", "11"},
       {"-4", "12", "-0", "1.0", "1e1", "007"}},
      {R"({"type":"integer","minimum":1,"exclusiveMinimum":true})", {"2"}, {"1"}},
      {R"({"type":"number","minimum":0.25,"maximum":1})",
       {"0.25", "0.99", "1", "1.00"},
       {"0.249", "1.01", "0", "2", "-0.5"}},
      {R"({"type":"number","exclusiveMinimum":-2.5,"maximum":-0.125})",
       {"-2.49", "-0.125", "-1"},
       {"-2.5", "0", "-0.1", "-3"}},
      {R"({"type":"integer","multipleOf":7,"minimum":-20,"maximum":20})",
       {"-14", "0", "7"},
       {"8", "21", "-21"}},
      {R"({"type":"number","multipleOf":0.25,"maximum":2,"minimum":0})",
       {"0.75", "1.5", "2"},
       {"0.3", "2.25"}},
      {R"({"type":"integer","format":"int8"})", {"127", "-128"}, {"128", "-129"}},
      {R"({"type":"array","items":{"enum":["a","b"]},"minItems":1,"maxItems":2})",
       {R"(["a"])", R"(["b", "a"])"},
       {"[]", R"(["a","b","a"])", R"(["c"])"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"minItems":2})",
       {"[1,true]"},
       {"[1]", "[1,true,2]", "[true,1]"}},
      {R"({"type":"array","items":[{"const":1}],"additionalItems":{"type":"null"}})",
       {"[1,null,null]", "[]"},
       {"[1,2]", "[null]"}},
      {R"({"type":"array","items":{"enum":["a","b","c"]},"uniqueItems":true,"minItems":2})",
       {R"(["c","a"])"},
       {R"(["a","a"])", R"(["a"])"}},
      {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
  });
}

TEST(JsonSchema, JoinedChosenAndReferred) {
  check({
      {R"({"anyOf":[{"type":"null"},{"const":{"x":[1,"é"]}}]})", {R"({"x":[1,"é"]})", "null"}, {"{}"}},
      {R"({"enum":[1,"a",null,true,{"b":[]}],"type":["integer","string","object"]})",
       {"1", R"("a")", R"({"b":[]})"},
       {"null", "true"}},
      {R"({"type":"integer","nullable":true})", {"null", "7"}, {R"("")"}},
      {R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"null"}},"required":["b"]}]})",
       {R"({"a":1,"b":null})"},
       {R"({"a":1})", R"({"b":null,"a":1})"}},
      {R"({"allOf":[{"type":"string","pattern":"^a"},{"pattern":"z$","maxLength":3}]})",
       {R"("az")", R"("abz")"},
       {R"("abbz")", R"("zz")"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"anyOf":[{"required":["a"]},{"required":["b"]}]})",
       {R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
       {"{}"}},
      {R"({"oneOf":[{"properties":{"t":{"const":"a"},"x":{"type":"integer"}},"required":["t"]},{"properties":{"t":{"const":"b"}},"required":["t"]}]})",
       {R"({"t":"a","x":1})", R"({"t":"b"})"},
       {R"({"t":"b","x":1})"}},
      {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"type":"number"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})",
       {R"({"v":1,"next":{"v":2.5,"next":null}})"},
       {R"({"v":1,"next":{"v":2}})"}},
      {R"({"definitions":{"L<T>":{"type":"boolean"},"a/b~c":{"type":"null"}},"properties":{"x":{"$ref":"#/definitions/L%3CT%3E"},"y":{"$ref":"#/definitions/a~1b~0c"}},"required":["x","y"]})",
       {R"({"x":true,"y":null})"},
       {R"({"x":null,"y":null})"}},
      {R"({"$id":"urn:me","$defs":{"n":{"minimum":0}},"properties":{"a":{"$ref":"urn:me#/$defs/n","maximum":3,"description":"few","x-note":1}},"required":["a"]})",
       {R"({"a":3})"},
       {R"({"a":4})", R"({"a":-1})"}},
  });
}

TEST(JsonSchema, RefusalsNameThePlace) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {R"({"properties":{"a":{"type":"string","patern":"a"}}})",
       "schema #/properties/a: the keyword 'patern' is not supported; did you mean 'pattern'?"},
      {R"({"properties":{"a":{"if":{}}}})", "schema #/properties/a: the keyword 'if'"},
      {R"({"properties":{"a/b":{"pattern":"(?<=x)y"}}})", "schema #/properties/a~1b/pattern: the pattern"},
      {R"({"items":{"format":"phone"}})", "schema #/items/format: the format 'phone'"},
      {R"({"$ref":"#/nowhere"})", "schema #/$ref: '#/nowhere' leads nowhere"},
      {R"({"$ref":"https://example.org/s"})", "only places inside this schema"},
      {R"({"$ref":"#"})", "leads to itself"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "leads to itself"},
      {R"({"type":"text"})", "\"text\" is none of"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "maxLength 2 is below minLength 3"},
      {R"({"type":"integer","multipleOf":0})", "must be above 0"},
      {R"({"type":"array","items":{"type":"string"},"uniqueItems":true})", "schema #/uniqueItems"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "alternatives 0 and 1"},
      {R"({"properties":{"a":{"type":"integer","minimum":3,"maximum":2}},"required":["a"]})",
       "schema #/properties/a: no value"},
      {R"({"type":"object","properties":{"me":{"$ref":"#"}},"required":["me"]})", "no value that ends"},
      {R"({"type":"string","pattern":"^(ab)*$","minLength":3,"maxLength":3})", "no value"},
      {R"({"not":{}})", "no value"},
      {R"(false)", "no value"},
      {R"(7)", "must be an object"},
  };
  for (const auto& [text, why] : cases) {
    const std::string message = refused(text);
    EXPECT_NE(message.find(why), std::string::npos) << text << "\n" << message;
  }
}

/// Whatever is drawn is an instance, and nothing that is drawn runs into a dead end.
TEST(JsonSchema, DrawnTextsAreInstances) {
  struct Drawn {
    const char* schema;
    std::function<bool(const Json&)> good;
  };
  const std::vector<Drawn> cases{
      {R"({"type":"number","minimum":-1.5,"exclusiveMaximum":20.25})",
       [](const Json& x) { return x >= -1.5 && x < 20.25; }},
      {R"({"type":"integer","minimum":98,"maximum":1002,"multipleOf":3})",
       [](const Json& x) { return x >= 98 && x <= 1002 && x.get<int>() % 3 == 0; }},
      {R"({"type":"string","pattern":"^[^a]{1,}\\d$","maxLength":6})",
       [](const Json& x) {
         const auto text = x.get<std::string>();
         return text.size() >= 2 && text.find('a') == std::string::npos &&
                std::isdigit(static_cast<unsigned char>(text.back())) != 0;
       }},
      {R"({"type":"object","properties":{"d":{"type":"string","format":"date-time"},"l":{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":3}},
           "required":["l"],"additionalProperties":{"type":"integer"},"maxProperties":3})",
       [](const Json& x) {
         if (x.size() > 3 || !x.contains("l") || x["l"].size() < 2 || x["l"].size() > 3) return false;
         for (const auto& [key, value] : x.items()) {
           if (key != "d" && key != "l" && !value.is_number_integer()) return false;
         }
         return !x.contains("d") || x["d"].get<std::string>().find('T') == 10;
       }},
      {R"({"$defs":{"t":{"type":"object","properties":{"v":{"enum":[1,2]},"c":{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":2}},"required":["v"]}},"$ref":"#/$defs/t"})",
       [](const Json& x) { return x.at("v") == 1 || x.at("v") == 2; }},
  };
  for (const Drawn& one : cases) {
    GrammarAutomaton automaton(schema(one.schema));
    int ended = 0;
    for (uint64_t seed = 0; seed < 30; ++seed) {
      const std::string text = test::draw(automaton, seed);
      if (text.empty()) continue;
      ++ended;
      const Json value = Json::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << text;
      EXPECT_TRUE(one.good(value)) << one.schema << "\n" << text;
    }
    EXPECT_GE(ended, 15) << one.schema;
  }
}

/// 2 KB that would take years if every path through them were written out.
TEST(JsonSchema, NestedReferencesCostWhatTheyAreLong) {
  for (const char* key : {"anyOf", "allOf", "properties"}) {
    OrderedJson defs = OrderedJson::object();
    for (int i = 0; i < 30; ++i) {
      const OrderedJson next{{"$ref", fmt::format("#/$defs/a{}", i + 1)}};
      const bool object = std::string_view(key) == "properties";
      defs[fmt::format("a{}", i)] = {
          {key, object ? OrderedJson{{"x", next}, {"y", next}} : OrderedJson::array({next, next})}};
    }
    defs["a30"] = {{"type", "null"}};
    const auto begin = std::chrono::steady_clock::now();
    try {
      GrammarAutomaton automaton(json_schema_grammar({{"$ref", "#/$defs/a0"}, {"$defs", defs}}));
      automaton.next(automaton.start(), 'n');
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find("too large"), std::string_view::npos) << error.what();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << key;
  }
}

TEST(JsonSchema, CallsOfFunctions) {
  CallGrammar calls;
  calls.functions = {
      {"<f>", OrderedJson::parse(R"({"properties":{"x":{"type":"integer"}},"required":["x"]})"), "f"},
      {"<g>", {{"const", 1}}, "g"}};
  calls.between = "\n";
  calls.tail = ";";
  EXPECT_TRUE(fits(call_grammar(calls), R"(<f>{"x":1};)"));
  EXPECT_FALSE(fits(call_grammar(calls), "<g>1;\n<g>1;"));
  EXPECT_FALSE(fits(call_grammar(calls), ""));
  calls.several = true;
  EXPECT_TRUE(fits(call_grammar(calls), "<g>1;\n<f>{\"x\":2};"));
  calls.text = complement(containing("<"));
  EXPECT_TRUE(fits(call_grammar(calls), "No."));
  EXPECT_FALSE(fits(call_grammar(calls), "Well <g>1;"));
  calls.text_before = true;
  EXPECT_TRUE(fits(call_grammar(calls), "Well <g>1;"));
  EXPECT_FALSE(fits(call_grammar(calls), "Well <g>2;"));
  calls.functions[1].schema = {{"type", "x"}};
  EXPECT_NE(refusal([&] { call_grammar(calls); }).find("the parameters of 'g': schema #/type"),
            std::string::npos);
}

}  // namespace
}  // namespace fettle
