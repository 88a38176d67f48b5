#pragma once
// The one error type of fettle. Thread-safe: values only.
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle {

/// A broken input, file, request or machine. The message says where, what was expected, what was found, and what
/// to do. Below cli/ and serve/ nothing prints or exits: everything throws this. A broken invariant is an assertion
/// (FETTLE_CHECK), never an Error.
class Error : public std::runtime_error {
 public:
  enum class Kind {
    input,        ///< a file, row, key or request that is wrong: exit status 1
    usage,        ///< the call itself is wrong (a flag, a config key): exit status 2
    io,           ///< the machine refused: disk full, no permission, no network
    interrupted,  ///< a signal or a cancelled request; work so far is saved
  };
  Error(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  explicit Error(const std::string& message) : Error(Kind::input, message) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Throws Error(input). `where` is a file, `file:line`, or key; the rest is a fmt format:
/// fail("config.json", "hidden_size must be positive, got {}; is this a model folder?", n).
template <typename... Args>
[[noreturn]] void fail(std::string_view where, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format("{}: {}", where, fmt::format(format, std::forward<Args>(args)...)));
}

/// Throws Error(usage): the call is wrong.
template <typename... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(Error::Kind::usage, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws Error(io) with the text of errno appended.
[[noreturn]] void fail_io(std::string_view where, std::string_view what);

/// Aborts with file and line; for invariants, never for input.
[[noreturn]] void check_failed(const char* expression, const char* file, int line);

#define FETTLE_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::fettle::check_failed(#expression, __FILE__, __LINE__))

/// The candidate nearest to `word` by edit distance, or empty when none is near; for "did you mean".
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace fettle
