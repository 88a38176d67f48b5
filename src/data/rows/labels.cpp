#include "data/rows/labels.h"

#include <algorithm>
#include <string>
#include <unordered_map>

namespace fettle::data {

std::optional<bool> label_of(const OrderedJson& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) {
    if (value == 1) return true;
    if (value == 0 || value == -1) return false;
    return std::nullopt;
  }
  if (!value.is_string()) return std::nullopt;
  static const std::unordered_map<std::string, bool> words{{"true", true},
                                                           {"false", false},
                                                           {"1", true},
                                                           {"0", false},
                                                           {"+1", true},
                                                           {"-1", false},
                                                           {"1.0", true},
                                                           {"0.0", false},
                                                           {"yes", true},
                                                           {"no", false},
                                                           {"y", true},
                                                           {"n", false},
                                                           {"t", true},
                                                           {"f", false},
                                                           {"up", true},
                                                           {"down", false},
                                                           {"thumbs_up", true},
                                                           {"thumbs_down", false},
                                                           {"thumb_up", true},
                                                           {"thumb_down", false},
                                                           {"thumbsup", true},
                                                           {"thumbsdown", false},
                                                           {"like", true},
                                                           {"dislike", false},
                                                           {"liked", true},
                                                           {"disliked", false},
                                                           {"upvote", true},
                                                           {"downvote", false},
                                                           {"upvoted", true},
                                                           {"downvoted", false},
                                                           {"good", true},
                                                           {"bad", false},
                                                           {"positive", true},
                                                           {"negative", false},
                                                           {"pos", true},
                                                           {"neg", false},
                                                           {"desirable", true},
                                                           {"undesirable", false},
                                                           {"desired", true},
                                                           {"undesired", false},
                                                           {"chosen", true},
                                                           {"rejected", false},
                                                           {"accepted", true},
                                                           {"accept", true},
                                                           {"reject", false},
                                                           {"preferred", true},
                                                           {"dispreferred", false},
                                                           {"correct", true},
                                                           {"incorrect", false},
                                                           {"wrong", false},
                                                           {"right", true},
                                                           {"win", true},
                                                           {"lose", false},
                                                           {"wanted", true},
                                                           {"unwanted", false},
                                                           {"helpful", true},
                                                           {"unhelpful", false},
                                                           {"+", true},
                                                           {"-", false},
                                                           {"👍", true},
                                                           {"👎", false}};
  std::string word = value.get<std::string>();
  const auto first = word.find_first_not_of(" \t\n\r"), last = word.find_last_not_of(" \t\n\r");
  if (first == std::string::npos) return std::nullopt;
  word = word.substr(first, last - first + 1);
  std::transform(word.begin(), word.end(), word.begin(), [](char c) {
    if (c == ' ' || c == '-') return c == ' ' ? '_' : c;
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  if (word == "thumbs-up" || word == "thumbs-down") word[6] = '_';
  const auto found = words.find(word);
  return found == words.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace fettle::data
