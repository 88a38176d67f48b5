#include <utf8proc.h>

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/hash.h"
#include "data/html/segment.h"
#include "data/signals/phrases.h"

namespace fettle::data {
namespace {

constexpr std::string_view navigation[] = {"advertisement",
                                           "advertising",
                                           "forum",
                                           "quick link",
                                           "newsletter",
                                           "navigation",
                                           "site map",
                                           "sitemap",
                                           "contact us",
                                           "about us",
                                           "follow us",
                                           "subscribe",
                                           "sign up",
                                           "sign in",
                                           "log in",
                                           "login",
                                           "register now",
                                           "privacy policy",
                                           "cookie policy",
                                           "terms of use",
                                           "copyright",
                                           "related post",
                                           "related article",
                                           "related stor",
                                           "recent post",
                                           "recent comment",
                                           "popular post",
                                           "most read",
                                           "most popular",
                                           "you may also",
                                           "you might also",
                                           "leave a comment",
                                           "leave a reply",
                                           "share this",
                                           "archives",
                                           "categories",
                                           "site links",
                                           "external links",
                                           "trending",
                                           "comments",
                                           "shopping cart",
                                           "read more",
                                           "table of contents"};

size_t code_point(std::string_view text, size_t at, utf8proc_int32_t& point) {
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                       static_cast<utf8proc_ssize_t>(text.size() - at), &point);
  return length > 0 ? static_cast<size_t>(length) : 1;
}

bool ends_sentence(std::string_view text, size_t at) {
  const char c = text[at];
  return c == '\n' ||
         ((c == '.' || c == '!' || c == '?') &&
          (at + 1 == text.size() || text[at + 1] == ' ' || text[at + 1] == '\n')) ||
         text.substr(at).starts_with("\xE3\x80\x82");
}

std::vector<uint64_t> words_of(std::string_view sentence) {
  std::vector<uint64_t> words;
  size_t begin = 0;
  for (size_t at = 0; at <= sentence.size(); ++at) {
    const bool in_word =
        at < sentence.size() &&
        (std::isalnum(static_cast<unsigned char>(sentence[at])) != 0 || (sentence[at] & 0x80) != 0);
    if (in_word) continue;
    if (at > begin) words.push_back(hash64(sentence.substr(begin, at - begin)));
    begin = at + 1;
  }
  return words;
}

std::vector<uint64_t> trigrams_of(std::string_view sentence) {
  constexpr size_t shortest = 5;
  const auto words = words_of(sentence);
  if (words.size() < shortest) return {};
  std::vector<uint64_t> grams;
  for (size_t i = 0; i + 2 < words.size(); ++i) {
    grams.push_back(hash64({reinterpret_cast<const char*>(&words[i]), 3 * sizeof words[0]}));
  }
  std::sort(grams.begin(), grams.end());
  grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
  return grams;
}

}  // namespace

std::string header_problem(const std::string& header, double max_capitals) {
  int64_t letters = 0, capitals = 0;
  for (size_t at = 0; at < header.size();) {
    utf8proc_int32_t point = -1;
    at += code_point(header, at, point);
    if (point < 0) continue;
    const auto category = utf8proc_category(point);
    letters += category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
    capitals += category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LT;
  }
  if (letters == 0) return "empty header";
  if (static_cast<double>(capitals) > max_capitals * static_cast<double>(letters))
    return "header in capitals";
  const std::string lowered = lower_case(header);
  const bool is_navigation =
      std::any_of(std::begin(navigation), std::end(navigation),
                  [&](std::string_view phrase) { return lowered.find(phrase) != std::string::npos; });
  return is_navigation ? "navigation header" : "";
}

double sentence_repetition(const std::string& text) {
  constexpr size_t most_sentences = 500;
  const std::string lowered = lower_case(text);
  std::vector<std::vector<uint64_t>> sentences;
  size_t begin = 0;
  for (size_t at = 0; at <= lowered.size() && sentences.size() < most_sentences; ++at) {
    if (at < lowered.size() && !ends_sentence(lowered, at)) continue;
    auto grams = trigrams_of(std::string_view(lowered).substr(begin, at - begin));
    if (!grams.empty()) sentences.push_back(std::move(grams));
    begin = at + 1;
  }
  double highest = 0;
  std::vector<uint64_t> shared;
  for (size_t i = 0; i < sentences.size(); ++i) {
    for (size_t k = i + 1; k < sentences.size(); ++k) {
      shared.clear();
      std::set_intersection(sentences[i].begin(), sentences[i].end(), sentences[k].begin(),
                            sentences[k].end(), std::back_inserter(shared));
      const size_t all = sentences[i].size() + sentences[k].size() - shared.size();
      highest = std::max(highest, static_cast<double>(shared.size()) / static_cast<double>(all));
    }
  }
  return highest;
}

}  // namespace fettle::data
