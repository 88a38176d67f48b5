#include "text/tokenizer/vocabulary.h"

namespace fettle {

bool Vocabulary::add(std::string_view token, int32_t id) {
  if (id < 0) return false;
  const auto index = static_cast<size_t>(id);
  if (index < tokens_.size() && !tokens_[index].empty()) return false;
  if (!ids_.emplace(token, id).second) return false;
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = token;
  return true;
}

const std::string& Vocabulary::token(int32_t id) const {
  static const std::string none;
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : none;
}

std::optional<int32_t> Vocabulary::id(std::string_view token) const {
  const int32_t found = find(token);
  return found < 0 ? std::nullopt : std::optional(found);
}

}  // namespace fettle
