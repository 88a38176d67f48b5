#include "serve/api/pages.h"

#include "base/hash.h"
#include "serve/api/server_state.h"

namespace fettle::serve {
namespace {

/// Nothing is loaded from elsewhere, nothing in a page's text runs.
constexpr const char* policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri "
    "'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const char* type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  if (name.ends_with(".json") || name.ends_with(".webmanifest")) return "application/json";
  if (name.ends_with(".png")) return "image/png";
  return "application/octet-stream";
}

std::string path_of(const EmbeddedFile& file) {
  return file.name == "index.html" ? "/" : "/" + std::string(file.name);
}

void send(const EmbeddedFile& file, const std::string& tag, HttpCall& call) {
  HttpResponse& response = call.response;
  response.set_header("Content-Security-Policy", policy);
  response.set_header("Referrer-Policy", "no-referrer");
  response.set_header("Cross-Origin-Opener-Policy", "same-origin");
  response.set_header("Cache-Control", "no-cache");
  response.set_header("ETag", tag);
  if (call.request.if_none_match == tag) {
    response.status = 304;
    return;
  }
  response.status = 200;
  response.set_content(std::string(file.bytes), type_of(file.name));
}

}  // namespace

bool is_page(const std::string& path) {
  for (const EmbeddedFile& file : page_files()) {
    if (path_of(file) == path) return true;
  }
  return false;
}

void add_page_routes(HttpServer& http) {
  for (const EmbeddedFile& file : page_files()) {
    const std::string tag = "\"" + hash_hex(file.bytes) + "\"";
    http.route("GET", path_of(file), [&file, tag](HttpCall& call) { send(file, tag, call); });
  }
}

}  // namespace fettle::serve
