#include "serve/http/fields.h"

#include <algorithm>
#include <cmath>

#include "base/ordered_json.h"

namespace fettle::serve {
namespace {

/// What a client may make of the memory that a body of the largest size turns into: some hundred bytes a value.
constexpr JsonBounds body_bounds{.values = 2'000'000};

}  // namespace

OrderedJson parse_body(std::string_view body) {
  try {
    OrderedJson parsed = parse_ordered_json(body, "body", body_bounds);
    if (!parsed.is_object()) fail("body", "expected a JSON object, got {}", parsed.type_name());
    return parsed;
  } catch (const Error& error) {
    throw ApiError(400, "invalid_json", "", error.what());
  }
}

std::optional<OrderedJson> parse_if_json(std::string_view text) {
  return ordered_json_or_none(text);
}

BodyFields::BodyFields(const OrderedJson& body, std::string path) : body_(body), path_(std::move(path)) {
  if (body_.is_object()) return;
  const std::string_view place = std::string_view(path_).substr(0, path_.empty() ? 0 : path_.size() - 1);
  fail_field(place, "must be an object, got {}", body_.type_name());
}

const OrderedJson* BodyFields::find(const char* name) {
  read_.insert(name);
  const auto found = body_.find(name);
  return found == body_.end() || found->is_null() ? nullptr : &*found;
}

bool BodyFields::boolean(const char* name, bool fallback) {
  const OrderedJson* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail_field(named(name), "must be true or false, got {}", value->type_name());
  return value->get<bool>();
}

double BodyFields::number(const char* name, double fallback, double low, double high) {
  const OrderedJson* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number()) fail_field(named(name), "must be a number, got {}", value->type_name());
  const auto number = value->get<double>();
  if (!(number >= low && number <= high))
    fail_field(named(name), "must be between {} and {}, got {}", low, high, number);
  return number;
}

int64_t BodyFields::integer(const char* name, int64_t fallback, int64_t low, int64_t high) {
  const OrderedJson* value = find(name);
  if (value == nullptr) return fallback;
  const bool whole = value->is_number_integer() ||
                     (value->is_number_float() && std::floor(value->get<double>()) == value->get<double>());
  if (!whole) fail_field(named(name), "must be a whole number, got {}", dump_json(*value).substr(0, 40));
  const auto number = value->get<double>();
  const bool beyond = value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX};
  const bool too_large = value->is_number_float() && std::abs(number) >= 9.2e18;
  if (beyond || too_large || number < static_cast<double>(low) || number > static_cast<double>(high))
    fail_field(named(name), "must be between {} and {}, got {}", low, high, dump_json(*value));
  return value->is_number_float() ? static_cast<int64_t>(number) : value->get<int64_t>();
}

std::string BodyFields::text(const char* name, const std::string& fallback) {
  const OrderedJson* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_string()) fail_field(named(name), "must be text, got {}", value->type_name());
  return value->get<std::string>();
}

std::string BodyFields::required_text(const char* name) {
  if (find(name) == nullptr) fail_field(named(name), "is missing");
  return text(name, "");
}

std::string BodyFields::choice(const char* name, const std::string& fallback,
                           std::initializer_list<std::string_view> values) {
  const std::string value = text(name, fallback);
  if (value != fallback && std::ranges::find(values, value) == values.end())
    fail_field(named(name), "must be one of {}, got '{}'", fmt::join(values, ", "), value.substr(0, 40));
  return value;
}

void BodyFields::ignore(std::initializer_list<const char*> names) {
  for (const char* name : names) find(name);
}

void BodyFields::only(const char* name, const OrderedJson& value) {
  const OrderedJson* found = find(name);
  if (found != nullptr && *found != value) {
    fail_unsupported(named(name), "is not supported here; leave it out (only {} would change nothing)",
                     dump_json(value));
  }
}

void BodyFields::finish() const {
  for (const auto& [name, value] : body_.items()) {
    if (value.is_null() || read_.contains(name)) continue;
    fail_unsupported(path_ + name.substr(0, 100),
                     "is not supported by this server; see docs/serve.md for the fields that are");
  }
}

}  // namespace fettle::serve
