#include "base/keys.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle {
namespace {

enum class Size { small, large };

struct Options {
  std::vector<std::string> inputs, names;
  std::string output = "-";
  int64_t turns = 3;
  double share = 0.5;
  uint64_t bytes = 1000;
  bool near = false, check = true;
  std::optional<float> heat;
  Size size = Size::small;
};

KeyTable<Options> table() {
  KeyTable<Options> keys;
  keys.add("input", "Files", [](auto& o) -> auto& { return o.inputs; }).input().required();
  keys.add("min_turns", "Turns", [](auto& o) -> auto& { return o.turns; }).at_least(1).alias("turns");
  keys.add("share", "A share", [](auto& o) -> auto& { return o.share; }).between(0, 1).only_with({"near"});
  keys.add("near", "Nearly", [](auto& o) -> auto& { return o.near; }).not_with({"names"});
  keys.add("names", "Names", [](auto& o) -> auto& { return o.names; }).listed();
  keys.add("check", "Check it", [](auto& o) -> auto& { return o.check; });
  keys.add("heat", "Heat", [](auto& o) -> auto& { return o.heat; }).by_default("the model's");
  keys.size("bytes", "Size", [](auto& o) -> auto& { return o.bytes; });
  keys.choice<Size>("size", "How large", {{"small", Size::small}, {"large", Size::large}}, [](auto& o) -> auto& { return o.size; });
  return keys;
}

Options read(const char* json, const KeyStyle& style = {}) {
  const auto keys = table();
  Options options;
  keys.read(KeyValues(keys.infos(), OrderedJson::parse(json), style), options);
  return options;
}

std::string problem(const char* json, const KeyStyle& style = {}) {
  try {
    read(json, style);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::usage);
    return error.what();
  }
  return "no error";
}

TEST(Keys, AreReadByTheTypesOfTheirMembers) {
  const Options options = read(R"({"input": "a", "turns": 2, "near": true, "share": 1, "heat": 0.25, "bytes": "2 kB", "check": false, "size": "large"})");
  EXPECT_EQ(options.inputs, std::vector<std::string>{"a"});
  EXPECT_EQ(options.turns, 2);
  EXPECT_EQ(options.share, 1.0);
  EXPECT_TRUE(options.near && !options.check);
  EXPECT_EQ(options.heat, 0.25F);
  EXPECT_EQ(options.bytes, 2000u);
  EXPECT_EQ(options.size, Size::large);
  EXPECT_EQ(read(R"({"input": "a", "bytes": "2g"})").bytes, 2000000000u);
  EXPECT_EQ(read(R"({"input": "a", "bytes": "1MiB"})").bytes, 1048576u);
  EXPECT_NE(problem(R"({"input": "a", "bytes": "2 parsecs"})").find("bytes: expected a number of bytes"), std::string::npos);
  const Options untouched = read(R"({"input": []})");
  EXPECT_EQ(untouched.turns, 3);
  EXPECT_FALSE(untouched.heat.has_value());
}

TEST(Keys, ErrorsNameTheKeyAsItWasWritten) {
  EXPECT_EQ(problem(R"({"inptu": 1})"), "there is no key 'inptu'; did you mean 'input'?");
  EXPECT_NE(problem(R"({"zzzzzzzz": 1})").find("it knows input, min_turns"), std::string::npos);
  EXPECT_EQ(problem(R"({"near": true})"), "input is missing: Files");
  EXPECT_EQ(problem(R"({"input": "a", "turns": "many"})"), "turns: expected a whole number, found 'many'");
  EXPECT_EQ(problem(R"({"input": "a", "min-turns": 0})"), "min-turns: expected a whole number from 1, found 0");
  EXPECT_EQ(problem(R"({"input": "a", "turns": 1, "min_turns": 1})"), "'min_turns' is given twice, once as 'min_turns'; keep one of them");
  EXPECT_EQ(problem(R"({"input": "a", "share": 0.5})"), "share has no effect without near (A share)");
  EXPECT_EQ(problem(R"({"input": "a", "near": true, "names": ["x"]})"), "near has no effect beside names");
  EXPECT_EQ(problem(R"({"input": "a", "near": true, "share": 1.5})"), "share: expected a number from 0 to 1, found 1.5");
  EXPECT_EQ(problem(R"({"input": "a", "size": "huge"})"), "size: expected small | large, found 'huge'");
  EXPECT_EQ(problem(R"({"input": "a", "share": 0.5})", {true, "look: "}), "look: --share has no effect without --near (A share)");
  EXPECT_EQ(problem(R"({"input": "a", "min_turns": 0})", {true, "look: "}), "look: --min-turns (--turns): expected a whole number from 1, found 0");
}

TEST(Keys, SayTheirFlagTypeAndDefault) {
  std::map<std::string, std::string> shown;
  const auto keys = table();
  for (const auto& key : keys.infos()) shown[key.name] = key.flag() + "; " + key.type_text() + "; " + key.default_text();
  EXPECT_EQ(shown["min_turns"], "--min-turns; whole number from 1; 3");
  EXPECT_EQ(shown["check"], "--no-check; true or false; true");
  EXPECT_EQ(shown["near"], "--near; true or false; ");
  EXPECT_EQ(shown["size"], "--size; small | large; small");
  EXPECT_EQ(shown["heat"], "--heat; number; the model's");
  EXPECT_EQ(shown["input"], "--input; paths; ");
  EXPECT_EQ(shown["bytes"], "--bytes; bytes, as 2GB; 1000");
}

}  // namespace
}  // namespace fettle
