#include "hub/download.h"

#include <fcntl.h>
#include <httplib.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/mapped_file.h"
#include "base/open_file.h"
#include "base/progress.h"

namespace fettle::hub {
namespace {

struct Url {
  std::string base, path;
};

Url split_url(const std::string& url) {
  const size_t scheme = url.find("://");
  if (!url.starts_with("http://") && !url.starts_with("https://")) fail("download", "'{}' is no http or https address", url);
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

}  // namespace

std::string redirect_target(const std::string& url, const std::string& location) {
  if (location.empty()) fail_http(url, "redirects to nowhere");
  const bool same_place = location.front() == '/' && !location.starts_with("//");
  const std::string target = same_place                     ? split_url(url).base + location
                             : location.starts_with("//") ? url.substr(0, url.find("//")) + location
                                                          : location;
  const bool is_https = target.starts_with("https://");
  if (!is_https && !target.starts_with("http://")) fail_http(url, fmt::format("redirects to '{}', which is no http or https address", target.substr(0, 200)));
  if (!is_https && url.starts_with("https://")) fail_http(url, fmt::format("redirects from https to '{}', which is not followed", target.substr(0, 200)));
  return target;
}

namespace {

bool is_redirect(int status) { return status >= 300 && status < 400; }

constexpr int most_redirects = 8;
constexpr size_t largest_answer = size_t{64} << 20;  ///< of the hub's listings, which take some kilobytes
constexpr int64_t largest_download = int64_t{1} << 44;

/// Bytes appended to a file, or written into it from its start.
class PartFile {
 public:
  explicit PartFile(fs::path path) : path_(std::move(path)) {}
  void open(bool append) {
    descriptor_ = Descriptor(open_retrying(path_, O_WRONLY | O_CREAT | O_NOFOLLOW | (append ? O_APPEND : O_TRUNC), 0644));
    if (descriptor_.get() < 0) fail_io(path_.string(), "cannot create");
    size_ = append ? static_cast<int64_t>(fs::file_size(path_)) : 0;
  }
  bool is_open() const { return descriptor_.get() >= 0; }
  int64_t size() const { return size_; }
  void write(const char* data, size_t size) {
    size_ += static_cast<int64_t>(size);
    while (size > 0) {
      const ssize_t written = ::write(descriptor_.get(), data, size);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_io(path_.string(), "cannot write");
      data += written;
      size -= static_cast<size_t>(written);
    }
  }

 private:
  fs::path path_;
  Descriptor descriptor_;
  int64_t size_ = 0;
};

std::string git_blob_id(const fs::path& path) {
  const MappedFile file(path);
  const std::string head = fmt::format("blob {}", file.bytes().size());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  if (context == nullptr) throw std::bad_alloc();
  EVP_DigestInit_ex(context, EVP_sha1(), nullptr);
  EVP_DigestUpdate(context, head.c_str(), head.size() + 1);
  EVP_DigestUpdate(context, file.bytes().data(), file.bytes().size());
  check_mapped(file);
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

/// One GET that appends to `part`, at most to `limit` bytes; returns the address to go on with, empty when the body came.
std::string fetch_into(const std::string& url, const fs::path& part, const httplib::Headers& headers, int64_t limit, Progress& progress) {
  const Url place = split_url(url);
  auto client = make_client(place.base);
  PartFile out(part);
  int status = 0;
  std::string redirect;
  std::exception_ptr problem;  // not thrown through the client
  const auto guarded = [&](const auto& act) {
    try {
      act();
    } catch (...) {
      problem = std::current_exception();
    }
    return problem == nullptr && !interrupted();
  };
  const auto result = client.Get(
      place.path, headers,
      [&](const httplib::Response& response) {
        status = response.status;
        return guarded([&] {
          if (is_redirect(status)) redirect = redirect_target(url, response.get_header_value("Location"));
          if (status == 200 || status == 206) out.open(status == 206);
        });
      },
      [&](const char* data, size_t size) {
        if (!out.is_open()) return false;  // of a redirect or an error nothing more is wanted
        return guarded([&] {
          if (out.size() + static_cast<int64_t>(size) > limit) {
            fs::remove(part);  // not to be gone on with
            fail_http(url, fmt::format("sends more than the {} bytes that it should have", limit));
          }
          out.write(data, size);
          progress.advance(size);
        });
      });
  if (problem) std::rethrow_exception(problem);
  if (!redirect.empty()) return redirect;
  throw_if_interrupted();
  if (status == 416) return {};
  if (status != 0 && status != 200 && status != 206) fail_http(url, fmt::format("the server answered {}", status));
  if (!result) fail_http(url, fmt::format("no connection ({})", httplib::to_string(result.error())));
  return {};
}

}  // namespace

void download(const std::string& url, const fs::path& target, const DownloadOptions& options) {
  make_folders(target.parent_path());
  const fs::path part = target.string() + ".part";
  const uint64_t have = fs::exists(part) ? fs::file_size(part) : 0;
  const int64_t limit = options.size >= 0 ? options.size : largest_download;
  Progress progress("download " + target.filename().string(), options.size > 0 ? static_cast<uint64_t>(options.size) : 0, "B");
  progress.advance(have);
  std::string next = url;
  for (int hop = 0; !next.empty(); ++hop) {
    if (hop > most_redirects) fail_http(url, "redirects without an end");
    httplib::Headers headers;
    if (hop == 0) headers.insert(options.headers.begin(), options.headers.end());
    if (have > 0) headers.emplace("Range", fmt::format("bytes={}-", have));
    next = fetch_into(next, part, headers, limit, progress);
  }
  if (!fs::exists(part)) PartFile(part).open(false);
  check_content(part, options, url);
  const Descriptor whole = open_regular(part);
  if (!flush_retrying(whole.get())) fail_io(part.string(), "cannot flush to the disk");
  if (::rename(part.c_str(), target.c_str()) != 0) fail_io(target.string(), "cannot rename into place");
}

std::string http_get(const std::string& url, const std::map<std::string, std::string>& headers) {
  std::string next = url;
  for (int hop = 0; hop <= most_redirects; ++hop) {
    const Url place = split_url(next);
    auto client = make_client(place.base);
    httplib::Headers sent;
    if (hop == 0) sent.insert(headers.begin(), headers.end());
    std::string body;
    bool too_long = false;
    const auto result = client.Get(place.path, sent, [&](const char* data, size_t size) {
      too_long = body.size() + size > largest_answer;
      if (!too_long) body.append(data, size);
      return !too_long && !interrupted();
    });
    throw_if_interrupted();
    if (too_long) fail_http(next, fmt::format("answers with more than {} bytes", largest_answer));
    if (!result) fail_http(next, fmt::format("no connection ({})", httplib::to_string(result.error())));
    if (is_redirect(result->status)) {
      next = redirect_target(next, result->get_header_value("Location"));
      continue;
    }
    if (result->status != 200) fail_http(next, fmt::format("the server answered {}", result->status));
    return body;
  }
  fail_http(url, "redirects without an end");
}

}  // namespace fettle::hub
