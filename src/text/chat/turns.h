#pragma once
// Where each message's turn stands in a rendered conversation, for any template: found by rendering parts of
// the conversation and comparing them literal by literal.
#include <optional>
#include <span>
#include <vector>

#include "text/chat/chat_template.h"

namespace fettle {

/// Positions in bytes. The template's text for the message begins at `begin`; what the assistant itself
/// writes is [written, end), empty for other roles.
struct Turn {
  int64_t begin, written, end;
  /// What the assistant writes here is what it would have to write behind its own prompt, token for token.
  /// False for a turn that the template writes otherwise once others follow, such as one whose thought it
  /// drops.
  bool served = true;
};

/// The options of the prompt that `message` answers: thinking is switched off where the template opens a
/// thought, the answer has none and the template can do without one.
RenderOptions prompt_options(const ChatTemplate& chat, const Message& message, const RenderOptions& options);

class TurnFinder {
 public:
  /// `messages` are prepared (text/chat/prepare.h), `whole` is their rendering with parts, `encoding` its
  /// tokens with their begins. All must outlive it.
  TurnFinder(const Tokenizer& tokenizer, const ChatTemplate& chat, std::span<const Message> messages,
             const RenderOptions& options, const Rendered& whole, const Tokenizer::Encoding& encoding,
             bool parse_special_in_content);

  /// One turn a message, in order. Throws Error when it cannot be told where an answer with tool calls
  /// begins.
  std::vector<Turn> find();

 private:
  using Shorter = std::optional<Rendered>;
  Shorter render(std::span<const Message> messages, const RenderOptions& options) const;
  Shorter prefix(size_t count) const;
  int64_t next_content(size_t after) const;
  int64_t start(const Shorter& before) const;
  int64_t turn_end(size_t i, int64_t begin, const Shorter& through) const;
  int64_t behind_shared_tokens(int64_t at, const Rendered& through, int64_t other) const;
  int64_t header_end(size_t i, int64_t begin, int64_t end, const Shorter& prompt,
                     const Shorter& before) const;
  std::optional<int64_t> end_of_written_header(size_t i, int64_t begin,
                                               const std::optional<std::string_view>& header,
                                               const Shorter& before) const;
  void find_answer(size_t i, Turn& turn, const Shorter& before, const Rendered& through);
  bool tokens_agree(int64_t at);

  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_;
  std::span<const Message> messages_;
  const RenderOptions& options_;
  const Rendered& whole_;
  const Tokenizer::Encoding& encoding_;
  bool parse_special_in_content_;
  std::vector<std::pair<int64_t, int64_t>>
      contents_;         ///< first and last byte of each message's own text; -1 if none
  std::string checked_;  ///< a prompt's end, and the tokens it is by itself
  std::vector<int32_t> checked_ids_;
};

/// The runs of [begin, end) of a rendering as pieces of a text.
std::vector<Tokenizer::Piece> pieces_of(const Rendered& rendered, int64_t begin, int64_t end,
                                        bool parse_special_in_content);

}  // namespace fettle
