// One class for each compression library.
#include <brotli/decode.h>
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "data/compression/decompress.h"

namespace fettle::data {
namespace {

[[noreturn]] void cannot_start(const char* library) {
  throw Error(Error::Kind::io, std::string(library) + " cannot be started: is there no memory left?");
}

/// No fault of the data: whoever reads on must not take this for their end.
[[noreturn]] void no_memory(const char* library) {
  throw Error(Error::Kind::io, fmt::format("out of memory: {} has none left to unpack the data", library));
}

/// zlib and bzip2 count in 32 bits.
unsigned bounded(size_t size) {
  return static_cast<unsigned>(std::min<size_t>(size, size_t{1} << 30));
}

class Inflate : public Decompressor {
 public:
  Inflate(Compression compression, Fill fill)
      : Decompressor(compression, std::move(fill)), raw_(compression == Compression::deflate) {
    const int bits = compression == Compression::gzip ? 15 + 16 : raw_ ? -15 : 15;
    if (inflateInit2(&stream_, bits) != Z_OK) cannot_start("zlib");
  }
  ~Inflate() override { inflateEnd(&stream_); }

 protected:
  Status step(Step& step) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(step.in));
    stream_.next_out = reinterpret_cast<Bytef*>(step.out);
    const unsigned in = bounded(step.in_size), out = bounded(step.out_size);
    stream_.avail_in = in;
    stream_.avail_out = out;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    step.in += in - stream_.avail_in;
    step.in_size -= in - stream_.avail_in;
    step.out += out - stream_.avail_out;
    step.out_size -= out - stream_.avail_out;
    if (status == Z_STREAM_END) {
      inflateReset(&stream_);
      return Status::frame_end;
    }
    if (status == Z_OK || status == Z_BUF_ERROR) return Status::going;
    if (status == Z_MEM_ERROR) no_memory("zlib");
    step.damage = stream_.msg != nullptr ? stream_.msg : "no reason given";
    return Status::damaged;
  }

 private:
  z_stream stream_{};
  bool raw_;
};

class Zstd : public Decompressor {
 public:
  explicit Zstd(Fill fill) : Decompressor(Compression::zstd, std::move(fill)), stream_(ZSTD_createDCtx()) {
    if (stream_ == nullptr) cannot_start("zstd");
    // `zstd --long=31` writes windows of 2 GiB, the largest there are. Memory is touched only as far as it is
    // filled.
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, sizeof(size_t) == 8 ? 31 : 30);
    begin();
  }
  ~Zstd() override { ZSTD_freeDCtx(stream_); }

 protected:
  Status step(Step& step) override {
    ZSTD_inBuffer in{step.in, step.in_size, 0};
    ZSTD_outBuffer out{step.out, step.out_size, 0};
    const size_t status = dictionary_problem_.empty() ? ZSTD_decompressStream(stream_, &out, &in) : 0;
    step.in += in.pos;
    step.in_size -= in.pos;
    step.out += out.pos;
    step.out_size -= out.pos;
    if (!dictionary_problem_.empty()) {
      step.damage = dictionary_problem_;
      return Status::damaged;
    }
    if (!ZSTD_isError(status)) return status == 0 ? Status::frame_end : Status::going;
    const ZSTD_ErrorCode code = ZSTD_getErrorCode(status);
    if (code == ZSTD_error_memory_allocation) no_memory("zstd");  // its window takes up to 2 GiB
    step.damage = code == ZSTD_error_dictionary_wrong ? "they need a dictionary that the file does not hold"
                                                      : ZSTD_getErrorName(status);
    return Status::damaged;
  }

 private:
  size_t fill_whole(char* to, size_t size) {
    size_t got = 0;
    while (got < size) {
      const size_t more = fill(to + got, size - got);
      if (more == 0) break;
      got += more;
    }
    return got;
  }
  /// The dictionary that the file begins with (iipc.github.io/warc-specifications, "Zstandard compression").
  void begin() {
    constexpr size_t head_size = 8, largest_dictionary = size_t{64} << 20;
    std::string head(head_size, '\0');
    head.resize(fill_whole(head.data(), head_size));
    uint32_t size = 0;
    if (head.size() == head_size) std::memcpy(&size, head.data() + 4, sizeof size);
    if (!head.starts_with("\x5d\x2a\x4d\x18") || size > largest_dictionary) return unread(head);
    std::string dictionary;
    while (dictionary.size() < size) {  // in steps: the size may be a lie
      const size_t before = dictionary.size(), piece = std::min<size_t>(size - before, size_t{1} << 20);
      dictionary.resize(before + piece);
      dictionary.resize(before + fill_whole(dictionary.data() + before, piece));
      if (dictionary.size() < before + piece) break;
    }
    if (dictionary.size() < size) {
      dictionary_problem_ = "they end inside their dictionary";
      return unread({"\0", 1});
    }
    std::string plain, problem;
    if (compression_of(dictionary) == Compression::zstd) {
      if (!decompress(Compression::zstd, dictionary, largest_dictionary, plain, problem)) {
        dictionary_problem_ = "their dictionary cannot be unpacked: " + problem;
        return unread({"\0", 1});
      }
      dictionary = std::move(plain);
    }
    const size_t loaded = ZSTD_DCtx_loadDictionary(stream_, dictionary.data(), dictionary.size());
    if (ZSTD_getErrorCode(loaded) == ZSTD_error_memory_allocation) no_memory("zstd");
    if (ZSTD_isError(loaded)) {
      dictionary_problem_ = "their dictionary is none";
      return unread({"\0", 1});
    }
  }

  ZSTD_DCtx* stream_;
  std::string dictionary_problem_;
};

class Xz : public Decompressor {
 public:
  Xz(Compression compression, Fill fill)
      : Decompressor(compression, std::move(fill)), alone_(compression == Compression::lzma) {
    start();
  }
  ~Xz() override { lzma_end(&stream_); }

 protected:
  Status step(Step& step) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(step.in);
    stream_.avail_in = step.in_size;
    stream_.next_out = reinterpret_cast<uint8_t*>(step.out);
    stream_.avail_out = step.out_size;
    const lzma_ret status = lzma_code(&stream_, LZMA_RUN);
    step.in += step.in_size - stream_.avail_in;
    step.in_size = stream_.avail_in;
    step.out += step.out_size - stream_.avail_out;
    step.out_size = stream_.avail_out;
    if (status == LZMA_STREAM_END) {
      start();
      return Status::frame_end;
    }
    if (status == LZMA_OK || status == LZMA_BUF_ERROR) return Status::going;
    if (status == LZMA_MEM_ERROR) no_memory("liblzma");
    step.damage =
        status == LZMA_FORMAT_ERROR    ? "a stream should begin here"
        : status == LZMA_OPTIONS_ERROR ? "they use a filter that liblzma does not know"
        : status == LZMA_MEMLIMIT_ERROR
            ? "unpacking takes " + std::to_string(lzma_memusage(&stream_) >> 20) + " MiB, more than 2 GiB"
            : "they do not fit their check sums";
    return Status::damaged;
  }

 private:
  void start() {
    constexpr uint64_t most_memory = uint64_t{2} << 30;
    const lzma_ret status =
        alone_ ? lzma_alone_decoder(&stream_, most_memory) : lzma_stream_decoder(&stream_, most_memory, 0);
    if (status != LZMA_OK) cannot_start("liblzma");
  }
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool alone_;
};

class Bzip2 : public Decompressor {
 public:
  explicit Bzip2(Fill fill) : Decompressor(Compression::bzip2, std::move(fill)) { start(); }
  ~Bzip2() override { BZ2_bzDecompressEnd(&stream_); }

 protected:
  Status step(Step& step) override {
    const unsigned in = bounded(step.in_size), out = bounded(step.out_size);
    stream_.next_in = const_cast<char*>(step.in);
    stream_.avail_in = in;
    stream_.next_out = step.out;
    stream_.avail_out = out;
    const int status = BZ2_bzDecompress(&stream_);
    step.in += in - stream_.avail_in;
    step.in_size -= in - stream_.avail_in;
    step.out += out - stream_.avail_out;
    step.out_size -= out - stream_.avail_out;
    if (status == BZ_STREAM_END) {
      BZ2_bzDecompressEnd(&stream_);
      start();
      return Status::frame_end;
    }
    if (status == BZ_OK) return Status::going;
    if (status == BZ_MEM_ERROR) no_memory("libbz2");
    step.damage =
        status == BZ_DATA_ERROR_MAGIC ? "a stream should begin here" : "they do not fit their check sums";
    return Status::damaged;
  }

 private:
  void start() {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) cannot_start("libbz2");
  }
  bz_stream stream_{};
};

class Lz4 : public Decompressor {
 public:
  explicit Lz4(Fill fill) : Decompressor(Compression::lz4, std::move(fill)) {
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION))) cannot_start("liblz4");
  }
  ~Lz4() override { LZ4F_freeDecompressionContext(context_); }

 protected:
  Status step(Step& step) override {
    size_t in = step.in_size, out = step.out_size;
    const size_t status = LZ4F_decompress(context_, step.out, &out, step.in, &in, nullptr);
    if (LZ4F_isError(status)) {
      if (std::strcmp(LZ4F_getErrorName(status), "ERROR_allocation_failed") == 0) no_memory("liblz4");
      step.damage = LZ4F_getErrorName(status);
      return Status::damaged;
    }
    step.in += in;
    step.in_size -= in;
    step.out += out;
    step.out_size -= out;
    return status == 0 ? Status::frame_end : Status::going;
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

class Brotli : public Decompressor {
 public:
  explicit Brotli(Fill fill)
      : Decompressor(Compression::brotli, std::move(fill)),
        state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) cannot_start("brotli");
  }
  ~Brotli() override { BrotliDecoderDestroyInstance(state_); }

 protected:
  Status step(Step& step) override {
    if (ended_) {
      step.damage = "other data follow";
      return Status::damaged;
    }
    const auto* in = reinterpret_cast<const uint8_t*>(step.in);
    auto* out = reinterpret_cast<uint8_t*>(step.out);
    const auto status =
        BrotliDecoderDecompressStream(state_, &step.in_size, &in, &step.out_size, &out, nullptr);
    step.in = reinterpret_cast<const char*>(in);
    step.out = reinterpret_cast<char*>(out);
    if (status == BROTLI_DECODER_RESULT_SUCCESS) {
      ended_ = true;
      return Status::frame_end;
    }
    if (status != BROTLI_DECODER_RESULT_ERROR) return Status::going;
    const auto code = BrotliDecoderGetErrorCode(state_);
    // The codes for lack of memory stand together, behind those for broken data.
    if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES) no_memory("brotli");
    step.damage = BrotliDecoderErrorString(code);
    return Status::damaged;
  }

 private:
  BrotliDecoderState* state_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> Decompressor::make(Compression compression, Fill fill) {
  switch (compression) {
    case Compression::gzip:
    case Compression::zlib:
    case Compression::deflate:
      return std::make_unique<Inflate>(compression, std::move(fill));
    case Compression::zstd:
      return std::make_unique<Zstd>(std::move(fill));
    case Compression::xz:
    case Compression::lzma:
      return std::make_unique<Xz>(compression, std::move(fill));
    case Compression::bzip2:
      return std::make_unique<Bzip2>(std::move(fill));
    case Compression::lz4:
      return std::make_unique<Lz4>(std::move(fill));
    case Compression::brotli:
      return std::make_unique<Brotli>(std::move(fill));
    case Compression::none:
      break;
  }
  FETTLE_CHECK(false);
  return nullptr;
}

}  // namespace fettle::data
