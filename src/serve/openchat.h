#pragma once
// OpenChat's model types: prompts are built by token ids, segment by segment, as in their training, so that
// a special token's string in a user's text stays text. Source: imoneoi/openchat, ochat/config.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "text/message.h"
#include "text/tokenizer.h"

namespace fettle::serve {

struct OpenChatType {
  std::string name;
  std::vector<std::string> aliases;  ///< further names that clients may ask for
  int64_t context = 0;
  bool bos = true;
  std::string end_of_turn = "<|end_of_turn|>";
  std::string user_prefix, assistant_prefix;  ///< with {} where the condition stands, if it stands there
  std::string condition;                      ///< the default: the one of the best data class
  bool condition_first = false;               ///< it stands once, before the first turn, with an end of turn
  std::string system_prefix, system_suffix;   ///< around a system message; empty: the bare text
};

/// Every type that this server knows.
const std::vector<OpenChatType>& openchat_types();
/// By name or alias; none when it is no OpenChat type.
std::optional<OpenChatType> find_openchat_type(std::string_view name);
/// What openchat.json beside the weights says, if it is there. Throws Error when it names an unknown type.
std::optional<OpenChatType> openchat_type_of(const fs::path& model_folder);

struct OpenChatPrompt {
  std::string condition;  ///< empty: the type's own
  bool system = false;    ///< system messages count (the last one); otherwise they are dropped
};
/// A last message of the assistant is left open and continued. Throws Error naming a role that is not user,
/// assistant or system, and when the tokenizer lacks the type's end of turn.
std::vector<int32_t> openchat_tokens(const OpenChatType& type, const Tokenizer& tokenizer,
                                     const Messages& messages, const OpenChatPrompt& options);
/// The id that ends a turn.
int32_t openchat_end_of_turn(const OpenChatType& type, const Tokenizer& tokenizer);

}  // namespace fettle::serve
