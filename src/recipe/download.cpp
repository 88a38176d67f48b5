#include "recipe/download.h"

#include <httplib.h>
#include <openssl/evp.h>

#include <fstream>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"

namespace fettle {
namespace {

struct Url {
  std::string base, path;
};

Url split_url(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) fail("download", "'{}' is no http address", url);
  const size_t slash = url.find('/', scheme + 3);
  if (slash == std::string::npos) return {url, "/"};
  return {url.substr(0, slash), url.substr(slash)};
}

httplib::Client make_client(const std::string& base) {
  httplib::Client client(base);
  client.set_connection_timeout(10);
  client.set_read_timeout(60);
  client.set_follow_location(false);
  return client;
}

[[noreturn]] void fail_http(const std::string& url, const std::string& why) {
  throw Error(Error::Kind::io, fmt::format("{}: {}", url, why));
}

std::string redirect_target(const std::string& url, const httplib::Response& response) {
  const std::string location = response.get_header_value("Location");
  if (location.empty()) fail_http(url, "redirects to nowhere");
  return location.front() == '/' ? split_url(url).base + location : location;
}

bool is_redirect(int status) { return status >= 300 && status < 400; }

constexpr int most_redirects = 8;

std::string git_blob_id(const fs::path& path) {
  const MappedFile file(path);
  const std::string head = fmt::format("blob {}", file.bytes().size());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha1(), nullptr);
  EVP_DigestUpdate(context, head.c_str(), head.size() + 1);
  EVP_DigestUpdate(context, file.bytes().data(), file.bytes().size());
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context, digest, &size);
  EVP_MD_CTX_free(context);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

/// Throws, and removes the file, when it is not what was promised.
void check_content(const fs::path& part, const DownloadOptions& options, const std::string& url) {
  std::string problem;
  const auto size = static_cast<int64_t>(fs::file_size(part));
  if (options.size >= 0 && size != options.size) {
    problem = fmt::format("{} bytes were expected, {} came", options.size, size);
  } else if (!options.sha256.empty() && sha256_file(part) != options.sha256) {
    problem = "the SHA-256 is not the published one";
  } else if (!options.git_blob_sha1.empty() && git_blob_id(part) != options.git_blob_sha1) {
    problem = "the content is not the published one";
  }
  if (problem.empty()) return;
  fs::remove(part);
  fail_http(url, problem + "; try again");
}

/// One GET that appends to `part`; returns the address to go on with, empty when the body came.
std::string fetch_into(const std::string& url, const fs::path& part, const httplib::Headers& headers, Progress& progress) {
  const Url place = split_url(url);
  auto client = make_client(place.base);
  std::ofstream out;
  int status = 0;
  std::string redirect;
  const auto result = client.Get(
      place.path, headers,
      [&](const httplib::Response& response) {
        status = response.status;
        if (is_redirect(status)) redirect = redirect_target(url, response);
        if (status == 200) out.open(part, std::ios::binary | std::ios::trunc);
        if (status == 206) out.open(part, std::ios::binary | std::ios::app);
        return true;
      },
      [&](const char* data, size_t size) {
        if (status != 200 && status != 206) return true;
        out.write(data, static_cast<std::streamsize>(size));
        progress.advance(size);
        return out.good() && !interrupted();
      });
  if (!redirect.empty()) return redirect;
  throw_if_interrupted();
  if (status == 416) return {};
  if (status != 0 && status != 200 && status != 206) fail_http(url, fmt::format("the server answered {}", status));
  if (out.is_open()) {
    out.close();
    if (!out) fail_io(part.string(), "cannot write");
  }
  if (!result) fail_http(url, fmt::format("no connection ({})", httplib::to_string(result.error())));
  return {};
}

}  // namespace

void download(const std::string& url, const fs::path& target, const DownloadOptions& options) {
  if (target.has_parent_path()) fs::create_directories(target.parent_path());
  const fs::path part = target.string() + ".part";
  const uint64_t have = fs::exists(part) ? fs::file_size(part) : 0;
  Progress progress("download " + target.filename().string(), options.size > 0 ? static_cast<uint64_t>(options.size) : 0, "B");
  progress.advance(have);
  std::string next = url;
  for (int hop = 0; !next.empty(); ++hop) {
    if (hop > most_redirects) fail_http(url, "redirects without an end");
    httplib::Headers headers;
    if (hop == 0) headers.insert(options.headers.begin(), options.headers.end());
    if (have > 0) headers.emplace("Range", fmt::format("bytes={}-", have));
    next = fetch_into(next, part, headers, progress);
  }
  if (!fs::exists(part)) std::ofstream(part).close();
  check_content(part, options, url);
  std::error_code code;
  fs::rename(part, target, code);
  if (code) fail(target.string(), "cannot rename into place: {}", code.message());
}

std::string http_get(const std::string& url, const std::map<std::string, std::string>& headers) {
  std::string next = url;
  for (int hop = 0; hop <= most_redirects; ++hop) {
    const Url place = split_url(next);
    auto client = make_client(place.base);
    httplib::Headers sent;
    if (hop == 0) sent.insert(headers.begin(), headers.end());
    const auto result = client.Get(place.path, sent);
    if (!result) fail_http(next, fmt::format("no connection ({})", httplib::to_string(result.error())));
    if (is_redirect(result->status)) {
      next = redirect_target(next, *result);
      continue;
    }
    if (result->status != 200) fail_http(next, fmt::format("the server answered {}", result->status));
    return result->body;
  }
  fail_http(url, "redirects without an end");
}

}  // namespace fettle
