#pragma once
// Chat templates: a Jinja subset that runs the published templates unchanged, and masks that need no
// generation tags.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/message.h"
#include "text/tokenizer.h"

namespace fettle {

struct RenderOptions {
  bool add_generation_prompt = false;
  /// Further template variables (tools, documents, enable_thinking, …); `tojson` shows their keys in this
  /// order.
  OrderedJson variables = OrderedJson::object();
  std::optional<int64_t> now;  ///< what strftime_now reads, seconds since 1970; the clock when not given
};

/// A rendered conversation that knows where its text came from.
struct Rendered {
  std::string text;
  /// Runs that cover `text`, in order, none empty. message is the index of the message whose content (or
  /// other field) stands there, -1 for the template's own text (roles and special tokens too), -2 for text of
  /// another variable (tools).
  struct Run {
    int64_t begin, end;
    int32_t message;
  };
  std::vector<Run> runs;
};

/// Parsed once, immutable, safe to use from many threads. Environment as transformers sets it: trim_blocks,
/// lstrip_blocks, loop controls, raise_exception, tojson, strftime_now.
class ChatTemplate {
 public:
  /// `source` is Jinja; bos/eos/… strings are given to it as bos_token, eos_token, …. Throws Error with line
  /// and column on a syntax error or an unknown filter.
  ChatTemplate(std::string source, Json special_tokens, std::string_view where = "chat template");
  /// The template and special tokens of a tokenizer; ChatML when it carries none and has <|im_start|>; throws
  /// if none fits.
  static ChatTemplate of(const Tokenizer& tokenizer);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  /// Throws Error: what raise_exception said, an undefined operation, or the step limit (a template that
  /// loops for ever).
  Rendered render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  const std::string& source() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Token ids of a conversation with, for each token, the turn it belongs to.
struct TokenizedChat {
  std::string text;
  std::vector<int32_t> ids;
  /// Index of the message whose turn wrote the token; -1 before the first. A turn of the assistant is
  /// everything the template writes after the prompt with its generation prefix, end-of-turn token and what
  /// follows it included (as TRL counts). A generation prompt at the very end counts to the last message's
  /// turn and to no answer.
  std::vector<int32_t> turn;
  /// True where the token belongs to what an assistant turn wrote (after its generation prefix).
  std::vector<uint8_t> assistant;
  /// For each token of a turn of the assistant that has `turn` t: the loss weight messages[t].weight; 0
  /// elsewhere.
  std::vector<float> weight;
};

/// The whole conversation is rendered and tokenised once; turns are found by rendering its prefixes, and
/// where a template is not prefix-stable, from the message spans. Special-token strings inside messages stay
/// text unless `parse_special_in_content`.
TokenizedChat tokenize_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                            std::span<const Message> messages, const RenderOptions& options = {},
                            bool parse_special_in_content = false);
/// The ids alone, without the search for turns.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, const RenderOptions& options = {},
                                 bool parse_special_in_content = false);

}  // namespace fettle
