#pragma once
// Reads the fields of a request's JSON body, each with its range; whatever nobody read is refused by name.
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "serve/http/api_error.h"

namespace fettle::serve {

/// Parses a body: strict JSON, valid UTF-8, an object at the top. Throws ApiError 400 (invalid_json).
OrderedJson parse_body(std::string_view body);

/// What is JSON within another text, under the same limits; none when it is no JSON or nested too deep.
std::optional<OrderedJson> parse_if_json(std::string_view text);

/// Null counts as absent, as OpenAI's clients send it. Every getter throws ApiError 400 naming the field.
class BodyFields {
 public:
  /// `body` is an object, or an ApiError says that it must be one. `path` stands before the names in errors,
  /// as in "input[2].".
  explicit BodyFields(const OrderedJson& body, std::string path = {});

  /// The value, or null when it is absent.
  const OrderedJson* find(const char* name);
  bool boolean(const char* name, bool fallback);
  double number(const char* name, double fallback, double low, double high);
  int64_t integer(const char* name, int64_t fallback, int64_t low, int64_t high);
  std::string text(const char* name, const std::string& fallback);
  std::string required_text(const char* name);
  /// A text that must be one of these, if it is there.
  std::string choice(const char* name, const std::string& fallback,
                     std::initializer_list<std::string_view> values);
  /// Fields that are accepted whatever they say, since they mean nothing here.
  void ignore(std::initializer_list<const char*> names);
  /// A field whose only value that this server can honour is `value`.
  void only(const char* name, const OrderedJson& value);

  /// Throws for the first field that was not asked for.
  void finish() const;

 private:
  /// The name with its path.
  std::string named(const char* name) const { return path_ + name; }

  const OrderedJson& body_;
  std::string path_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace fettle::serve
