#pragma once
// A few fixed names and what each means, looked up whatever the case of ASCII letters, without a copy.
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle::data {

/// Names in small letters, each once; they must outlive the table. Rows are looked at key by key, so that a
/// general hash table, which reads every character twice, takes a good part of a pass over them. Thread-safe
/// once it is filled.
template <typename T>
class NameTable {
 public:
  NameTable() = default;
  NameTable(std::initializer_list<std::pair<std::string_view, T>> names) {
    for (const auto& [name, value] : names) add(name, value);
  }

  /// False when the name is there already. At most 255 names.
  bool add(std::string_view name, T value) {
    if (find(name) != nullptr || entries_.size() == slots_.size() / 4 - 1) return false;
    entries_.emplace_back(name, value);
    size_t at = slot_of(name);
    while (slots_[at] != 0) at = (at + 1) % slots_.size();
    slots_[at] = static_cast<uint8_t>(entries_.size());
    return true;
  }

  /// The name as it was added, and its value; null for other names.
  const std::pair<std::string_view, T>* find(std::string_view name) const {
    if (name.empty()) return nullptr;
    for (size_t at = slot_of(name); slots_[at] != 0; at = (at + 1) % slots_.size()) {
      const auto& entry = entries_[slots_[at] - size_t{1}];
      if (equal(name, entry.first)) return &entry;
    }
    return nullptr;
  }

 private:
  static char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; }
  static bool equal(std::string_view name, std::string_view known) {
    if (name.size() != known.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
      if (small(name[i]) != known[i]) return false;
    }
    return true;
  }
  /// By the length and three letters, which differ in most names.
  size_t slot_of(std::string_view name) const {
    const auto letter = [&](size_t at) {
      return static_cast<uint32_t>(static_cast<uint8_t>(small(name[at])));
    };
    const uint32_t hash = (letter(0) | letter(name.size() / 2) << 8U | letter(name.size() - 1) << 16) +
                          static_cast<uint32_t>(name.size()) * 0x1000193u;
    return (hash * 2654435761u) >> 22;
  }

  std::vector<std::pair<std::string_view, T>> entries_;
  std::array<uint8_t, 1024> slots_{};  ///< 1 + the entry's place; 0: free
};

}  // namespace fettle::data
