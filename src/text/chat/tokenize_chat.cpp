// Which tokens each message produced, and which an answer has to have behind its prompt.
#include <algorithm>

#include "text/chat/chat_template.h"
#include "text/chat/prepare.h"
#include "text/chat/turns.h"

namespace fettle {
namespace {

Tokenizer::Encoding encode_rendered(const Tokenizer& tokenizer, const Rendered& rendered,
                                    bool parse_special_in_content, bool begins) {
  const auto size = static_cast<int64_t>(rendered.text.size());
  return tokenizer.encode_pieces(pieces_of(rendered, 0, size, parse_special_in_content), {.begins = begins});
}

/// A conversation with its turns.
struct Marked {
  Rendered rendered;
  Tokenizer::Encoding encoding;
  std::vector<Turn> turns;
};

Marked mark(const Tokenizer& tokenizer, const ChatTemplate& chat, std::span<const Message> messages,
            RenderOptions options, bool parse_special_in_content) {
  const PreparedMessages prepared(chat, messages);
  options.parts = true;
  Marked out;
  out.rendered = chat.render_as_given(prepared.span(), options);
  out.encoding = encode_rendered(tokenizer, out.rendered, parse_special_in_content, true);
  out.turns = TurnFinder(tokenizer, chat, prepared.span(), options, out.rendered, out.encoding,
                         parse_special_in_content)
                  .find();
  return out;
}

/// Behind a prompt that does not stand in the conversation: the tokens of the answer in it. One that reaches
/// into the template's text before the answer is cut there.
TokenizedAnswer cut_out(const Tokenizer& tokenizer, const Marked& marked, std::span<const Message> messages,
                        size_t before, bool parse_special_in_content) {
  const Turn& first = marked.turns[before];
  if (messages[before].role != "assistant" || first.written == first.end) {
    fail(fmt::format("messages[{}]", before),
         "the chat template writes the conversation before the answer otherwise once the answer stands "
         "behind it, and "
         "where the answer begins cannot be told");
  }
  const auto& begins = marked.encoding.begins;
  auto token =
      static_cast<size_t>(std::lower_bound(begins.begin(), begins.end(), first.written) - begins.begin());
  TokenizedAnswer answer;
  answer.rendered = false;
  const int64_t whole_from =
      token < begins.size() ? begins[token] : static_cast<int64_t>(marked.rendered.text.size());
  if (whole_from > first.written) {
    answer.ids =
        tokenizer
            .encode_pieces(pieces_of(marked.rendered, first.written, whole_from, parse_special_in_content),
                           {.begins = false})
            .ids;
    std::string spelled;
    for (const int32_t id : answer.ids) spelled += tokenizer.bytes(id);
    if (spelled !=
        std::string_view(marked.rendered.text)
            .substr(static_cast<size_t>(first.written), static_cast<size_t>(whole_from - first.written)))
      fail(fmt::format("messages[{}]", before),
           "the answer's first token and the prompt's last are one, and this tokenizer cannot part them");
  }
  answer.assistant.assign(answer.ids.size(), 1);
  for (size_t turn = before; token < begins.size(); ++token) {
    while (turn + 1 < marked.turns.size() && begins[token] >= marked.turns[turn].end) ++turn;
    answer.ids.push_back(marked.encoding.ids[token]);
    answer.assistant.push_back(begins[token] >= marked.turns[turn].written &&
                               begins[token] < marked.turns[turn].end);
  }
  return answer;
}

}  // namespace

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                 std::span<const Message> messages, const RenderOptions& options,
                                 bool parse_special_in_content) {
  return encode_rendered(tokenizer, chat.render(messages, options), parse_special_in_content, false).ids;
}

TokenizedChat tokenize_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                            std::span<const Message> messages, const RenderOptions& options,
                            bool parse_special_in_content) {
  Marked marked = mark(tokenizer, chat, messages, options, parse_special_in_content);
  const auto& turns = marked.turns;
  const auto& begins = marked.encoding.begins;
  TokenizedChat out;
  out.ids = std::move(marked.encoding.ids);
  const size_t count = out.ids.size();
  out.turn.assign(count, -1);
  out.assistant.assign(count, 0);
  out.weight.assign(count, 0.0F);
  size_t turn = 0;
  for (size_t i = 0; i < count; ++i) {
    const int64_t begin = begins[i];
    while (turn + 1 < turns.size() && begin >= turns[turn].end) ++turn;
    if (turns.empty() || begin < turns[turn].begin) continue;
    out.turn[i] = static_cast<int32_t>(turn);
    if (begin < turns[turn].written || begin >= turns[turn].end) continue;
    out.assistant[i] = 1;
    out.weight[i] = static_cast<float>(messages[turn].weight);
  }
  for (size_t i = 0; i < turns.size(); ++i) {
    if (messages[i].role != "assistant" || messages[i].weight == 0) continue;
    ++out.answers;
    out.unserved += !turns[i].served;
  }
  out.text = std::move(marked.rendered.text);
  return out;
}

TokenizedAnswer tokenize_answer(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                std::span<const Message> messages, size_t before,
                                std::span<const int32_t> prompt_ids, const RenderOptions& options,
                                bool parse_special_in_content) {
  const auto answer = messages.subspan(before);
  const bool mixed =
      std::any_of(answer.begin(), answer.end(), [](const Message& m) { return m.role == "tool"; });
  if (!mixed) {
    TokenizedAnswer out;
    out.ids = encode_chat(tokenizer, chat, messages, options, parse_special_in_content);
    if (out.ids.size() >= prompt_ids.size() &&
        std::equal(prompt_ids.begin(), prompt_ids.end(), out.ids.begin())) {
      out.ids.erase(out.ids.begin(), out.ids.begin() + static_cast<std::ptrdiff_t>(prompt_ids.size()));
      return out;
    }
  }
  const Marked marked = mark(tokenizer, chat, messages, options, parse_special_in_content);
  TokenizedAnswer out = cut_out(tokenizer, marked, messages, before, parse_special_in_content);
  const auto& ids = marked.encoding.ids;
  out.rendered = ids.size() == prompt_ids.size() + out.ids.size() &&
                 std::equal(prompt_ids.begin(), prompt_ids.end(), ids.begin());
  return out;
}

}  // namespace fettle
