#pragma once
// A tokenizer for tests of chats: what a token stands for can be read off its text.
#include <algorithm>
#include <string>
#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace fettle::test {

/// Every byte is a token, but the listed strings are one token each where they may be parsed.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> special) : special_(std::move(special)) {}
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options) const override {
    const Piece piece{text, options.parse_special};
    return encode_pieces({&piece, 1}, {.add_special = options.add_special}).ids;
  }
  std::string decode(std::span<const int32_t> ids, bool) const override {
    std::string out;
    for (const int32_t id : ids) out += bytes(id);
    return out;
  }
  Encoding encode_pieces(std::span<const Piece> pieces, PieceOptions) const override {
    Encoding out;
    int64_t offset = 0;
    for (const Piece& piece : pieces) {
      for (size_t at = 0; at < piece.text.size();) {
        size_t used = 1;
        int32_t id = static_cast<uint8_t>(piece.text[at]);
        for (size_t s = 0; piece.parse_special && s < special_.size(); ++s) {
          if (!piece.text.substr(at).starts_with(special_[s])) continue;
          id = 256 + static_cast<int32_t>(s);
          used = special_[s].size();
        }
        out.ids.push_back(id);
        out.begins.push_back(offset + static_cast<int64_t>(at));
        at += used;
      }
      offset += static_cast<int64_t>(piece.text.size());
    }
    return out;
  }
  int32_t size() const override { return 256 + static_cast<int32_t>(special_.size()); }
  std::string token(int32_t id) const override { return bytes(id); }
  std::optional<int32_t> id(std::string_view token) const override {
    for (size_t s = 0; s < special_.size(); ++s) {
      if (special_[s] == token) return 256 + static_cast<int32_t>(s);
    }
    return std::nullopt;
  }
  bool is_special(int32_t id) const override { return id >= 256; }
  std::string bytes(int32_t id) const override {
    return id < 256 ? std::string(1, static_cast<char>(id)) : special_[static_cast<size_t>(id) - 256];
  }
  std::string to_json() const override { return {}; }
  GgufVocabulary to_gguf() const override { return {}; }
  void set_template(std::string source) { chat_template_ = std::move(source); }

 private:
  std::vector<std::string> special_;
};

}  // namespace fettle::test
