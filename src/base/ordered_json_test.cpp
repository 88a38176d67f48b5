// The entrance for JSON of others: what it reads, what it refuses, and that it takes time as the text grows.
#include "base/ordered_json.h"

#include <gtest/gtest.h>

#include <ctime>

namespace fettle {
namespace {

std::string refusal_of(std::string_view text, JsonBounds bounds = {}) {
  try {
    return "read: " + dump_json(parse_ordered_json(text, "x.json", bounds));
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(OrderedJson, ReadsWhatTheLibraryReads) {
  for (const char* text :
       {R"({"b":1,"a":[true,false,null,-2,3.5,18446744073709551615,"é😀\n"],"":{}})", "[]", "{}", "\"x\"", "0", "null",
        R"([[[{"a":{"b":[1,2,{"c":[]}]}}]],1e300])", " [ 1 , 2 ] "})
    EXPECT_EQ(parse_ordered_json(text, "x"), OrderedJson::parse(text)) << text;
}

TEST(OrderedJson, OfAKeyThatStandsTwiceTheLastValueCounts) {
  EXPECT_EQ(dump_json(parse_ordered_json(R"({"a":1,"b":2,"a":{"c":3,"c":4},"d":5,"b":6})", "x")), R"({"a":{"c":4},"b":6,"d":5})");
}

TEST(OrderedJson, SaysWhereItsTextIsNone) {
  EXPECT_EQ(refusal_of("{\n\"a\": 1,\n}").find("x.json: not valid JSON (line 3, byte 11): "), 0U) << refusal_of("{\n\"a\": 1,\n}");
  for (const char* text : {"", "{", "[1,]", "nul", "\"\xff\"", "[1] 2", "1e999", "{\"a\" 1}"})
    EXPECT_EQ(refusal_of(text).find("x.json: not valid JSON"), 0U) << text << ": " << refusal_of(text);
}

TEST(OrderedJson, BoundsDepthAndNumber) {
  EXPECT_EQ(refusal_of(std::string(512, '[') + std::string(512, ']')).find("read"), 0U);
  EXPECT_NE(refusal_of(std::string(513, '[') + std::string(513, ']')).find("deeper than 512"), std::string::npos);
  for (const char* piece : {"[", "{\"a\":", "[{\"a\":["}) {
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += piece;
    EXPECT_NE(refusal_of(deep).find("deeper than 512"), std::string::npos) << piece;
    EXPECT_FALSE(ordered_json_or_none(deep)) << piece;
    EXPECT_FALSE(json_or_none(deep)) << piece;
  }
  EXPECT_EQ(refusal_of("[1,2,3]", {.values = 4}), "read: [1,2,3]");
  EXPECT_EQ(refusal_of("[1,2,3]", {.values = 3}), "x.json: more than 3 values");
}

TEST(OrderedJson, ManyKeysTakeNoLonger) {
  const auto seconds = [](int keys) {
    std::string text = "{";
    for (int i = 0; i < keys; ++i) text += fmt::format("{}\"k{}\":{}", i == 0 ? "" : ",", i, i);
    text += "}";
    const std::clock_t begin = std::clock();
    EXPECT_EQ(parse_ordered_json(text, "x").size(), static_cast<size_t>(keys));
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  seconds(1000);
  const double few = seconds(20000), many = seconds(320000);
  EXPECT_LT(many, 80 * few + 0.1) << "16 times as many keys took " << many / few << " times as long";
}

TEST(OrderedJson, AppendsWithoutLooking) {
  OrderedJson object;
  append_member(object, "b", 1);
  append_member(object, "a", OrderedJson::array({2}));
  EXPECT_EQ(dump_json(object), R"({"b":1,"a":[2]})");
}

}  // namespace
}  // namespace fettle
