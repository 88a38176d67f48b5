// Which tokens each message produced: by rendering the conversation's prefixes, for any template.
#include <algorithm>

#include "text/chat_template.h"

namespace fettle {
namespace {

// Where a turn stands in the text: its template text begins at `begin`, what the assistant itself wrote at
// `written`.
struct Turn {
  int64_t begin, written, end;
};

int64_t common_prefix(std::string_view left, std::string_view right) {
  const auto [a, b] = std::mismatch(left.begin(), left.end(), right.begin(), right.end());
  return a - left.begin();
}

// First and last byte of each message's own text; -1 where it has none.
std::vector<std::pair<int64_t, int64_t>> message_spans(const Rendered& rendered, size_t count) {
  std::vector<std::pair<int64_t, int64_t>> spans(count, {-1, -1});
  for (const auto& run : rendered.runs) {
    if (run.message < 0) continue;
    auto& span = spans[static_cast<size_t>(run.message)];
    if (span.first < 0) span.first = run.begin;
    span.second = run.end;
  }
  return spans;
}

class TurnFinder {
 public:
  TurnFinder(const ChatTemplate& chat, std::span<const Message> messages, const RenderOptions& options,
             const Rendered& whole, const std::vector<int64_t>& token_begins)
      : chat_(chat),
        messages_(messages),
        options_(options),
        whole_(whole),
        token_begins_(token_begins),
        spans_(message_spans(whole, messages.size())) {}

  std::vector<Turn> find() {
    const auto size = static_cast<int64_t>(whole_.text.size());
    std::vector<Turn> turns;
    int64_t begin = start();
    for (size_t i = 0; i < messages_.size(); ++i) {
      const bool last = i + 1 == messages_.size();
      const int64_t end =
          last && !options_.add_generation_prompt ? size : std::max(begin, turn_end(i, begin));
      int64_t written = end;
      if (messages_[i].role == "assistant") written = std::clamp(written_from(i, end), begin, end);
      turns.push_back({begin, written, end});
      begin = end;
    }
    // A generation prompt at the end belongs to no answer yet; it counts to the last message's turn.
    return turns;
  }

 private:
  // The template may refuse a prefix (no user message, roles that do not alternate): then there is none.
  std::optional<Rendered> prefix(size_t count, bool generation) const {
    RenderOptions options = options_;
    options.add_generation_prompt = generation;
    try {
      return chat_.render(messages_.first(count), options);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  int64_t next_span(size_t after) const {
    for (size_t i = after; i < spans_.size(); ++i) {
      if (spans_[i].first >= 0) return spans_[i].first;
    }
    return static_cast<int64_t>(whole_.text.size());
  }

  // What stands before any message (a BOS token).
  int64_t start() const {
    const auto empty = prefix(0, false);
    if (!empty || !whole_.text.starts_with(empty->text)) return 0;
    return std::min(static_cast<int64_t>(empty->text.size()), next_span(0));
  }

  int64_t turn_end(size_t i, int64_t begin) const {
    const int64_t least = std::max(begin, spans_[i].second);
    const int64_t most = std::max(least, next_span(i + 1));
    const auto shorter = prefix(i + 1, false);
    if (!shorter) return least;
    const auto size = static_cast<int64_t>(shorter->text.size());
    if (size >= least && size <= most && whole_.text.starts_with(shorter->text)) return size;
    // The template writes this message otherwise when it is the last one (adds EOS, keeps its reasoning).
    // What both texts have behind the message ends the turn.
    const int64_t end = message_spans(*shorter, i + 1)[i].second;
    if (end < 0 || spans_[i].second < 0) return least;
    const std::string_view tail = std::string_view(shorter->text).substr(static_cast<size_t>(end));
    const std::string_view rest = std::string_view(whole_.text).substr(static_cast<size_t>(spans_[i].second));
    return std::clamp(token_start(spans_[i].second + common_prefix(tail, rest)), least, most);
  }

  // Two endings may share the first bytes of different tokens.
  int64_t token_start(int64_t position) const {
    if (position == static_cast<int64_t>(whole_.text.size())) return position;
    const auto after = std::upper_bound(token_begins_.begin(), token_begins_.end(), position);
    return after == token_begins_.begin() ? position : *(after - 1);
  }

  int64_t written_from(size_t i, int64_t end) const {
    const auto prompt = prefix(i, true);
    if (prompt && whole_.text.starts_with(prompt->text)) return static_cast<int64_t>(prompt->text.size());
    return spans_[i].first >= 0 ? spans_[i].first : end;
  }

  const ChatTemplate& chat_;
  std::span<const Message> messages_;
  const RenderOptions& options_;
  const Rendered& whole_;
  const std::vector<int64_t>& token_begins_;
  std::vector<std::pair<int64_t, int64_t>> spans_;
};

Tokenizer::Encoding encode_rendered(const Tokenizer& tokenizer, const Rendered& rendered,
                                    bool parse_special_in_content, bool begins) {
  std::vector<Tokenizer::Piece> pieces;
  for (const auto& run : rendered.runs) {
    const std::string_view text =
        std::string_view(rendered.text)
            .substr(static_cast<size_t>(run.begin), static_cast<size_t>(run.end - run.begin));
    pieces.push_back({text, run.message == -1 || parse_special_in_content});
  }
  return tokenizer.encode_pieces(pieces, {.begins = begins});
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
  Rendered rendered = chat.render(messages, options);
  Tokenizer::Encoding encoding = encode_rendered(tokenizer, rendered, parse_special_in_content, true);
  const std::vector<Turn> turns = TurnFinder(chat, messages, options, rendered, encoding.begins).find();

  TokenizedChat out;
  out.ids = std::move(encoding.ids);
  const size_t count = out.ids.size();
  out.turn.assign(count, -1);
  out.assistant.assign(count, 0);
  out.weight.assign(count, 0.0F);
  size_t turn = 0;
  for (size_t i = 0; i < count; ++i) {
    const int64_t begin = encoding.begins[i];
    while (turn + 1 < turns.size() && begin >= turns[turn].end) ++turn;
    if (turns.empty() || begin < turns[turn].begin) continue;
    out.turn[i] = static_cast<int32_t>(turn);
    if (begin < turns[turn].written || begin >= turns[turn].end) continue;
    out.assistant[i] = 1;
    out.weight[i] = static_cast<float>(messages[turn].weight);
  }
  out.text = std::move(rendered.text);
  return out;
}

}  // namespace fettle
