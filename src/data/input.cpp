#include "data/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fettle::data {

using Fill = std::function<size_t(char*, size_t)>;

/// Turns compressed bytes, asked of `fill`, into plain ones.
struct ByteInput::Codec {
  virtual ~Codec() = default;
  /// 0 at the end; fills `problem` when the data are damaged or cut.
  virtual size_t read(char* to, size_t size, const Fill& fill, std::string& problem) = 0;
};

namespace {

constexpr size_t compressed_chunk = size_t{1} << 18;

class Gzip : public ByteInput::Codec {
 public:
  Gzip() : buffer_(compressed_chunk) {
    // 15 bits of window, + 16: a gzip header is expected.
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw Error(Error::Kind::io, "zlib cannot be started");
  }
  ~Gzip() override { inflateEnd(&stream_); }

  size_t read(char* to, size_t size, const Fill& fill, std::string& problem) override {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(size, size_t{1} << 30));
    const uInt wanted = stream_.avail_out;
    while (!done_ && stream_.avail_out == wanted) {
      if (stream_.avail_in == 0 && !refill(fill)) {
        if (!between_members_) problem = "the gzip data end in the middle";
        done_ = true;
        break;
      }
      if (between_members_ && *stream_.next_in == 0) {  // padding after the last member
        ++stream_.next_in;
        --stream_.avail_in;
        continue;
      }
      step(problem);
    }
    return wanted - stream_.avail_out;
  }

 private:
  bool refill(const Fill& fill) {
    const size_t got = fill(buffer_.data(), buffer_.size());
    stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
    stream_.avail_in = static_cast<uInt>(got);
    return got > 0;
  }
  void step(std::string& problem) {
    between_members_ = false;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      between_members_ = true;
      inflateReset(&stream_);
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      problem =
          std::string("the gzip data are damaged (") + (stream_.msg ? stream_.msg : "no reason given") + ")";
      done_ = true;
    }
  }

  z_stream stream_{};
  std::vector<char> buffer_;
  bool between_members_ = true, done_ = false;
};

class Zstd : public ByteInput::Codec {
 public:
  Zstd() : stream_(ZSTD_createDStream()), buffer_(compressed_chunk) {
    if (stream_ == nullptr) throw Error(Error::Kind::io, "zstd cannot be started");
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  size_t read(char* to, size_t size, const Fill& fill, std::string& problem) override {
    ZSTD_outBuffer out{to, size, 0};
    while (!done_ && out.pos == 0) {
      if (in_.pos == in_.size && !flushing_) {
        in_ = {buffer_.data(), fill(buffer_.data(), buffer_.size()), 0};
        if (in_.size == 0) {
          if (in_frame_) problem = "the zstd data end in the middle";
          done_ = true;
          break;
        }
      }
      const size_t status = ZSTD_decompressStream(stream_, &out, &in_);
      if (ZSTD_isError(status)) {
        problem = std::string("the zstd data are damaged (") + ZSTD_getErrorName(status) + ")";
        done_ = true;
      }
      in_frame_ = status != 0;
      flushing_ = status != 0 && out.pos == out.size;  // more may wait inside although all input was taken
    }
    return out.pos;
  }

 private:
  ZSTD_DStream* stream_;
  std::vector<char> buffer_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool in_frame_ = false, flushing_ = false, done_ = false;
};

}  // namespace

ByteInput::ByteInput(const std::string& path) : path_(path) {
  descriptor_ = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail_io(path, "cannot open");
  struct stat status {};
  if (::fstat(descriptor_, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(descriptor_);
    fail(path, "is a folder, a file was expected");
  }
  head_.resize(4);
  size_t got = 0;
  while (got < head_.size()) {
    const size_t more = read_file(head_.data() + got, head_.size() - got);
    if (more == 0) break;
    got += more;
  }
  head_.resize(got);
  const std::string_view head(head_);
  if (head.substr(0, 2) == "\x1f\x8b") {
    compression_ = "gzip";
    codec_ = std::make_unique<Gzip>();
  } else if (head == "\x28\xb5\x2f\xfd") {
    compression_ = "zstd";
    codec_ = std::make_unique<Zstd>();
  }
}

ByteInput::~ByteInput() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

size_t ByteInput::read_file(char* to, size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, to, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) fail_io(path_, "cannot read");
  }
}

size_t ByteInput::read(char* to, size_t size) {
  const Fill fill = [this](char* at, size_t room) {
    if (head_used_ < head_.size()) {
      const size_t count = std::min(room, head_.size() - head_used_);
      std::memcpy(at, head_.data() + head_used_, count);
      head_used_ += count;
      return count;
    }
    return read_file(at, room);
  };
  return codec_ ? codec_->read(to, size, fill, problem_) : fill(to, size);
}

}  // namespace fettle::data
