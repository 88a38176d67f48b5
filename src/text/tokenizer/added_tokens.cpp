#include "text/tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/unicode/unicode.h"

namespace fettle {
namespace {

/// `\w` of the library that the reference uses, but for the few alphabetic symbols that are not letters.
bool is_word(char32_t code) {
  using namespace unicode;
  return (classes(code) & (kLetter | kNumber | kMark)) != 0 || code == '_' || code == 0x203f ||
         code == 0x2040 || code == 0x200c || code == 0x200d;
}

bool word_before(std::string_view text, size_t at) {
  if (at == 0) return false;
  size_t start = unicode::previous(text, at);
  return is_word(unicode::next(text, start));
}

bool word_behind(std::string_view text, size_t at) {
  return at < text.size() && is_word(unicode::next(text, at));
}

size_t spaces_before(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t start = unicode::previous(text, at);
    size_t position = start;
    if ((unicode::classes(unicode::next(text, position)) & unicode::kSpace) == 0) break;
    at = start;
  }
  return at;
}

size_t spaces_behind(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t position = at;
    if ((unicode::classes(unicode::next(text, position)) & unicode::kSpace) == 0) break;
    at = position;
  }
  return at;
}

}  // namespace

void TokenFinder::add(std::string_view content, const AddedToken& token) {
  if (content.empty()) return;
  uint32_t node = 0;
  for (const char c : content) {
    const auto byte = static_cast<uint8_t>(c);
    const auto [found, made] = nodes_[node].next.try_emplace(byte, static_cast<uint32_t>(nodes_.size()));
    node = found->second;
    if (made) nodes_.emplace_back();
  }
  bool& starts = starts_[static_cast<uint8_t>(content[0])];
  if (!std::exchange(starts, true)) distinct_starts_ += content[0];
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

const AddedToken* TokenFinder::longest(std::string_view text, size_t at, size_t& length) const {
  const AddedToken* found = nullptr;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto step = nodes_[node].next.find(static_cast<uint8_t>(text[i]));
    if (step == nodes_[node].next.end()) break;
    node = step->second;
    if (nodes_[node].token >= 0) {
      found = &tokens_[static_cast<size_t>(nodes_[node].token)];
      length = i + 1 - at;
    }
  }
  return found;
}

/// The first byte from `at` on with which a token begins; the text's size when there is none.
size_t TokenFinder::next_start(std::string_view text, size_t at) const {
  if (distinct_starts_.size() == 1) return std::min(text.find(distinct_starts_[0], at), text.size());
  while (at < text.size() && !starts_[static_cast<uint8_t>(text[at])]) ++at;
  return at;
}

std::vector<Fragment> TokenFinder::find(std::string_view text, const SpecialRule& rule) const {
  std::vector<Fragment> fragments;
  size_t done = 0;  // everything before is in `fragments`
  for (size_t at = 0; !tokens_.empty();) {
    at = next_start(text, at);
    if (at == text.size()) break;
    size_t length = 0;
    const AddedToken* token = longest(text, at, length);
    if (token == nullptr) {
      ++at;
      continue;
    }
    const size_t begin = at, end = at + length;
    at = end;
    if (token->special && rule) {
      const Allowed allowed = rule(static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
      if (allowed == Allowed::skip) at = begin + 1;
      if (allowed != Allowed::yes) continue;
    }
    if (token->single_word && (word_before(text, begin) || word_behind(text, end))) continue;
    const size_t from = std::max(token->lstrip ? spaces_before(text, begin) : begin, done);
    const size_t to = token->rstrip ? spaces_behind(text, end) : end;
    if (done < from) fragments.push_back({static_cast<uint32_t>(done), static_cast<uint32_t>(from), -1});
    fragments.push_back({static_cast<uint32_t>(from), static_cast<uint32_t>(to), token->id});
    done = to;
  }
  if (done < text.size()) {
    fragments.push_back({static_cast<uint32_t>(done), static_cast<uint32_t>(text.size()), -1});
  }
  return fragments;
}

void AddedTokens::add(AddedToken token, const std::function<std::string(const std::string&)>& normalize) {
  token.spelled = token.normalized && normalize ? normalize(token.content) : token.content;
  by_content_[token.content] = token.id;
  (token.normalized ? normalized_ : raw_).add(token.spelled, token);
  by_id_[token.id] = std::move(token);
}

const AddedToken* AddedTokens::by_id(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

const AddedToken* AddedTokens::by_content(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : by_id(found->second);
}

}  // namespace fettle
