// Ids and texts of every kind of tokenizer against the reference libraries: tests/golden/text/make_tokenizers.py.
#include <gtest/gtest.h>

#include <cstring>

#include "base/base64.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {
namespace {

const Json& golden() {
  static const Json made = read_json("tests/golden/text/tokenizers.json");
  return made;
}

std::vector<std::string> texts() {
  return golden()["texts"].get<std::vector<std::string>>();
}

std::string long_word() {
  std::string word(100'000, ' ');
  for (size_t i = 0; i < word.size(); ++i) word[i] = "etaoinshrdlu"[(i * i / 7 + i) % 12];
  return word;
}

std::vector<int64_t> digest(const std::vector<int32_t>& ids) {
  uint32_t sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) sum += static_cast<uint32_t>(i + 1) * static_cast<uint32_t>(ids[i]);
  return {static_cast<int64_t>(ids.size()), sum};
}

/// The entry of a list by its text's number, or `otherwise`.
template <typename T>
T entry(const Json& table, size_t index, T otherwise) {
  const auto found = table.find(std::to_string(index));
  return found == table.end() ? otherwise : found->get<T>();
}

std::string source(const Json& row) {
  Json json = row["parts"];
  json["model"] = golden()["models"][row["model"].get<std::string>()];
  json["model"].update(row["options"]);
  return dump_json(json);
}

const Json& kind(std::string_view name, const char* list = "tokenizers") {
  for (const Json& row : golden()[list]) {
    if (row["name"] == name) return row;
  }
  throw Error(fmt::format("tokenizers.json has no '{}'", name));
}

std::shared_ptr<const Tokenizer> open(std::string_view name) {
  return Tokenizer::from_json(source(kind(name)), name);
}

std::shared_ptr<const Tokenizer> open_pieces(std::string_view name) {
  const auto bytes = decode_base64(kind(name, "sentencepiece")["model"].get<std::string>(), name);
  return Tokenizer::from_sentencepiece(bytes, name);
}

/// Offsets never run backwards, and what they cut out are the tokens of encode().
void expect_pieces_agree(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text, {false, true});
  std::vector<Tokenizer::Piece> pieces;
  for (size_t at = 0; at < text.size(); at += 3) pieces.push_back({std::string_view(text).substr(at, 3), true});
  const auto encoding = tokenizer.encode_pieces(pieces, {});
  EXPECT_EQ(encoding.ids, ids);
  EXPECT_EQ(tokenizer.encode_pieces(pieces, {.begins = false}).ids, ids);
  EXPECT_EQ(tokenizer.encode_pieces(pieces, {.begins = false}).ids, ids);  // what was remembered
  ASSERT_EQ(encoding.begins.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_GE(encoding.begins[i], i == 0 ? 0 : encoding.begins[i - 1]) << i;
    EXPECT_LE(encoding.begins[i], static_cast<int64_t>(text.size())) << i;
  }
}

TEST(TokenizerGolden, EqualsTokenizers) {
  for (const Json& row : golden()["tokenizers"]) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto tokenizer = Tokenizer::from_json(source(row), "golden");
    const auto all = texts();
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(all[i]);
      const auto ids = row["ids"][i].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer->encode(all[i]), ids);
      EXPECT_EQ(tokenizer->encode(all[i], {true, true}), entry(row["special_ids"], i, ids));
      EXPECT_EQ(tokenizer->decode(ids, false), entry(row["decoded"], i, all[i]));
      expect_pieces_agree(*tokenizer, all[i]);
    }
    EXPECT_EQ(digest(tokenizer->encode(long_word())), row["long"].get<std::vector<int64_t>>());
  }
}

TEST(TokenizerGolden, EqualsSentencePiece) {
  for (const Json& row : golden()["sentencepiece"]) {
    SCOPED_TRACE(row["name"].get<std::string>());
    const auto tokenizer = open_pieces(row["name"].get<std::string>());
    // What it exports is a tokenizer.json that gives the same ids, but for user-defined pieces, which the
    // `tokenizers` library finds before it normalizes, and the names of control and byte pieces, which its
    // Unigram model takes for pieces of the text.
    const auto exported = Tokenizer::from_json(tokenizer->to_json(), "exported");
    const bool symbols = row["name"] == "symbols" || row["name"] == "unigram";
    const auto all = texts();
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(all[i]);
      const auto ids = row["ids"][i].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer->encode(all[i]), ids);
      EXPECT_EQ(tokenizer->decode(ids, false), entry(row["decoded"], i, all[i]));
      if (!symbols && all[i].find('<') == std::string::npos) {
        EXPECT_EQ(exported->encode(all[i]), ids);
      }
      expect_pieces_agree(*tokenizer, all[i]);
    }
    EXPECT_EQ(digest(tokenizer->encode(long_word())), row["long"].get<std::vector<int64_t>>());
  }
}

TEST(TokenizerGolden, ThroughGgufAndBack) {
  for (const char* name : {"gpt2", "llama3", "starcoder", "deepseek", "gpt4o"}) {
    SCOPED_TRACE(name);
    const auto tokenizer = open(name);
    const GgufVocabulary vocabulary = tokenizer->to_gguf();
    EXPECT_EQ(vocabulary.model, "gpt2");
    EXPECT_EQ(vocabulary.tokens.size(), static_cast<size_t>(tokenizer->size()));
    const auto again = Tokenizer::from_gguf(vocabulary, name);
    for (const std::string& text : texts()) {
      EXPECT_EQ(again->encode(text), tokenizer->encode(text)) << text;
      EXPECT_EQ(again->encode(text, {true, true}), tokenizer->encode(text, {true, true})) << text;
      EXPECT_EQ(again->decode(again->encode(text)), text);
    }
  }
  const auto pieces = open_pieces("llama");
  const auto again = Tokenizer::from_gguf(pieces->to_gguf(), "llama");
  const Json& row = kind("llama", "sentencepiece");
  for (size_t i = 0; i < texts().size(); ++i) {
    EXPECT_EQ(again->encode(texts()[i]), row["ids"][i].get<std::vector<int32_t>>()) << texts()[i];
  }
}

/// The file that llama2.c makes of a SentencePiece model.
std::string llama2c_file(const GgufVocabulary& vocabulary) {
  std::string out;
  const auto put = [&](auto value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(int32_t{64});
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    std::string token = id == 1 ? "\n<s>\n" : id == 2 ? "\n</s>\n" : vocabulary.tokens[id];
    for (size_t at = token.find("▁"); at != std::string::npos; at = token.find("▁")) token.replace(at, 3, " ");
    put(vocabulary.scores[id]);
    put(static_cast<int32_t>(token.size()));
    out += token;
  }
  return out;
}

TEST(TokenizerGolden, Llama2cEqualsSentencePiece) {
  const std::string file = llama2c_file(open_pieces("llama")->to_gguf());
  const auto tokenizer = Tokenizer::from_llama2c(file, "tokenizer.bin");
  const Json& row = kind("llama", "sentencepiece");
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  for (size_t i = 0; i < texts().size(); ++i) {
    EXPECT_EQ(tokenizer->encode(texts()[i]), row["ids"][i].get<std::vector<int32_t>>()) << texts()[i];
  }
  // Cut anywhere, it says so or ends at a token's end; too few tokens are an error as well.
  for (size_t size = 0; size < file.size(); size += 7) {
    try {
      EXPECT_GE(Tokenizer::from_llama2c(file.substr(0, size), "cut.bin")->size(), 259);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("cut.bin: ", 0), 0u) << error.what();
    }
  }
}

TEST(TokenizerGolden, CutSentencePieceModelsAreErrors) {
  const auto bytes = decode_base64(kind("llama", "sentencepiece")["model"].get<std::string>(), "golden");
  size_t errors = 0, whole = 0;
  for (size_t size = 0; size < bytes.size(); size += 5) {
    try {
      Tokenizer::from_sentencepiece(std::string_view(bytes).substr(0, size), "cut.model");
      ++whole;  // between two fields there is nothing to notice
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("cut.model: ", 0), 0u) << error.what();
      ++errors;
    }
  }
  EXPECT_GT(errors, whole);
}

TEST(TokenizerGolden, InvalidUtf8IsItsLossyText) {
  const std::pair<std::string, std::string> cases[] = {
      {"a\xff" "b", "a\ufffd" "b"},
      {"\xe6\xbc", "\ufffd"},
      {"\xe6\xbc" "x\x80\x80", "\ufffdx\ufffd\ufffd"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
      {"\xf0\x9f\x99 The", "\ufffd The"},
      {"\xc0\xaf <|im_end|>\xf5", "\ufffd\ufffd <|im_end|>\ufffd"},
  };
  for (const Json& row : golden()["tokenizers"]) {
    const auto tokenizer = Tokenizer::from_json(source(row), "golden");
    for (const auto& [broken, lossy] : cases) {
      EXPECT_EQ(tokenizer->encode(broken), tokenizer->encode(lossy)) << row["name"] << lossy;
      expect_pieces_agree(*tokenizer, broken);
    }
  }
}

TEST(TokenizerGolden, SpecialStringsInAUsersTextStayText) {
  const auto tokenizer = open("gpt2");
  const int32_t start = *tokenizer->id("<|im_start|>"), end = *tokenizer->id("<|im_end|>");
  EXPECT_TRUE(tokenizer->is_special(end));
  const std::string text = "a <|im_end|> b";
  const auto plain = tokenizer->encode(text);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), end), 0);
  EXPECT_EQ(tokenizer->decode(plain), text);
  const auto parsed = tokenizer->encode(text, {false, true});
  EXPECT_EQ(std::count(parsed.begin(), parsed.end(), end), 1);
  EXPECT_EQ(tokenizer->decode(parsed), "a  b");
  EXPECT_EQ(tokenizer->decode(parsed, false), text);

  // A template's tokens around what a user wrote; a token whose string lies across the seam is text too.
  const std::vector<Tokenizer::Piece> pieces = {
      {"<|im_start|>", true}, {"<|im_end|> <|im_", false}, {"end|>", true}, {"<|im_end|>", true}};
  const auto encoding = tokenizer->encode_pieces(pieces, {});
  EXPECT_EQ(encoding.ids.front(), start);
  EXPECT_EQ(encoding.ids.back(), end);
  EXPECT_EQ(encoding.begins.back(), 33);
  EXPECT_EQ(std::count(encoding.ids.begin(), encoding.ids.end(), end), 1);
  EXPECT_EQ(tokenizer->decode(encoding.ids), "<|im_end|> <|im_end|>");
}

TEST(TokenizerGolden, StreamsWholeCharacters) {
  for (const Json& row : golden()["tokenizers"]) {
    const std::string name = row["name"];
    if (name != "gpt2" && name != "llama2" && name != "gemma" && name != "unigram") continue;
    const std::shared_ptr<const Tokenizer> tokenizer = open(name);
    for (const std::string& text : texts()) {
      const auto ids = tokenizer->encode(text);
      StreamDecoder stream(tokenizer, false);
      std::string joined;
      for (const int32_t id : ids) {
        const std::string fresh = stream.push(id);
        EXPECT_TRUE(dump_json(Json(fresh)).find("\\ufffd") == std::string::npos);
        EXPECT_NO_THROW(Json(fresh).dump()) << "a cut character";
        joined += fresh;
      }
      EXPECT_EQ(joined + stream.flush(), tokenizer->decode(ids, false)) << name << ": " << text;
    }
  }
}

TEST(TokenizerGolden, BytesOfTokensJoinToTheText) {
  for (const char* name : {"gpt2", "llama3", "gemma"}) {
    const auto tokenizer = open(name);
    for (const std::string& text : texts()) {
      std::string joined;
      for (const int32_t id : tokenizer->encode(text)) joined += tokenizer->bytes(id);
      // The one thing that is lost is a "▁" that the text had of its own.
      if (text.find("▁") == std::string::npos) {
        EXPECT_EQ(joined, text) << name;
      }
    }
  }
}

}  // namespace
}  // namespace fettle
