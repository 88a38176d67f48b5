#include "text/tokenizer/llama2c.h"

#include <cstring>

#include "text/tokenizer/tokenizer.h"

namespace fettle {
namespace {

constexpr size_t kFirstByte = 3, kFirstPiece = 259;

template <typename T>
T read_value(std::string_view bytes, size_t& at, std::string_view where, const char* what) {
  T value;
  if (bytes.size() - at < sizeof value) fail(where, "ends at byte {} inside {}", bytes.size(), what);
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
  return value;
}

/// As the program that writes these files has it: spaces plain, newlines around the names of BOS and EOS.
std::string spelling(std::string_view token, size_t id) {
  if (id == 1 || id == 2) {
    while (token.starts_with('\n')) token.remove_prefix(1);
    while (token.ends_with('\n')) token.remove_suffix(1);
  }
  std::string out;
  for (const char c : token) c == ' ' ? out += "\xe2\x96\x81" : out += c;
  return out;
}

}  // namespace

ScoredVocabulary read_llama2c(std::string_view bytes, std::string_view where) {
  size_t at = 0;
  const auto longest = read_value<int32_t>(bytes, at, where, "the header");
  if (longest < 1 || longest > 4096)
    fail(where, "the longest token has {} bytes; is this a llama2.c tokenizer.bin?", longest);
  ScoredVocabulary out;
  Vocabulary seen;
  while (at < bytes.size()) {
    const size_t id = out.tokens.size();
    const auto score = read_value<float>(bytes, at, where, "a score");
    const auto length = read_value<int32_t>(bytes, at, where, "a length");
    if (length < 0 || static_cast<size_t>(length) > bytes.size() - at) {
      fail(where, "token {} says it has {} bytes, but {} follow", id, length, bytes.size() - at);
    }
    std::string token = spelling(bytes.substr(at, static_cast<size_t>(length)), id);
    at += static_cast<size_t>(length);
    if (!token.empty() && !seen.add(token, static_cast<int32_t>(id)))
      token.clear();  // the first one is found
    out.tokens.push_back(std::move(token));
    out.scores.push_back(score);
    out.types.push_back(id == 0            ? PieceType::unknown
                        : id < kFirstByte  ? PieceType::control
                        : id < kFirstPiece ? PieceType::byte
                                           : PieceType::normal);
  }
  if (out.tokens.size() < kFirstPiece) {
    fail(where, "has {} tokens, expected at least {}: unknown, BOS, EOS and 256 bytes", out.tokens.size(),
         kFirstPiece);
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string expected = fmt::format("<0x{:02X}>", byte);
    if (out.tokens[kFirstByte + byte] != expected) {
      fail(where, "token {} is '{}', expected the byte {}", kFirstByte + byte, out.tokens[kFirstByte + byte],
           expected);
    }
  }
  out.unk = 0;
  out.bos = 1;
  out.eos = 2;
  out.byte_fallback = true;
  return out;
}

std::shared_ptr<const Tokenizer> Tokenizer::from_llama2c(std::string_view bytes, std::string_view where) {
  return make_scored_tokenizer(read_llama2c(bytes, where), where);
}

}  // namespace fettle
