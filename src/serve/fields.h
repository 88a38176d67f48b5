#pragma once
// Reads the fields of a request's JSON body, each with its range; whatever nobody read is refused by name.
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "serve/api_error.h"

namespace fettle::serve {

/// Parses a body: strict JSON, valid UTF-8, an object at the top. Throws ApiError 400 (invalid_json).
OrderedJson parse_body(std::string_view body);

/// Null counts as absent, as OpenAI's clients send it. Every getter throws ApiError 400 naming the field.
class Fields {
 public:
  explicit Fields(const OrderedJson& body) : body_(body) {}

  /// The value, or null when it is absent.
  const OrderedJson* find(const char* name);
  bool boolean(const char* name, bool fallback);
  double number(const char* name, double fallback, double low, double high);
  int64_t integer(const char* name, int64_t fallback, int64_t low, int64_t high);
  std::string text(const char* name, const std::string& fallback);
  std::string required_text(const char* name);
  /// A field whose only value that this server can honour is `value`.
  void only(const char* name, const OrderedJson& value);

  /// Throws for the first field that was not asked for.
  void finish() const;

 private:
  const OrderedJson& body_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace fettle::serve
