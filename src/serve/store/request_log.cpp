#include "serve/store/request_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "base/open_file.h"

namespace fettle::serve {

struct RequestLog::Impl {
  explicit Impl(RequestLogOptions o) : options(std::move(o)) { open(); }
  ~Impl() {
    if (file >= 0) close(file);
  }

  void open() {
    file = open_retrying(options.path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0) fail_io(options.path.string(), "cannot open the request log");
    size = static_cast<int64_t>(lseek(file, 0, SEEK_END));
  }

  fs::path numbered(int number) const {
    return number == 0 ? options.path : fs::path(options.path.string() + "." + std::to_string(number));
  }

  void rotate() {
    close(file);
    file = -1;
    std::error_code ignored;
    fs::remove(numbered(options.count), ignored);
    for (int i = options.count; i-- > 0;) fs::rename(numbered(i), numbered(i + 1), ignored);
    if (options.count == 0) fs::remove(options.path, ignored);
    open();
  }

  void write(const std::string& line) {
    if (file < 0) open();
    if (size > 0 && size + static_cast<int64_t>(line.size()) > options.megabytes << 20) rotate();
    for (size_t at = 0; at < line.size();) {
      const ssize_t done = ::write(file, line.data() + at, line.size() - at);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) fail_io(options.path.string(), "cannot write the request log");
      at += static_cast<size_t>(done);
      size += done;
    }
  }

  RequestLogOptions options;
  std::mutex mutex;
  int file = -1;
  int64_t size = 0;
  bool said = false;
};

RequestLog::RequestLog(RequestLogOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
RequestLog::~RequestLog() = default;

void RequestLog::add(const Json& line) {
  std::lock_guard lock(impl_->mutex);
  try {
    impl_->write(dump_json(line) + "\n");
  } catch (const std::exception& error) {
    if (!std::exchange(impl_->said, true)) log_warning("{}", error.what());
  }
}

}  // namespace fettle::serve
