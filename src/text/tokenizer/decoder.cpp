#include "text/tokenizer/decoder.h"

#include <algorithm>

#include "text/unicode/byte_level.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"

namespace fettle {

int byte_of_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

namespace {

class ByteLevelDecoder final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      if (auto bytes = byte_level::unspell(token)) token = std::move(*bytes);
    }
  }
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::string out;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  if (done == 0) return;
  out.append(text, done, std::string::npos);
  text = std::move(out);
}

class MetaspaceDecoder final : public TokenDecoder {
 public:
  MetaspaceDecoder(std::string replacement, bool drop_first)
      : replacement_(std::move(replacement)), drop_first_(drop_first) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      // The reference drops every leading mark of the first token when a space was put before the text.
      if (i == 0 && drop_first_) {
        size_t dropped = 0;
        while (std::string_view(tokens[i]).substr(dropped).starts_with(replacement_)) dropped += replacement_.size();
        tokens[i].erase(0, dropped);
      }
      replace_all(tokens[i], replacement_, " ");
    }
  }

 private:
  std::string replacement_;
  bool drop_first_;
};

class ByteFallbackDecoder final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      const int byte = byte_of_token(token);
      if (byte >= 0) token.assign(1, static_cast<char>(byte));
    }
  }
};

class FuseDecoder final : public TokenDecoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string joined;
    for (const std::string& token : tokens) joined += token;
    tokens.assign(1, std::move(joined));
  }
};

class ReplaceDecoder final : public TokenDecoder {
 public:
  ReplaceDecoder(std::string from, std::string to) : from_(std::move(from)), to_(std::move(to)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) replace_all(token, from_, to_);
  }

 private:
  std::string from_, to_;
};

class ReplaceRegexDecoder final : public TokenDecoder {
 public:
  ReplaceRegexDecoder(std::string_view pattern, std::string to, std::string_view where)
      : regex_(pattern, where), to_(std::move(to)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      if (unicode::valid_prefix(token) != token.size()) continue;
      std::string out;
      size_t done = 0;
      regex_.each(token, [&](size_t begin, size_t end) {
        out.append(token, done, begin - done).append(to_);
        done = end;
      });
      token = out.append(token, done, std::string::npos);
    }
  }

 private:
  Regex regex_;
  std::string to_;
};

class StripDecoder final : public TokenDecoder {
 public:
  StripDecoder(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    if (content_.empty()) return;
    for (std::string& token : tokens) {
      size_t dropped = 0;
      for (size_t i = 0; i < start_ && std::string_view(token).substr(dropped).starts_with(content_); ++i)
        dropped += content_.size();
      token.erase(0, dropped);
      for (size_t i = 0; i < stop_ && token.ends_with(content_); ++i)
        token.resize(token.size() - content_.size());
    }
  }

 private:
  std::string content_;
  size_t start_, stop_;
};

class WordPieceDecoder final : public TokenDecoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_)) {
          token.erase(0, prefix_.size());
        } else {
          token.insert(0, " ");
        }
      }
      if (cleanup_) clean(token);
    }
  }

 private:
  static void clean(std::string& text) {
    static constexpr std::pair<std::string_view, std::string_view> table[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : table) replace_all(text, from, to);
  }
  std::string prefix_;
  bool cleanup_;
};

class BpeSuffixDecoder final : public TokenDecoder {
 public:
  explicit BpeSuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

class SequenceDecoder final : public TokenDecoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<TokenDecoder>> stages) : stages_(std::move(stages)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (const auto& stage : stages_) {
      if (stage) stage->apply(tokens);
    }
  }

 private:
  std::vector<std::unique_ptr<TokenDecoder>> stages_;
};

std::unique_ptr<TokenDecoder> make_replace(const Json& description, std::string_view where) {
  const Json pattern = json_get<Json>(description, "pattern", where);
  auto to = json_get<std::string>(description, "content", where);
  if (pattern.contains("String")) {
    return std::make_unique<ReplaceDecoder>(json_get<std::string>(pattern, "String", where), std::move(to));
  }
  return std::make_unique<ReplaceRegexDecoder>(json_get<std::string>(pattern, "Regex", where), std::move(to),
                                               where);
}

}  // namespace

std::unique_ptr<TokenDecoder> make_decoder(const Json& description, std::string_view where) {
  if (description.is_null()) return nullptr;
  const auto kind = json_get<std::string>(description, "type", where);
  if (kind == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (kind == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (kind == "Fuse") return std::make_unique<FuseDecoder>();
  if (kind == "Replace") return make_replace(description, where);
  if (kind == "Metaspace") {
    const bool add = json_get_or(description, "add_prefix_space", true, where);
    const auto scheme =
        json_get_or<std::string>(description, "prepend_scheme", add ? "always" : "never", where);
    auto replacement = json_get_or<std::string>(description, "replacement", "\xe2\x96\x81", where);
    if (replacement.empty()) fail(where, "Metaspace needs a replacement");
    return std::make_unique<MetaspaceDecoder>(std::move(replacement), scheme != "never");
  }
  if (kind == "Strip") {
    const auto content = json_get_or<std::string>(description, "content", " ", where);
    return std::make_unique<StripDecoder>(content, json_get_or<uint32_t>(description, "start", 0, where),
                                          json_get_or<uint32_t>(description, "stop", 0, where));
  }
  if (kind == "WordPiece") {
    return std::make_unique<WordPieceDecoder>(json_get_or<std::string>(description, "prefix", "##", where),
                                              json_get_or(description, "cleanup", true, where));
  }
  if (kind == "BPEDecoder") {
    return std::make_unique<BpeSuffixDecoder>(json_get_or<std::string>(description, "suffix", "</w>", where));
  }
  if (kind == "Sequence") {
    std::vector<std::unique_ptr<TokenDecoder>> stages;
    for (const Json& stage : json_get<std::vector<Json>>(description, "decoders", where)) {
      stages.push_back(make_decoder(stage, where));
    }
    return std::make_unique<SequenceDecoder>(std::move(stages));
  }
  fail(where, "the type '{}' is not supported", kind);
}

}  // namespace fettle
