#pragma once
// Token strings and their ids, both ways. Immutable once built.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fettle {

class Vocabulary {
 public:
  /// `token` gets `id`. Ids may have gaps. False when the token or the id is taken by another.
  bool add(std::string_view token, int32_t id);
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }  ///< the highest id + 1
  size_t count() const { return ids_.size(); }
  /// "" where there is none.
  const std::string& token(int32_t id) const;
  std::optional<int32_t> id(std::string_view token) const;
  /// -1 when missing.
  int32_t find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
};

}  // namespace fettle
