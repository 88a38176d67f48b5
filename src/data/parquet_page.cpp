#include "data/parquet_page.h"

#include <zlib.h>
#include <zstd.h>

#include <bit>
#include <cstring>

#include "base/error.h"

namespace fettle::data {
namespace {

constexpr int64_t largest_page = int64_t{1} << 30;

template <typename T>
T load(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

/// Snappy's raw format (google/snappy, format_description.txt).
std::string unsnappy(std::string_view in, int64_t size, std::string_view where) {
  const auto damaged = [&]() { fail(where, "a Parquet page's Snappy data are damaged"); };
  size_t at = 0;
  while (at < in.size() && static_cast<uint8_t>(in[at]) > 127) ++at;  // the length, which the header states too
  ++at;
  std::string out;
  out.reserve(static_cast<size_t>(std::min<int64_t>(size, static_cast<int64_t>(in.size()) * 32)));
  while (at < in.size()) {
    const auto tag = static_cast<uint8_t>(in[at++]);
    size_t length = size_t{tag} >> 2, bytes = 0, offset = 0;
    if ((tag & 3) == 0) {
      if (length >= 60) {
        bytes = length - 59;
        if (in.size() - at < bytes) damaged();
        length = 0;
        for (size_t i = 0; i < bytes; ++i) length |= size_t{static_cast<uint8_t>(in[at + i])} << (8 * i);
        at += bytes;
      }
      ++length;
      if (in.size() - at < length) damaged();
      out.append(in.substr(at, length));
      at += length;
    } else {
      bytes = (tag & 3) == 3 ? 4 : tag & 3;
      if (in.size() - at < bytes) damaged();
      for (size_t i = 0; i < bytes; ++i) offset |= size_t{static_cast<uint8_t>(in[at + i])} << (8 * i);
      at += bytes;
      if ((tag & 3) == 1) {
        offset |= (size_t{tag} >> 5) << 8;
        length = (length & 7) + 4;
      } else {
        ++length;
      }
      if (offset == 0 || offset > out.size()) damaged();
      if (offset >= length) {
        out.append(out, out.size() - offset, length);
      } else {
        for (size_t i = 0; i < length; ++i) out += out[out.size() - offset];
      }
    }
    if (out.size() > static_cast<size_t>(size)) damaged();
  }
  return out;
}

std::string gunzip(std::string_view in, int64_t size, std::string_view where) {
  // No deflate stream grows more than a thousandfold.
  if (size > static_cast<int64_t>(in.size()) * 1100 + 64) fail(where, "a Parquet page's gzip data are damaged");
  std::string out(static_cast<size_t>(size), '\0');
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 32) != Z_OK) throw Error(Error::Kind::io, "zlib cannot be started");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status != Z_STREAM_END) fail(where, "a Parquet page's gzip data are damaged");
  out.resize(stream.total_out);
  return out;
}

std::string unzstd(std::string_view in, int64_t size, std::string_view where) {
  const unsigned long long stated = ZSTD_getFrameContentSize(in.data(), in.size());
  const bool known = stated != ZSTD_CONTENTSIZE_UNKNOWN;
  if (known && stated != static_cast<unsigned long long>(size)) fail(where, "a Parquet page's zstd data are damaged");
  std::string out(static_cast<size_t>(size), '\0');
  const size_t got = ZSTD_decompress(out.data(), out.size(), in.data(), in.size());
  if (ZSTD_isError(got)) fail(where, "a Parquet page's zstd data are damaged ({})", ZSTD_getErrorName(got));
  out.resize(got);
  return out;
}

int width_of(int largest) {
  return std::bit_width(static_cast<unsigned>(largest));
}

}  // namespace

std::string parquet_uncompress(int codec, std::string_view bytes, int64_t size, std::string_view where) {
  if (size < 0 || size > largest_page) fail(where, "a Parquet page states a size of {} bytes", size);
  std::string out;
  if (codec == 0) {
    out = std::string(bytes);
  } else if (codec == 1) {
    out = unsnappy(bytes, size, where);
  } else if (codec == 2) {
    out = gunzip(bytes, size, where);
  } else if (codec == 6) {
    out = unzstd(bytes, size, where);
  } else {
    constexpr const char* names[] = {"", "", "", "LZO", "Brotli", "LZ4", "", "LZ4"};
    fail(where, "Parquet pages are compressed with {}; write it with zstd, snappy or gzip",
         codec > 0 && codec < 8 ? names[codec] : "an unknown codec");
  }
  if (static_cast<int64_t>(out.size()) != size) {
    fail(where, "a Parquet page should hold {} bytes, found {}", size, out.size());
  }
  return out;
}

std::string parquet_compress(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  if (ZSTD_isError(size)) throw Error(Error::Kind::io, std::string("zstd cannot compress: ") + ZSTD_getErrorName(size));
  out.resize(size);
  return out;
}

void RunDecoder::open_run(std::string_view where) {
  uint64_t head = 0;
  for (int shift = 0;; shift += 7) {
    if (bytes_.empty() || shift > 35) fail(where, "a Parquet page has fewer levels or indices than it states");
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    head |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) break;
  }
  packed_ = (head & 1) != 0;
  left_ = packed_ ? (head >> 1) * 8 : head >> 1;
  bits_ = 0;
  bit_count_ = 0;
  if (packed_) return;
  const auto size = static_cast<size_t>((width_ + 7) / 8);
  if (bytes_.size() < size) fail(where, "a Parquet page ends inside a run");
  value_ = 0;
  for (size_t i = 0; i < size; ++i) value_ |= static_cast<uint32_t>(static_cast<uint8_t>(bytes_[i])) << (8 * i);
  bytes_.remove_prefix(size);
}

uint32_t RunDecoder::next(std::string_view where) {
  if (width_ == 0) return 0;
  while (left_ == 0) open_run(where);
  --left_;
  if (!packed_) return value_;
  while (bit_count_ < width_) {
    if (bytes_.empty()) fail(where, "a Parquet page ends inside packed numbers");
    bits_ |= static_cast<uint64_t>(static_cast<uint8_t>(bytes_.front())) << bit_count_;
    bytes_.remove_prefix(1);
    bit_count_ += 8;
  }
  const auto value = static_cast<uint32_t>(bits_ & ((uint64_t{1} << width_) - 1));
  bits_ >>= width_;
  bit_count_ -= width_;
  if (left_ == 0) {  // the last group is filled up with bits that mean nothing
    bits_ = 0;
    bit_count_ = 0;
  }
  return value;
}

std::string encode_runs(const std::vector<uint8_t>& values, int width) {
  std::string out;
  const auto varint = [&](uint64_t value) {
    for (; value > 127; value >>= 7) out += static_cast<char>((value & 127) | 128);
    out += static_cast<char>(value);
  };
  const auto run_at = [&](size_t from) {
    size_t end = from;
    while (end < values.size() && values[end] == values[from]) ++end;
    return end - from;
  };
  for (size_t at = 0; at < values.size();) {
    const size_t run = run_at(at);
    if (run >= 8 || at + run == values.size()) {
      varint(run << 1);
      out += static_cast<char>(values[at]);
      at += run;
      continue;
    }
    // Groups of eight until a long run begins at a group's border.
    size_t end = at;
    while (end + 8 <= values.size() && run_at(end) < 8) end += 8;
    if (end == at) {  // fewer than eight are left
      for (; at < values.size(); ++at) {
        varint(1 << 1);
        out += static_cast<char>(values[at]);
      }
      break;
    }
    varint((((end - at) / 8) << 1) | 1);
    uint64_t bits = 0;
    int count = 0;
    for (; at < end; ++at) {
      bits |= static_cast<uint64_t>(values[at]) << count;
      for (count += width; count >= 8; count -= 8, bits >>= 8) out += static_cast<char>(bits & 255);
    }
  }
  return out;
}

std::string_view PlainDecoder::take(size_t count, std::string_view where) {
  if (bytes_.size() < count) fail(where, "a Parquet page has fewer values than it states");
  const auto taken = bytes_.substr(0, count);
  bytes_.remove_prefix(count);
  return taken;
}

ParquetValue PlainDecoder::next(std::string_view where) {
  ParquetValue value;
  switch (leaf_->type) {
    case ParquetType::boolean:
      if (bytes_.empty()) fail(where, "a Parquet page has fewer values than it states");
      value.integer = (static_cast<uint8_t>(bytes_.front()) >> bit_) & 1;
      if (++bit_ == 8) {
        bit_ = 0;
        bytes_.remove_prefix(1);
      }
      break;
    case ParquetType::int32:
      value.integer = load<int32_t>(take(4, where));
      break;
    case ParquetType::int64:
      value.integer = load<int64_t>(take(8, where));
      break;
    case ParquetType::float32:
      value.real = static_cast<double>(load<float>(take(4, where)));
      break;
    case ParquetType::float64:
      value.real = load<double>(take(8, where));
      break;
    case ParquetType::int96:
      value.bytes = take(12, where);
      break;
    case ParquetType::fixed:
      if (leaf_->type_length <= 0) fail(where, "column '{}' has values of {} bytes", leaf_->name, leaf_->type_length);
      value.bytes = take(static_cast<size_t>(leaf_->type_length), where);
      break;
    case ParquetType::bytes:
      value.bytes = take(load<uint32_t>(take(4, where)), where);
      break;
  }
  return value;
}

ColumnCursor::ColumnCursor(std::string_view file, const ParquetChunk& chunk, const ParquetNode& leaf,
                           std::string_view where)
    : leaf_(leaf), where_(where), codec_(chunk.codec), chunk_left_(chunk.values) {
  int64_t begin = chunk.data_at;
  if (chunk.dictionary_at > 0 && chunk.dictionary_at < begin) begin = chunk.dictionary_at;
  const auto size = static_cast<int64_t>(file.size());
  if (begin < 4 || chunk.bytes < 0 || begin > size || chunk.bytes > size - begin) {
    fail(where, "column '{}' should lie at byte {}, outside the file", leaf.name, begin);
  }
  rest_ = file.substr(static_cast<size_t>(begin), static_cast<size_t>(chunk.bytes));
}

void ColumnCursor::open_page() {
  const ParquetPage page = parquet_page(rest_, where_);
  if (page.compressed < 0 || static_cast<uint64_t>(page.compressed) > rest_.size()) {
    fail(where_, "a page of column '{}' reaches beyond its end", leaf_.name);
  }
  const auto body = rest_.substr(0, static_cast<size_t>(page.compressed));
  rest_.remove_prefix(body.size());
  if (page.kind == ParquetPage::dictionary) {
    dictionary_page_ = parquet_uncompress(codec_, body, page.uncompressed, where_);
    dictionary_.clear();
    if (leaf_.type == ParquetType::boolean) fail(where_, "column '{}' has a dictionary of booleans", leaf_.name);
    PlainDecoder plain(dictionary_page_, leaf_);
    while (!plain.at_end()) dictionary_.push_back(plain.next(where_));
  } else if (page.kind != ParquetPage::index) {
    open_data(page, body);
  }
}

void ColumnCursor::open_data(const ParquetPage& page, std::string_view body) {
  const int repetition_width = width_of(leaf_.repetition_level), definition_width = width_of(leaf_.definition);
  std::string_view values;
  if (page.kind == ParquetPage::data_v2) {
    const auto size = static_cast<int64_t>(body.size());
    const int64_t levels = page.repetition_bytes + page.definition_bytes;
    if (page.repetition_bytes < 0 || page.definition_bytes < 0 || page.repetition_bytes > size || levels > size ||
        levels > page.uncompressed) {
      fail(where_, "a page of column '{}' has levels that reach beyond its end", leaf_.name);
    }
    const auto r = static_cast<size_t>(page.repetition_bytes), d = static_cast<size_t>(page.definition_bytes);
    repetitions_ = RunDecoder(body.substr(0, r), repetition_width);
    definitions_ = RunDecoder(body.substr(r, d), definition_width);
    page_ = parquet_uncompress(page.is_compressed ? codec_ : 0, body.substr(r + d), page.uncompressed - levels, where_);
    values = page_;
  } else {
    page_ = parquet_uncompress(codec_, body, page.uncompressed, where_);
    values = page_;
    const auto levels = [&](int width, int encoding) {
      if (width == 0) return RunDecoder();
      if (encoding != 3) fail(where_, "column '{}' has levels in the old encoding {}", leaf_.name, encoding);
      if (values.size() < 4) fail(where_, "a page of column '{}' ends inside its levels", leaf_.name);
      const uint32_t size = load<uint32_t>(values);
      if (size > values.size() - 4) fail(where_, "a page of column '{}' ends inside its levels", leaf_.name);
      const RunDecoder decoder(values.substr(4, size), width);
      values.remove_prefix(size_t{4} + size);
      return decoder;
    };
    repetitions_ = levels(repetition_width, page.repetition_encoding);
    definitions_ = levels(definition_width, page.definition_encoding);
  }
  page_left_ = page.values;
  open_values(page.encoding, values);
}

void ColumnCursor::open_values(int encoding, std::string_view body) {
  if (encoding == 0) {
    values_ = Values::plain;
    plain_ = PlainDecoder(body, leaf_);
  } else if (encoding == 2 || encoding == 8) {
    values_ = Values::dictionary;
    const int width = body.empty() ? 0 : static_cast<uint8_t>(body.front());
    if (width > 32) fail(where_, "column '{}' has dictionary indices of {} bits", leaf_.name, width);
    indices_ = RunDecoder(body.substr(std::min<size_t>(1, body.size())), width);
  } else if (encoding == 3 && leaf_.type == ParquetType::boolean) {
    values_ = Values::runs;
    indices_ = RunDecoder(body.substr(std::min<size_t>(4, body.size())), 1);
  } else {
    constexpr const char* names[] = {"", "", "", "RLE", "BIT_PACKED", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY",
                                     "DELTA_BYTE_ARRAY", "", "BYTE_STREAM_SPLIT"};
    fail(where_, "column '{}' is encoded as {}; write it with plain or dictionary encoding", leaf_.name,
         encoding > 2 && encoding < 10 ? names[encoding] : "something unknown");
  }
}

void ColumnCursor::look() {
  if (looked_) return;
  looked_ = true;
  repetition_ = definition_ = 0;
  while (page_left_ <= 0 && chunk_left_ > 0 && !rest_.empty()) open_page();
  if (page_left_ <= 0 || chunk_left_ <= 0) {
    definition_ = -1;
    return;
  }
  if (leaf_.repetition_level > 0) repetition_ = static_cast<int>(repetitions_.next(where_));
  if (leaf_.definition > 0) definition_ = static_cast<int>(definitions_.next(where_));
}

int ColumnCursor::repetition() {
  look();
  return repetition_;
}

int ColumnCursor::definition() {
  look();
  if (definition_ < 0) fail(where_, "column '{}' has fewer values than the file has rows", leaf_.name);
  return definition_;
}

ParquetValue ColumnCursor::take() {
  const int definition = this->definition();
  looked_ = false;
  --page_left_;
  --chunk_left_;
  if (definition < leaf_.definition) return {};
  if (values_ == Values::plain) return plain_.next(where_);
  const uint32_t index = indices_.next(where_);
  if (values_ == Values::runs) return {static_cast<int64_t>(index), 0, {}};
  if (index >= dictionary_.size()) {
    fail(where_, "column '{}' refers to entry {} of a dictionary of {}", leaf_.name, index, dictionary_.size());
  }
  return dictionary_[index];
}

}  // namespace fettle::data
