#include "data/parquet/values.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace fettle::data {
namespace {

}  // namespace

void RunDecoder::open_run(std::string_view where) {
  uint64_t head = 0;
  for (int shift = 0;; shift += 7) {
    if (bytes_.empty() || shift > 35)
      fail(where, "a Parquet page has fewer levels or indices than it states");
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
  for (size_t i = 0; i < size; ++i)
    value_ |= static_cast<uint32_t>(static_cast<uint8_t>(bytes_[i])) << (8 * i);
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
      value.integer = load_little<int32_t>(take(4, where));
      break;
    case ParquetType::int64:
      value.integer = load_little<int64_t>(take(8, where));
      break;
    case ParquetType::float32:
      value.real = static_cast<double>(load_little<float>(take(4, where)));
      break;
    case ParquetType::float64:
      value.real = load_little<double>(take(8, where));
      break;
    case ParquetType::int96:
      value.bytes = take(12, where);
      break;
    case ParquetType::fixed:
      if (leaf_->type_length <= 0)
        fail(where, "column '{}' has values of {} bytes", leaf_->name, leaf_->type_length);
      value.bytes = take(static_cast<size_t>(leaf_->type_length), where);
      break;
    case ParquetType::bytes:
      value.bytes = take(load_little<uint32_t>(take(4, where)), where);
      break;
  }
  return value;
}

DeltaDecoder::DeltaDecoder(std::string_view bytes, std::string_view where) : bytes_(bytes) {
  constexpr uint64_t largest_block = uint64_t{1} << 20;
  const uint64_t block = varint(where);
  miniblocks_ = varint(where);
  left_ = varint(where);
  const uint64_t first = varint(where);
  value_ = (first >> 1) ^ (~(first & 1) + 1);
  if (miniblocks_ == 0 || block == 0 || block > largest_block || block % miniblocks_ != 0 ||
      block / miniblocks_ % 8 != 0) {
    fail(where, "a Parquet page has delta blocks of {} numbers in {} parts", block, miniblocks_);
  }
  per_miniblock_ = block / miniblocks_;
  next_miniblock_ = miniblocks_;
}

uint64_t DeltaDecoder::varint(std::string_view where) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (bytes_.empty()) break;
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail(where, "a Parquet page ends inside a number");
}

void DeltaDecoder::open_block(std::string_view where) {
  const uint64_t least = varint(where);
  least_ = (least >> 1) ^ (~(least & 1) + 1);
  if (bytes_.size() < miniblocks_) fail(where, "a Parquet page ends inside a delta block");
  widths_ = bytes_.substr(0, miniblocks_);
  bytes_.remove_prefix(miniblocks_);
  next_miniblock_ = 0;
}

void DeltaDecoder::open_miniblock(std::string_view where) {
  if (next_miniblock_ == miniblocks_) open_block(where);
  width_ = static_cast<uint8_t>(widths_[next_miniblock_++]);
  if (width_ > 64) fail(where, "a Parquet page has differences of {} bits", width_);
  const size_t size = static_cast<size_t>(width_) * per_miniblock_ / 8;
  if (size > bytes_.size()) fail(where, "a Parquet page ends inside packed differences");
  packed_ = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  bit_ = 0;
  in_miniblock_ = per_miniblock_;
}

int64_t DeltaDecoder::next(std::string_view where) {
  if (left_ == 0) fail(where, "a Parquet page has fewer values than it states");
  --left_;
  if (first_) {
    first_ = false;
    return static_cast<int64_t>(value_);
  }
  if (in_miniblock_ == 0) open_miniblock(where);
  --in_miniblock_;
  uint64_t difference = 0;
  for (int have = 0; have < width_;) {  // byte by byte: a number may lie across nine of them
    const int some = std::min(8 - bit_, width_ - have);
    const uint64_t bits = (static_cast<uint8_t>(packed_.front()) >> bit_) & ((1u << some) - 1);
    difference |= bits << have;
    have += some;
    bit_ += some;
    if (bit_ == 8) {
      bit_ = 0;
      packed_.remove_prefix(1);
    }
  }
  value_ += least_ + difference;
  return static_cast<int64_t>(value_);
}

std::string_view DeltaDecoder::behind(std::string_view where) const {
  DeltaDecoder copy = *this;
  for (uint64_t left = left_ > 0 ? left_ - 1 : 0; left > 0; left -= std::min(left, per_miniblock_)) {
    copy.open_miniblock(where);
  }
  return copy.bytes_;
}

ValueDecoder::ValueDecoder(int encoding, std::string_view body, const ParquetNode& leaf,
                           std::string_view where)
    : encoding_(encoding), leaf_(&leaf), body_(body) {
  using T = ParquetType;
  const bool whole = leaf.type == T::int32 || leaf.type == T::int64;
  const bool fixed = leaf.type == T::fixed && leaf.type_length > 0;
  if (encoding == plain) {
    plain_ = PlainDecoder(body, leaf);
  } else if (encoding == runs && leaf.type == T::boolean) {
    runs_ = RunDecoder(body.substr(std::min<size_t>(4, body.size())), 1);
  } else if (encoding == delta && whole) {
    if (!body.empty()) numbers_ = DeltaDecoder(body, where);
  } else if (encoding == delta_length && leaf.type == T::bytes) {
    if (body.empty()) return;
    numbers_ = DeltaDecoder(body, where);
    body_ = numbers_.behind(where);
  } else if (encoding == delta_bytes && (leaf.type == T::bytes || fixed)) {
    if (body.empty()) return;
    prefixes_ = DeltaDecoder(body, where);
    numbers_ = DeltaDecoder(prefixes_.behind(where), where);
    body_ = numbers_.behind(where);
  } else if (encoding == split && (whole || fixed || leaf.type == T::float32 || leaf.type == T::float64)) {
    width_ = fixed                                              ? static_cast<size_t>(leaf.type_length)
             : leaf.type == T::int32 || leaf.type == T::float32 ? 4
                                                                : 8;
    count_ = body.size() / width_;
  } else {
    constexpr const char* names[] = {"",
                                     "",
                                     "",
                                     "RLE",
                                     "BIT_PACKED",
                                     "DELTA_BINARY_PACKED",
                                     "DELTA_LENGTH_BYTE_ARRAY",
                                     "DELTA_BYTE_ARRAY",
                                     "",
                                     "BYTE_STREAM_SPLIT"};
    fail(where, "column '{}' is encoded as {}, which does not fit its type", leaf.name,
         encoding > 2 && encoding < 10 ? names[encoding] : "something unknown");
  }
}

ParquetValue ValueDecoder::next_other(std::string_view where) {
  ParquetValue value;
  if (encoding_ == runs) {
    value.integer = runs_.next(where);
  } else if (encoding_ == delta) {
    value.integer = numbers_.next(where);
    if (leaf_->type == ParquetType::int32) value.integer = static_cast<int32_t>(value.integer);
  } else if (encoding_ == split) {
    value.bytes = rejoined(where);
    if (leaf_->type == ParquetType::fixed) return value;
    return PlainDecoder(value.bytes, *leaf_).next(where);
  } else {
    value.bytes = take_bytes(where);
    const bool fixed = leaf_->type == ParquetType::fixed;
    if (fixed && value.bytes.size() != static_cast<size_t>(leaf_->type_length)) {
      fail(where, "column '{}' has a value of {} bytes, expected {}", leaf_->name, value.bytes.size(),
           leaf_->type_length);
    }
  }
  return value;
}

std::string_view ValueDecoder::take_bytes(std::string_view where) {
  const auto size = static_cast<uint64_t>(numbers_.next(where));  // a negative one is too large
  if (size > body_.size()) fail(where, "column '{}' has a text that reaches beyond its page", leaf_->name);
  const auto taken = body_.substr(0, size);
  body_.remove_prefix(size);
  if (encoding_ == delta_length) return taken;
  const auto shared = static_cast<uint64_t>(prefixes_.next(where));
  if (shared > last_.size())
    fail(where, "column '{}' shares more with the value before than there is", leaf_->name);
  last_.resize(shared);
  last_ += taken;
  return last_;
}

/// Byte k of value i stands at k * count + i.
std::string_view ValueDecoder::rejoined(std::string_view where) {
  if (next_ == count_) fail(where, "a Parquet page has fewer values than it states");
  last_.resize(width_);
  for (size_t k = 0; k < width_; ++k) last_[k] = body_[k * count_ + next_];
  ++next_;
  return last_;
}

}  // namespace fettle::data
