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

#include "text/chat/message.h"
#include "text/chat/template_traits.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

struct RenderOptions {
  bool add_generation_prompt = false;
  /// Further template variables (tools, documents, enable_thinking, …); `tojson` shows their keys in this
  /// order.
  OrderedJson variables = OrderedJson::object();
  std::optional<int64_t> now;  ///< what strftime_now reads, seconds since 1970; the clock when not given
  bool parts = false;          ///< fill Rendered::parts
  int64_t steps = 0;  ///< bound on the work, about one a node of the template; 0: by the conversation's size
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
  /// The same, with the template's own text cut where one literal of the template ends and another begins;
  /// message is below -2 there, a number of the literal.
  std::vector<Run> parts;
};

/// Parsed once, immutable, safe to use from many threads. Environment as transformers sets it: trim_blocks,
/// lstrip_blocks, loop controls, raise_exception, tojson, strftime_now.
class ChatTemplate {
 public:
  /// `source` is Jinja; bos/eos/… strings are given to it as bos_token, eos_token, …. Throws Error with line
  /// and column on a syntax error or an unknown filter.
  ChatTemplate(std::string source, Json special_tokens, std::string_view where = "chat template");
  /// The tokenizer's template, with its special tokens: the one called "default", and "tool_use" for
  /// conversations with tools where there is one; ChatML when it carries none and has <|im_start|>. `chosen`
  /// is the name of another of its templates, or a Jinja file. Throws if none fits, naming those there are.
  static ChatTemplate of(const Tokenizer& tokenizer, const std::string& chosen = "");
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  /// The messages in the form that this template reads (text/chat/prepare.h), rendered. Throws Error: what
  /// raise_exception said, an undefined operation, tool calls that the template does not write, or the step
  /// limit (a template that loops for ever).
  Rendered render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  /// The messages as they are.
  Rendered render_as_given(std::span<const Message> messages, const RenderOptions& options = {}) const;
  /// Found at the first call, by rendering probes.
  const TemplateTraits& traits() const;
  bool mentions(std::string_view variable) const;
  /// Whether the template writes this special token behind an answer.
  bool ends_turn(const Tokenizer& tokenizer, int32_t id) const;
  const std::string& source() const;
  const std::string& tool_source() const;  ///< of the template for conversations with tools

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
  /// Turns of the assistant, and how many of them stand here otherwise than serving would ask for them: its
  /// own prompt would be another one, or the answer to it.
  int64_t answers = 0, unserved = 0;
};

/// The whole conversation is rendered and tokenised once; turns are found by rendering its prefixes and
/// comparing them literal by literal (text/chat/turns.h). Special-token strings inside messages stay text
/// unless `parse_special_in_content`. Throws Error where an answer cannot be told from the template's text.
TokenizedChat tokenize_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                            std::span<const Message> messages, const RenderOptions& options = {},
                            bool parse_special_in_content = false);
/// The ids alone, without the search for turns.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, const RenderOptions& options = {},
                                 bool parse_special_in_content = false);

/// A prompt as serving encodes it, and what a model has to write behind it.
struct TokenizedAnswer {
  std::vector<int32_t> ids;  ///< answer tokens, behind those of the prompt
  /// For each of `ids`, whether the assistant writes it; empty when all are its own. Results of tools are
  /// not.
  std::vector<uint8_t> assistant;
  bool rendered =
      true;  ///< prompt and answer together are the rendering of the conversation, token for token
};
/// The answer messages[before, end) to the prompt `prompt_ids`, which are encode_chat of the messages before
/// it with prompt_options (text/chat/turns.h). Where the template writes the earlier conversation otherwise
/// once the answer stands behind it, the answer is cut out of the whole and put behind the prompt. Throws
/// Error where it cannot be told.
TokenizedAnswer tokenize_answer(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                std::span<const Message> messages, size_t before,
                                std::span<const int32_t> prompt_ids, const RenderOptions& options,
                                bool parse_special_in_content = false);

}  // namespace fettle
