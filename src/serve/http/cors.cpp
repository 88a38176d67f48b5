#include "serve/http/cors.h"

#include <algorithm>

namespace fettle::serve {
namespace {

/// Names of headers between commas, and nothing else.
bool are_header_names(const std::string& text) {
  return std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == ',' || c == ' ';
  });
}

}  // namespace

bool is_preflight(const std::string& allowed, const RequestHead& head) {
  return !allowed.empty() && head.method == "OPTIONS" && !head.origin.empty() && !head.cors_method.empty();
}

Headers cors_headers(const std::string& allowed, const RequestHead& head) {
  Headers headers;
  if (allowed.empty()) return headers;
  const bool all = allowed == "*";
  // A cache must not give one origin what was said to another.
  if (!all) headers.emplace_back("Vary", "Origin");
  if (head.origin.empty() || (!all && head.origin != allowed)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", allowed);
  headers.emplace_back("Access-Control-Expose-Headers", "Retry-After");
  if (!is_preflight(allowed, head)) return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  // OpenAI's SDK sends a dozen headers of its own (x-stainless-…), and they change from version to version.
  const bool echo = !head.cors_headers.empty() && are_header_names(head.cors_headers);
  headers.emplace_back("Access-Control-Allow-Headers",
                       echo ? head.cors_headers : "Authorization, Content-Type, X-Api-Key");
  headers.emplace_back("Access-Control-Max-Age", "600");
  if (head.cors_private_network) headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  headers.emplace_back("Vary", "Access-Control-Request-Headers");
  return headers;
}

}  // namespace fettle::serve
