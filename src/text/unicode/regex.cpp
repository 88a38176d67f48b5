#include "text/unicode/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>

#include "base/error.h"
#include "text/unicode/unicode.h"

namespace fettle {

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

namespace {

struct MatchContext {
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 64 << 20, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  MatchContext() {
    uint32_t has_jit = 0;
    pcre2_config(PCRE2_CONFIG_JIT, &has_jit);
    if (context == nullptr || (stack == nullptr && has_jit != 0)) {
      pcre2_match_context_free(context);
      pcre2_jit_stack_free(stack);
      throw std::bad_alloc();
    }
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchContext() {
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

Regex::Regex(std::string_view pattern, std::string_view where)
    : code_(std::make_unique<Code>()), pattern_(pattern), where_(where) {
  // The patterns were written for Oniguruma's Ruby syntax, where ^ and $ mean lines. Its class intersections
  // compile in PCRE2 too, as something else.
  if (pattern.find("&&[") != std::string_view::npos) {
    fail(where, "pattern '{}' intersects character classes (&&), which PCRE2 does not know", pattern);
  }
  int error = 0;
  size_t offset = 0;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  if (context == nullptr) throw std::bad_alloc();
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern_.data()), pattern_.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                              &offset, context);
  pcre2_compile_context_free(context);
  if (code_->code == nullptr) {
    if (error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
    fail(where, "pattern '{}' is not valid at offset {}: {}", pattern.substr(0, 200), offset,
         error_text(error));
  }
  // Without a JIT for this machine the interpreter gives the same matches, only slower.
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;

void Regex::each(std::string_view text, const std::function<void(size_t, size_t)>& found) const {
  thread_local MatchContext match_context;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (data == nullptr) throw std::bad_alloc();
  const size_t* bounds = pcre2_get_ovector_pointer(data.get());
  size_t last_end = std::string_view::npos;
  for (size_t at = 0; at <= text.size();) {
    const int result = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                   PCRE2_NO_UTF_CHECK, data.get(), match_context.context);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();  // no fault of the text
    if (result < 0) {
      fail(where_, "pattern '{}' failed at byte {} of a text of {} bytes: {}", pattern_.substr(0, 200), at,
           text.size(), error_text(result));
    }
    // \K and lookbehinds can put the bounds before `at`.
    const size_t end = std::max(bounds[1], at), begin = std::clamp(bounds[0], at, end);
    if (begin != end || end != last_end) found(begin, end);
    last_end = at = end;
    if (begin == end) {
      if (at >= text.size()) return;
      at += unicode::length(text[at]);
    }
  }
}

}  // namespace fettle
