#pragma once
// Text <-> token ids, equal to the published tokenizers. Facts: the `tokenizer.json` format of the
// `tokenizers` library, SentencePiece's `sentencepiece_model.proto`, the GGUF keys `tokenizer.ggml.*`,
// llama2.c's `tokenizer.bin`.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace fettle {

struct EncodeOptions {
  bool add_special = false;  ///< add what the post-processor adds (BOS, EOS)
  bool parse_special =
      false;  ///< a special token's string inside the text becomes its id; otherwise it is text
};

/// The tokenizer inside a GGUF, as plain data (checkpoint/ reads and writes it). Keys: `tokenizer.ggml.*`.
struct GgufVocabulary {
  std::string model;  ///< "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string
      pre;  ///< the pre-tokenizer's name: "default", "llama-bpe", "smollm", "qwen2", "gpt-2", "starcoder", …
  std::vector<std::string> tokens;
  std::vector<float> scores;         ///< empty for BPE
  std::vector<int32_t> token_types;  ///< 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;   ///< "left right"
  int32_t bos = -1, eos = -1, unk = -1, pad = -1;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;
  std::map<std::string, std::string> named_templates;  ///< beside it: `tokenizer.chat_template.NAME`
};

/// Immutable after loading: every member is safe to call from many threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// A model folder: tokenizer.json, else tokenizer.model; with tokenizer_config.json,
  /// special_tokens_map.json and chat_template.jinja where they are.
  static std::shared_ptr<const Tokenizer> from_folder(const fs::path& folder);
  static std::shared_ptr<const Tokenizer> from_json(std::string_view text, std::string_view where);
  static std::shared_ptr<const Tokenizer> from_sentencepiece(std::string_view bytes, std::string_view where);
  static std::shared_ptr<const Tokenizer> from_gguf(const GgufVocabulary& vocabulary, std::string_view where);
  static std::shared_ptr<const Tokenizer> from_llama2c(std::string_view bytes, std::string_view where);
  /// Any of the above by looking at `path` (folder, .json, .model, .bin).
  static std::shared_ptr<const Tokenizer> open(const fs::path& path);

  /// Invalid UTF-8 is never an error: its bytes are encoded as the reference does after lossy decoding
  /// (U+FFFD).
  virtual std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  /// Ids that do not exist are skipped. The result may be invalid UTF-8 when `ids` cut a character.
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special = true) const = 0;
  /// `begins`: where each token starts in the text, in bytes; same length as `ids`, or empty if not asked
  /// for.
  struct Encoding {
    std::vector<int32_t> ids;
    std::vector<int64_t> begins;
  };
  /// Pieces are encoded as one text; a piece's `parse_special` says whether special-token strings inside it
  /// are ids (template text) or plain text (what a user wrote). Offsets count bytes over the joined pieces.
  struct Piece {
    std::string_view text;
    bool parse_special;
  };
  struct PieceOptions {
    bool add_special = false;  ///< add what the post-processor adds (BOS, EOS)
    bool begins = true;        ///< fill Encoding::begins, which takes a while
  };
  virtual Encoding encode_pieces(std::span<const Piece> pieces, PieceOptions options) const = 0;

  virtual int32_t size() const = 0;                 ///< ids are in [0, size())
  virtual std::string token(int32_t id) const = 0;  ///< as the vocabulary spells it; "" if none
  virtual std::optional<int32_t> id(std::string_view token) const = 0;  ///< exact vocabulary spelling
  virtual bool is_special(int32_t id) const = 0;
  /// The raw bytes a token stands for inside a text (no clean-up, no stripped leading space); for grammars
  /// and streaming.
  virtual std::string bytes(int32_t id) const = 0;

  /// -1 where the model has none.
  int32_t bos() const { return bos_; }
  int32_t eos() const { return eos_; }
  int32_t pad() const { return pad_; }
  int32_t unk() const { return unk_; }
  const std::string& chat_template() const { return chat_template_; }  ///< Jinja source, empty if none
  /// Where there are several templates, all of them by name, "default" too if there is one; else empty.
  std::map<std::string, std::string> named_templates() const;

  /// For export: a tokenizer.json and tokenizer_config.json that the `tokenizers` library opens, and the GGUF
  /// vocabulary.
  virtual std::string to_json() const = 0;
  Json config_json() const;
  virtual GgufVocabulary to_gguf() const = 0;

 protected:
  int32_t bos_ = -1, eos_ = -1, pad_ = -1, unk_ = -1;
  std::string chat_template_;
  Json config_ = Json::object();  ///< tokenizer_config.json as loaded
};

/// Turns ids into text as they come, holding back bytes that are not yet a whole UTF-8 character. One per
/// stream.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = true);
  std::string push(int32_t id);  ///< text that is now certain, possibly empty
  std::string flush();           ///< what was held back

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> ids_;
  size_t emitted_ = 0;
  bool skip_special_;
};

}  // namespace fettle
