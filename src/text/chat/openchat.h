#pragma once
// OpenChat's model types, stated once for training rows and for prompts: segments are encoded one by one, so
// that a special token's string in a text stays text. Source: imoneoi/openchat, ochat/config, v1 of July 2023
// to 3.6 of May 2024.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "text/chat/message.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

/// The release of its code that a type came with: which files it trains from, and how a row names its
/// condition.
enum class OpenChatRelease { v1, v2, v3_1, v3_2, v3_5 };

struct OpenChatType {
  std::string name;
  int64_t context = 0;
  OpenChatRelease release = OpenChatRelease::v1;
  bool bos = true;  ///< begins with `<s>`; from 3.5 on with what the tokenizer begins every text with
  std::string user, assistant;  ///< prefixes of turns; {} stands for the condition
  std::string condition;        ///< that answers are asked for with: the best class of the training data
  std::string opening = "";     ///< stands once, before the first turn, with an end of turn; {} as above
  bool has_groups = false;      ///< rows of GPT-4 are a class of their own in the files
  std::vector<std::string> aliases = {};  ///< further names that clients may ask for
  std::string end_of_turn = "<|end_of_turn|>";
  std::string system = "";     ///< prefix of a system message; empty: the bare text
  bool trims_content = false;  ///< as the published template of 3.6 does
};

/// openchat, openchat_8192, opencoder, openchat_v2, openchat_llama2, openchat_v3.1_llama2, openchat_v3.2,
/// openchat_v3.2_mistral (also openchat_3.5), openchat_3.6.
const std::vector<OpenChatType>& openchat_types();
std::vector<std::string> openchat_type_names();
/// By name or alias; null when it is no OpenChat type.
const OpenChatType* find_openchat_type(std::string_view name);
/// The same; Error(usage) with the nearest name when there is none.
const OpenChatType& openchat_type(std::string_view name);
/// What openchat.json beside the weights says; null when there is none. Throws Error when it names an unknown
/// type.
const OpenChatType* openchat_type_of(const fs::path& model_folder);

/// Writes the segments of a conversation behind `ids`. Immutable and thread-safe; type and tokenizer must
/// outlive it.
class OpenChatEncoder {
 public:
  /// A tokenizer without the end-of-turn token gets it as its next id, as OpenChat's model conversion adds
  /// it. Throws Error when the type begins with <s> and the tokenizer has nothing of the kind.
  OpenChatEncoder(const OpenChatType& type, const Tokenizer& tokenizer, OpenChatRelease release);
  OpenChatEncoder(const OpenChatType& type, const Tokenizer& tokenizer)
      : OpenChatEncoder(type, tokenizer, type.release) {}

  /// BOS, and the opening where the type has one.
  void begin(std::vector<int32_t>& ids, std::string_view condition) const;
  void system(std::vector<int32_t>& ids, std::string_view text) const;  ///< its end of turn included
  /// A turn's prefix. An empty condition takes the space beside it along.
  void prefix(std::vector<int32_t>& ids, bool assistant, std::string_view condition) const;
  void content(std::vector<int32_t>& ids, std::string_view text) const;
  void end(std::vector<int32_t>& ids) const { ids.push_back(end_); }
  int32_t end_of_turn() const { return end_; }

 private:
  void pattern(std::vector<int32_t>& ids, std::string_view pattern, std::string_view condition) const;
  void pieces(std::vector<int32_t>& ids, std::vector<Tokenizer::Piece> parts) const;

  const OpenChatType& type_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> begin_;
  int32_t end_ = -1;
};

struct OpenChatPrompt {
  std::string condition;  ///< empty: the type's own
  bool system = false;    ///< system messages count (the last one); otherwise they are dropped
};
/// The prompt for an answer. A last message of the assistant is left open and continued. Throws Error naming
/// a role that is not user, assistant or system, and when the tokenizer lacks the type's end of turn.
std::vector<int32_t> openchat_tokens(const OpenChatType& type, const Tokenizer& tokenizer,
                                     const Messages& messages, const OpenChatPrompt& options);
/// The id that ends a turn. Throws Error when the tokenizer has none.
int32_t openchat_end_of_turn(const OpenChatType& type, const Tokenizer& tokenizer);

}  // namespace fettle
