// The hand-written matchers against PCRE2 on the published patterns.
#include "text/tokenizer/split_patterns.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"

namespace fettle {
namespace {

constexpr const char* kParts[] = {
    " ", "  ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u3000", "\u2028", "\u0085", "a", "B", "word", "é", "ß", "漢", "ǅ", "ʰ",
    "e\u0301", "\u0301", "1", "22", "٣", "½", "Ⅷ", "!", "?!", ".", "_", "$", "<|", "🙂", "\u200d", "'", "'s", "'S", "'t", "'re",
    "'Re", "'ll", "'LL", "'l", "'d", "'ſ", "'ve", "'V", "'m", "''", "ſ", "\x7f", "\ufffd"};

std::string random_text(Random& random) {
  std::string text;
  const size_t count = 1 + random.below(12);
  for (size_t i = 0; i < count; ++i) text += kParts[random.below(std::size(kParts))];
  return text.substr(0, unicode::valid_prefix(text));
}

std::string show(std::string_view text, const std::vector<Span>& spans) {
  std::string out;
  for (const Span& span : spans) out += fmt::format("[{}]", text.substr(span.begin, span.end - span.begin));
  return out;
}

std::vector<Span> by_regex(const Regex& regex, std::string_view text, Span span = {0, 0}) {
  if (span.end == 0) span.end = static_cast<uint32_t>(text.size());
  std::vector<Span> out;
  regex.each(text.substr(span.begin, span.end - span.begin), [&](size_t begin, size_t end) {
    out.push_back({span.begin + static_cast<uint32_t>(begin), span.begin + static_cast<uint32_t>(end)});
  });
  return out;
}

TEST(SplitPatterns, EqualPcre2) {
  Random random(7);
  for (const std::string_view pattern : {kGpt2Pattern, kLlama3Pattern, kQwen2Pattern}) {
    const SplitMatcher matcher = find_split_matcher(pattern);
    ASSERT_NE(matcher, nullptr);
    const Regex regex(pattern, "test");
    for (int i = 0; i < 20'000; ++i) {
      const std::string text = random_text(random);
      std::vector<Span> spans;
      matcher(text, {0, static_cast<uint32_t>(text.size())}, spans);
      ASSERT_EQ(show(text, spans), show(text, by_regex(regex, text))) << pattern;
    }
  }
  EXPECT_EQ(find_split_matcher(R"(\p{L}+)"), nullptr);
}

TEST(SplitPatterns, SingleDigitsEqualDigitsThenGpt2) {
  Random random(8);
  const Regex digits(R"(\p{N})", "test"), words(kGpt2Pattern, "test");
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(random);
    const auto size = static_cast<uint32_t>(text.size());
    std::vector<Span> expected, spans;
    const auto between = [&](uint32_t begin, uint32_t end) {
      if (begin == end) return;
      const auto found = by_regex(words, text, {begin, end});
      expected.insert(expected.end(), found.begin(), found.end());
    };
    uint32_t done = 0;
    for (const Span& digit : by_regex(digits, text)) {
      between(done, digit.begin);
      expected.push_back(digit);
      done = digit.end;
    }
    between(done, size);
    split_gpt2_single_digits(text, {0, size}, spans);
    ASSERT_EQ(show(text, spans), show(text, expected));
  }
}

}  // namespace
}  // namespace fettle
