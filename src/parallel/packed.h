#pragma once
// Values as bytes between processes of one program on machines of one kind: no format that outlives a run.
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

namespace fettle::parallel {

class Packer {
 public:
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(std::string_view text) {
    put(static_cast<uint64_t>(text.size()));
    bytes_ += text;
  }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads in the order of writing, from bytes that outlive it. Bytes that end too soon are an Error(io).
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string get_text() { return std::string(get_view()); }
  std::string_view get_view() { return take(get<uint64_t>()); }
  bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view take(uint64_t size);

  std::string_view bytes_;
};

void put_counts(Packer& to, const std::map<std::string, int64_t>& counts);
std::map<std::string, int64_t> get_counts(Unpacker& from);

}  // namespace fettle::parallel
