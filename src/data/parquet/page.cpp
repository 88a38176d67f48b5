#include "data/parquet/page.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "data/parquet/codec.h"

namespace fettle::data {
namespace {

int width_of(int largest) {
  return std::bit_width(static_cast<unsigned>(largest));
}

}  // namespace

ColumnCursor::ColumnCursor(std::string_view file, const ParquetChunk& chunk, const ParquetNode& leaf,
                           std::string_view where)
    : leaf_(leaf), where_(where), codec_(chunk.codec), chunk_left_(chunk.values) {
  if (chunk.encrypted) fail(where, "column '{}' is encrypted, which fettle cannot read", leaf.name);
  if (chunk.elsewhere) fail(where, "column '{}' lies in another file, which fettle does not follow", leaf.name);
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
      if (encoding != 3) fail(where_, "column '{}' has levels in the old encoding {}", leaf_.name,
                              encoding == 4 ? "BIT_PACKED" : std::to_string(encoding));
      if (values.size() < 4) fail(where_, "a page of column '{}' ends inside its levels", leaf_.name);
      const uint32_t size = load_little<uint32_t>(values);
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
  is_dictionary_ = encoding == 2 || encoding == 8;
  if (!is_dictionary_) {
    values_ = ValueDecoder(encoding, body, leaf_, where_);
    return;
  }
  const int width = body.empty() ? 0 : static_cast<uint8_t>(body.front());
  if (width > 32) fail(where_, "column '{}' has dictionary indices of {} bits", leaf_.name, width);
  indices_ = RunDecoder(body.substr(std::min<size_t>(1, body.size())), width);
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
  if (!is_dictionary_) return values_.next(where_);
  const uint32_t index = indices_.next(where_);
  if (index >= dictionary_.size()) {
    fail(where_, "column '{}' refers to entry {} of a dictionary of {}", leaf_.name, index, dictionary_.size());
  }
  return dictionary_[index];
}

}  // namespace fettle::data
