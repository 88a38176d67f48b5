#include "data/files/writer.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "data/files/reader.h"
#include "data/parquet/writer.h"

namespace fettle::data {

struct RowWriter::Impl {
  enum class Compression { none, gzip, zstd };
  explicit Impl(const fs::path& target) : path(target) {
    std::string name = path.string();
    if (name.ends_with(".parquet")) {
      parquet = std::make_unique<ParquetRows>(path);
      return;
    }
    if (name.ends_with(".gz")) compression = Compression::gzip;
    if (name.ends_with(".zst")) compression = Compression::zstd;
    if (compression != Compression::none) name.resize(name.rfind('.'));
    array = name.ends_with(".json");
    file = std::make_unique<AtomicFile>(path);
    if (compression == Compression::gzip &&
        deflateInit2(&gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw Error(Error::Kind::io, "zlib cannot be started: is there no memory left?");
    }
    if (compression == Compression::zstd) zstd = ZSTD_createCStream();
    if (array) put("[\n");
  }
  ~Impl() {
    if (compression == Compression::gzip) deflateEnd(&gzip);
    ZSTD_freeCStream(zstd);
  }

  void out(const char* data, size_t size) { file->write(data, size); }
  void put(std::string_view text) {
    if (compression == Compression::none) return file->write(text);  // which gathers too
    pending += text;
    if (pending.size() >= size_t{1} << 18) flush(false);
  }
  void flush(bool end) {
    compression == Compression::gzip ? flush_gzip(end) : flush_zstd(end);
    pending.clear();
  }
  void flush_gzip(bool end) {
    char room[1 << 16];
    gzip.next_in = reinterpret_cast<Bytef*>(pending.data());
    gzip.avail_in = static_cast<uInt>(pending.size());
    do {
      gzip.next_out = reinterpret_cast<Bytef*>(room);
      gzip.avail_out = sizeof room;
      deflate(&gzip, end ? Z_FINISH : Z_NO_FLUSH);
      out(room, sizeof room - gzip.avail_out);
    } while (gzip.avail_out == 0);
  }
  void flush_zstd(bool end) {
    char room[1 << 16];
    ZSTD_inBuffer in{pending.data(), pending.size(), 0};
    size_t left = 0;
    do {
      ZSTD_outBuffer to{room, sizeof room, 0};
      left = ZSTD_compressStream2(zstd, &to, &in, end ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) fail(path.string(), "zstd cannot compress: {}", ZSTD_getErrorName(left));
      out(room, to.pos);
    } while (end ? left != 0 : in.pos < in.size);
  }

  fs::path path;
  std::unique_ptr<ParquetRows> parquet;
  std::unique_ptr<AtomicFile> file;
  Compression compression = Compression::none;
  bool array = false, first = true;
  std::string pending;
  z_stream gzip{};
  ZSTD_CStream* zstd = nullptr;
};

RowWriter::RowWriter(const fs::path& path) : impl_(std::make_unique<Impl>(path)) {}
RowWriter::~RowWriter() = default;

void RowWriter::write_text(std::string_view json_text) {
  if (impl_->parquet) return impl_->parquet->add(json_text);
  if (impl_->array && !impl_->first) impl_->put(",\n");
  impl_->first = false;
  impl_->put(json_text);
  if (!impl_->array) impl_->put("\n");
}

void RowWriter::write(const OrderedJson& value) {
  write_text(dump_json(value));
}

void RowWriter::commit() {
  if (impl_->parquet) return impl_->parquet->commit();
  if (impl_->array) impl_->put(impl_->first ? "]\n" : "\n]\n");
  if (impl_->compression != Impl::Compression::none) impl_->flush(true);
  impl_->file->commit();
}

}  // namespace fettle::data
