#pragma once
// Hand-written matchers for the pre-tokenizer patterns that most published models use. Each gives exactly the
// matches of its regular expression (split_patterns_test.cpp compares them with PCRE2).
#include <string_view>
#include <vector>

#include "text/unicode/aligned_text.h"

namespace fettle {

/// Appends the matches inside text[span] (valid UTF-8), which together cover it; the span's end counts as the
/// text's.
using SplitMatcher = void (*)(std::string_view text, Span span, std::vector<Span>& out);

extern const std::string_view kGpt2Pattern;
extern const std::string_view kLlama3Pattern;
extern const std::string_view kQwen2Pattern;

/// The matcher of a published pattern, or nullptr.
SplitMatcher find_split_matcher(std::string_view pattern);

/// GPT-2's pattern on the texts between numeric characters, each of which stands alone: `Digits` (individual)
/// and then `ByteLevel`, as StarCoder and SmolLM do.
void split_gpt2_single_digits(std::string_view text, Span span, std::vector<Span>& out);

}  // namespace fettle
