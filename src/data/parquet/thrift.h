#pragma once
// Thrift's compact protocol, as much of it as Parquet's metadata needs.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace fettle::data {

/// Reads from a view; what does not fit throws Error. Not thread-safe.
class ThriftReader {
 public:
  enum Type : uint8_t { yes = 1, no = 2, i8 = 3, i16 = 4, i32 = 5, i64 = 6, real = 7, binary = 8, list = 9, set = 10, map = 11, structure = 12 };

  ThriftReader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}
  size_t position() const { return at_; }

  uint8_t byte() {
    if (at_ >= bytes_.size()) fail(where_, "the Parquet metadata end in the middle");
    return static_cast<uint8_t>(bytes_[at_++]);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t next = byte();
      value |= static_cast<uint64_t>(next & 127) << shift;
      if (next < 128) return value;
    }
    fail(where_, "the Parquet metadata hold a number longer than 64 bits");
  }
  int64_t number() {
    const uint64_t value = varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  std::string_view text() {
    const uint64_t size = varint();
    if (size > bytes_.size() - at_) fail(where_, "the Parquet metadata end inside a text");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  /// field(id, type) must read the value or skip(type) it.
  template <typename Field>
  void fields(const Field& field) {
    const Deeper deeper(*this);
    int64_t id = 0;
    for (uint8_t head = byte(); head != 0; head = byte()) {
      id = head >> 4 == 0 ? number() : id + (head >> 4);
      field(id, static_cast<Type>(head & 15));
    }
  }
  /// item(type) for each; a list of structures calls fields() in it.
  template <typename Item>
  void items(const Item& item) {
    const Deeper deeper(*this);
    const uint8_t head = byte();
    const uint64_t count = head >> 4 == 15 ? varint() : head >> 4;
    if (count > bytes_.size()) fail(where_, "the Parquet metadata count more items than there are bytes");
    for (uint64_t i = 0; i < count; ++i) item(static_cast<Type>(head & 15));
  }
  void skip(Type type) {
    switch (type) {
      case yes:
      case no:
        return;
      case i8:
        byte();
        return;
      case i16:
      case i32:
      case i64:
        varint();
        return;
      case real:
        for (int i = 0; i < 8; ++i) byte();
        return;
      case binary:
        text();
        return;
      case list:
      case set:
        items([&](Type item) { item == yes || item == no ? void(byte()) : skip(item); });
        return;
      case structure:
        fields([&](int64_t, Type field) { skip(field); });
        return;
      case map:
        break;
    }
    fail(where_, "the Parquet metadata hold an unknown type {}", static_cast<int>(type));
  }

 private:
  struct Deeper {
    explicit Deeper(ThriftReader& owner) : reader(owner) {
      if (++reader.depth_ > 64) fail(reader.where_, "the Parquet metadata are nested too deeply");
    }
    ~Deeper() { --reader.depth_; }
    ThriftReader& reader;
  };
  std::string_view bytes_, where_;
  size_t at_ = 0;
  int depth_ = 0;
};

/// Appends to a string. Fields of a structure must come in rising order of their ids.
class ThriftWriter {
 public:
  std::string take() { return std::move(out_); }

  void begin() { ids_.push_back(0); }
  void end() {
    out_ += '\0';
    ids_.pop_back();
  }
  void field(int id, ThriftReader::Type type) {
    out_ += static_cast<char>(((id - ids_.back()) << 4) | type);
    ids_.back() = static_cast<char>(id);
  }
  void number(int id, int64_t value, ThriftReader::Type type = ThriftReader::i32) {
    field(id, type);
    put_number(value);
  }
  void text(int id, std::string_view value) {
    field(id, ThriftReader::binary);
    put_text(value);
  }
  void flag(int id, bool value) { field(id, value ? ThriftReader::yes : ThriftReader::no); }
  void list(int id, size_t count, ThriftReader::Type item) {
    field(id, ThriftReader::list);
    out_ += static_cast<char>((count < 15 ? count << 4 : size_t{0xF0}) | item);
    if (count >= 15) varint(count);
  }
  void put_number(int64_t value) {
    varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void put_text(std::string_view value) {
    varint(value.size());
    out_ += value;
  }

 private:
  void varint(uint64_t value) {
    for (; value > 127; value >>= 7) out_ += static_cast<char>((value & 127) | 128);
    out_ += static_cast<char>(value);
  }
  std::string out_, ids_;
};

}  // namespace fettle::data
