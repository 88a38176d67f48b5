#include "generate/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace fettle {
namespace {

struct Outcome {
  std::string text, match;
  bool operator==(const Outcome&) const = default;
};

/// The rule itself, on the whole text: shortest beginning of the text that ends in a stop string.
Outcome plainly(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop) && stop.size() > best.size()) best = stop;
    }
    if (!best.empty()) return {text.substr(0, end - best.size()), best};
  }
  return {text, ""};
}

TEST(StopMatcher, TheSameHoweverTheTextIsCut) {
  const std::vector<std::vector<std::string>> sets{
      {"ab"}, {"abab", "b"}, {"aab", "ab"}, {"bbb", "bab", "aaaa"}, {""}, {}};
  Random random(1);
  for (int round = 0; round < 4000; ++round) {
    const auto& stops = sets[random.below(sets.size())];
    std::string text;
    for (uint64_t i = random.below(12); i > 0; --i) text.push_back(random.below(2) == 0 ? 'a' : 'b');
    std::vector<std::string> real;
    for (const auto& stop : stops) {
      if (!stop.empty()) real.push_back(stop);
    }
    const Outcome expected = plainly(text, real);
    StopMatcher matcher(stops);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t length = std::min<size_t>(1 + random.below(4), text.size() - at);
      out += matcher.push(text.substr(at, length));
      ASSERT_TRUE(expected.text.starts_with(out)) << text << ": let out too much";
      at += length;
    }
    if (!matcher.matched()) out += matcher.flush();
    EXPECT_EQ((Outcome{out, matcher.match()}), expected) << text;
  }
}

TEST(StopMatcher, HoldsBackNoMoreThanItMust) {
  StopMatcher matcher({"###", "\n\nUser:"});
  EXPECT_EQ(matcher.push("Hello #"), "Hello ");
  EXPECT_EQ(matcher.push("1\n"), "#1");
  EXPECT_EQ(matcher.push("\nUs"), "");
  EXPECT_EQ(matcher.push("ers"), "\n\nUsers");
  EXPECT_EQ(matcher.push("##"), "");
  EXPECT_EQ(matcher.push("# rest"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.match(), "###");
  EXPECT_EQ(matcher.push("more"), "");
}

}  // namespace
}  // namespace fettle
