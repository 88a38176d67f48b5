#include "serve/api/logprobs.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "text/unicode/unicode.h"

namespace fettle::serve {
namespace {

Json bytes_of(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return list;
}

Json number_of(float logp) {
  // JSON has no infinity; OpenAI writes -9999 for what has no probability.
  return std::isfinite(logp) ? Json(logp) : Json(-9999.0);
}

std::span<const TokenLogProb> first(const std::vector<TokenLogProb>& all, int32_t count) {
  return std::span(all).first(std::min(all.size(), static_cast<size_t>(std::max(count, 0))));
}

}  // namespace

std::string TokenNames::of(int32_t token) const {
  return as_ids ? fmt::format("token_id:{}", token) : unicode::lossy(tokenizer.bytes(token));
}

int64_t characters_of(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

Json token_logprobs(const std::vector<TokenInfo>& tokens, const TokenNames& names, int32_t top) {
  Json content = Json::array();
  for (const TokenInfo& info : tokens) {
    const auto entry = [&](int32_t token, float logp) {
      return Json{{"token", names.of(token)},
                  {"logprob", number_of(logp)},
                  {"bytes", bytes_of(names.tokenizer.bytes(token))}};
    };
    Json item = entry(info.token, info.logp);
    item["top_logprobs"] = Json::array();
    for (const TokenLogProb& other : first(info.top, top))
      item["top_logprobs"].push_back(entry(other.token, other.logp));
    content.push_back(std::move(item));
  }
  return content;
}

Json text_logprobs(const std::vector<TokenInfo>& tokens, const TokenNames& names, int32_t top,
                   bool first_has_none, int64_t& offset) {
  Json texts = Json::array(), logps = Json::array(), tops = Json::array(), offsets = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const TokenInfo& info = tokens[i];
    const bool none = first_has_none && i == 0;
    texts.push_back(names.of(info.token));
    logps.push_back(none ? Json() : number_of(info.logp));
    Json others = Json::object();
    for (const TokenLogProb& other : first(info.top, top))
      others[names.of(other.token)] = number_of(other.logp);
    // The chosen token is always among them, as OpenAI has it; alone, when no others were asked for, as vLLM
    // has it.
    if (!none) others[names.of(info.token)] = number_of(info.logp);
    tops.push_back(none ? Json() : std::move(others));
    offsets.push_back(offset);
    offset += characters_of(unicode::lossy(names.tokenizer.bytes(info.token)));
  }
  return {{"tokens", texts}, {"token_logprobs", logps}, {"top_logprobs", tops}, {"text_offset", offsets}};
}

Json prompt_logprobs(const std::vector<TokenInfo>& prompt, const Tokenizer& tokenizer, int32_t top) {
  Json list = Json::array();
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (i == 0) {
      list.push_back(nullptr);
      continue;
    }
    Json entry = Json::object();
    const auto add = [&](int32_t token, float logp, int32_t rank) {
      entry.emplace(std::to_string(token), Json{{"logprob", number_of(logp)},
                                                {"rank", rank},
                                                {"decoded_token", unicode::lossy(tokenizer.bytes(token))}});
    };
    int32_t rank = 0;
    for (const TokenLogProb& other : first(prompt[i].top, top)) add(other.token, other.logp, ++rank);
    // Unless it stands among them, all that is known is that it comes after them.
    add(prompt[i].token, prompt[i].logp, rank + 1);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace fettle::serve
