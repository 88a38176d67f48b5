#pragma once
// What a client did wrong, in the shape that OpenAI's or Anthropic's clients read.
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace fettle::serve {

/// Whose clients read an error.
enum class ErrorShape : uint8_t { openai, anthropic };

/// Becomes {"error": {"message", "type", "param", "code"}} with `status`, or {"type": "error", "error": {"type",
/// "message"}}. param and code may be empty: null.
class ApiError : public Error {
 public:
  ApiError(int status, std::string code, std::string param, const std::string& message)
      : Error(message), status_(status), code_(std::move(code)), param_(std::move(param)) {}

  int status() const { return status_; }
  const std::string& code() const { return code_; }
  const std::string& param() const { return param_; }
  /// Seconds for a Retry-After header, 0: none.
  int retry_after() const { return status_ == 503 ? 1 : 0; }
  ApiError in_shape(ErrorShape shape) const {
    ApiError error = *this;
    error.shape_ = shape;
    return error;
  }
  Json body() const {
    if (shape_ == ErrorShape::anthropic)
      return {{"type", "error"}, {"error", {{"type", anthropic_type()}, {"message", what()}}}};
    const auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    const char* type = status_ >= 500 ? "server_error" : "invalid_request_error";
    return {{"error",
             {{"message", what()},
              {"type", type},
              {"param", text_or_null(param_)},
              {"code", text_or_null(code_)}}}};
  }

 private:
  const char* anthropic_type() const {
    switch (status_) {
      case 401:
        return "authentication_error";
      case 403:
        return "permission_error";
      case 404:
        return "not_found_error";
      case 413:
        return "request_too_large";
      case 503:
        return "overloaded_error";
      default:
        return status_ >= 500 ? "api_error" : "invalid_request_error";
    }
  }

  int status_;
  std::string code_, param_;
  ErrorShape shape_ = ErrorShape::openai;
};

/// 400 for one field: fail_field("top_p", "must be between 0 and 1, got {}", x).
template <typename... Args>
[[noreturn]] void fail_field(std::string_view field, fmt::format_string<Args...> format, Args&&... args) {
  throw ApiError(400, "invalid_value", std::string(field),
                 fmt::format("{}: {}", field, fmt::format(format, std::forward<Args>(args)...)));
}

/// 400 for a field that this server knows of and does not do.
template <typename... Args>
[[noreturn]] void fail_unsupported(std::string_view field, fmt::format_string<Args...> format,
                                   Args&&... args) {
  throw ApiError(400, "unsupported_field", std::string(field),
                 fmt::format("{}: {}", field, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace fettle::serve
