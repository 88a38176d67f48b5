#include "text/chat/turns.h"

#include <algorithm>

#include "text/chat/prepare.h"

namespace fettle {
namespace {

constexpr int32_t kOfVariable = -2;       // Rendered::Run::message of tools and the like
constexpr const char* kProbe = "Quozix";  // stands for an answer whose text is not known

using Part = Rendered::Run;

std::string_view text_of(const Rendered& rendered, const Part& part) {
  return std::string_view(rendered.text)
      .substr(static_cast<size_t>(part.begin), static_cast<size_t>(part.end - part.begin));
}

/// First and last byte of each message's own text. What is repeated behind a later message (a system message
/// at the end) does not count.
std::vector<std::pair<int64_t, int64_t>> contents_of(const Rendered& rendered, size_t count) {
  std::vector<std::pair<int64_t, int64_t>> spans(count, {-1, -1});
  int32_t latest = -1;
  for (const auto& run : rendered.runs) {
    if (run.message < 0) continue;
    auto& span = spans[static_cast<size_t>(run.message)];
    if (span.first >= 0 && run.message < latest) continue;
    if (span.first < 0) span.first = run.begin;
    span.second = run.end;
    latest = std::max(latest, run.message);
  }
  return spans;
}

bool of_template(const Part& part) {
  return part.message < 0 && part.message != kOfVariable;
}

/// How many bytes behind `at` in one and `other_at` in the other are the same: whole literals and whole
/// texts, so that what two of them begin with is never taken for shared.
int64_t shared_parts(const Rendered& one, int64_t at, const Rendered& other, int64_t other_at) {
  const auto from = [](const Rendered& rendered, int64_t position) {
    return std::lower_bound(rendered.parts.begin(), rendered.parts.end(), position,
                            [](const Part& part, int64_t p) { return part.begin < p; });
  };
  int64_t shared = 0;
  auto a = from(one, at), b = from(other, other_at);
  for (; a != one.parts.end() && b != other.parts.end(); ++a, ++b) {
    const bool alike = a->message == b->message || (of_template(*a) && of_template(*b));
    if (a->begin != at + shared || b->begin != other_at + shared || !alike ||
        text_of(one, *a) != text_of(other, *b))
      break;
    shared = a->end - at;
  }
  return shared;
}

/// Where `longer` goes on behind `shorter`.
int64_t behind(const Rendered& longer, const Rendered& shorter) {
  if (longer.text.starts_with(shorter.text)) return static_cast<int64_t>(shorter.text.size());
  return shared_parts(longer, 0, shorter, 0);
}

bool has_calls(const Message& message) {
  return message.extra.is_object() && message.extra.contains("tool_calls") &&
         !message.extra["tool_calls"].empty();
}

}  // namespace

std::vector<Tokenizer::Piece> pieces_of(const Rendered& rendered, int64_t begin, int64_t end,
                                        bool parse_special_in_content) {
  std::vector<Tokenizer::Piece> pieces;
  for (const auto& run : rendered.runs) {
    if (run.end <= begin || run.begin >= end) continue;
    const int64_t from = std::max(run.begin, begin), to = std::min(run.end, end);
    pieces.push_back(
        {std::string_view(rendered.text).substr(static_cast<size_t>(from), static_cast<size_t>(to - from)),
         run.message == -1 || parse_special_in_content});
  }
  return pieces;
}

RenderOptions prompt_options(const ChatTemplate& chat, const Message& message, const RenderOptions& options) {
  RenderOptions prompt = options;
  prompt.add_generation_prompt = true;
  const TemplateTraits& traits = chat.traits();
  if (!traits.opens_thought || traits.thinking_switch.empty() || has_thought(chat, message)) return prompt;
  if (!prompt.variables.is_object()) prompt.variables = OrderedJson::object();
  if (!prompt.variables.contains(traits.thinking_switch)) prompt.variables[traits.thinking_switch] = false;
  return prompt;
}

TurnFinder::TurnFinder(const Tokenizer& tokenizer, const ChatTemplate& chat,
                       std::span<const Message> messages, const RenderOptions& options, const Rendered& whole,
                       const Tokenizer::Encoding& encoding, bool parse_special_in_content)
    : tokenizer_(tokenizer),
      chat_(chat),
      messages_(messages),
      options_(options),
      whole_(whole),
      encoding_(encoding),
      parse_special_in_content_(parse_special_in_content),
      contents_(contents_of(whole, messages.size())) {}

std::vector<Turn> TurnFinder::find() {
  const auto size = static_cast<int64_t>(whole_.text.size());
  std::vector<Turn> turns;
  Shorter before = prefix(0);
  int64_t begin = start(before);
  for (size_t i = 0; i < messages_.size(); ++i) {
    const bool closes = i + 1 == messages_.size() && !options_.add_generation_prompt;
    Shorter through = closes ? Shorter(std::nullopt) : prefix(i + 1);
    const int64_t end = closes ? size : std::max(begin, turn_end(i, begin, through));
    Turn turn{begin, end, end};
    if (messages_[i].role == "assistant") {
      const Rendered nothing;
      find_answer(i, turn, before, closes ? whole_ : through ? *through : nothing);
    }
    turns.push_back(turn);
    begin = end;
    before = std::move(through);
  }
  // A generation prompt at the end belongs to no answer yet; it counts to the last message's turn.
  return turns;
}

// The template may refuse a part of a conversation (no user message, roles that do not alternate): then there
// is none.
TurnFinder::Shorter TurnFinder::render(std::span<const Message> messages,
                                       const RenderOptions& options) const {
  try {
    return chat_.render_as_given(messages, options);
  } catch (const Error&) {
    return std::nullopt;
  }
}

TurnFinder::Shorter TurnFinder::prefix(size_t count) const {
  RenderOptions options = options_;
  options.add_generation_prompt = false;
  return render(messages_.first(count), options);
}

int64_t TurnFinder::next_content(size_t after) const {
  for (size_t i = after; i < contents_.size(); ++i) {
    if (contents_[i].first >= 0) return contents_[i].first;
  }
  return static_cast<int64_t>(whole_.text.size());
}

// What stands before any message (a BOS token).
int64_t TurnFinder::start(const Shorter& before) const {
  if (!before || !whole_.text.starts_with(before->text)) return 0;
  return std::min(static_cast<int64_t>(before->text.size()), next_content(0));
}

int64_t TurnFinder::turn_end(size_t i, int64_t begin, const Shorter& through) const {
  const int64_t next = next_content(i + 1);
  if (contents_[i].first > next) return begin;  // it stands behind a later message
  int64_t least = std::max(begin, contents_[i].second);
  if (!through) return least;
  const auto size = static_cast<int64_t>(through->text.size());
  if (size >= least && size <= std::max(least, next) && whole_.text.starts_with(through->text)) return size;
  // The template writes this message otherwise when it is the last one (adds EOS, keeps its reasoning, leaves
  // the turn open for a tool's result). What both have behind the message ends the turn.
  const auto own = contents_of(*through, i + 1)[i];
  if ((contents_[i].first < 0) != (own.first < 0)) return least;
  int64_t at = std::max<int64_t>(contents_[i].first, 0), other = std::max<int64_t>(own.first, 0);
  const int64_t own_size = std::max<int64_t>(own.second - other, 0);
  if (shared_parts(whole_, at, *through, other) >= own_size) {
    // All of the message stands here; what comes of it later is a repetition, such as a call's name before
    // its result.
    at += own_size;
    other += own_size;
    least = std::max(begin, at);
  } else {
    at = std::max<int64_t>(contents_[i].second, 0);
    other = std::max<int64_t>(own.second, 0);
  }
  const int64_t most = std::max(least, next);
  const std::string_view tail = std::string_view(through->text).substr(static_cast<size_t>(other));
  const auto tail_size = static_cast<int64_t>(tail.size());
  if (std::string_view(whole_.text).substr(static_cast<size_t>(at)).starts_with(tail) &&
      at + tail_size <= most)
    return std::max(least, at + tail_size);
  const int64_t shared = shared_parts(whole_, at, *through, other);
  return std::clamp(behind_shared_tokens(at + shared, *through, other + shared), least, most);
}

/// Two literals may write the same end of turn; as one token it is the same.
int64_t TurnFinder::behind_shared_tokens(int64_t at, const Rendered& through, int64_t other) const {
  for (;;) {
    const auto found = std::lower_bound(encoding_.begins.begin(), encoding_.begins.end(), at);
    if (found == encoding_.begins.end() || *found != at) return at;
    const int32_t id = encoding_.ids[static_cast<size_t>(found - encoding_.begins.begin())];
    if (!tokenizer_.is_special(id)) return at;
    const std::string token = tokenizer_.token(id);
    if (token.empty() || through.text.compare(static_cast<size_t>(other), token.size(), token) != 0)
      return at;
    at += static_cast<int64_t>(token.size());
    other += static_cast<int64_t>(token.size());
  }
}

/// Where the answer begins when the text before it is not the prompt it answers: the earlier conversation is
/// written otherwise, or the turn's own header.
int64_t TurnFinder::header_end(size_t i, int64_t begin, int64_t end, const Shorter& prompt,
                               const Shorter& before) const {
  const std::string_view rest = std::string_view(whole_.text).substr(static_cast<size_t>(begin));
  std::optional<std::string_view> header;
  if (prompt && before)
    header = std::string_view(prompt->text).substr(static_cast<size_t>(behind(*prompt, *before)));
  if (header && rest.starts_with(*header)) return begin + static_cast<int64_t>(header->size());
  if (const auto found = end_of_written_header(i, begin, header, before)) return *found;
  if (!has_calls(messages_[i])) return contents_[i].first >= 0 ? contents_[i].first : end;
  fail(fmt::format("messages[{}]", i),
       "the chat template writes this turn otherwise than the prompt that it answers, and where the call "
       "begins cannot "
       "be told");
}

/// The header that stands before an answer of one word, if the text has it.
std::optional<int64_t> TurnFinder::end_of_written_header(size_t i, int64_t begin,
                                                         const std::optional<std::string_view>& header,
                                                         const Shorter& before) const {
  Messages messages(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(i));
  messages.push_back({"assistant", kProbe});
  RenderOptions options = options_;
  options.add_generation_prompt = false;
  const Shorter answered = render(messages, options);
  if (!answered || !before) return std::nullopt;
  const int64_t content = contents_of(*answered, i + 1)[i].first, from = behind(*answered, *before);
  if (content < from) return std::nullopt;
  std::string_view written =
      std::string_view(answered->text).substr(static_cast<size_t>(from), static_cast<size_t>(content - from));
  if (header && written.starts_with(*header)) written = *header;
  if (header && !header->starts_with(written)) return std::nullopt;
  if (!std::string_view(whole_.text).substr(static_cast<size_t>(begin)).starts_with(written))
    return std::nullopt;
  return begin + static_cast<int64_t>(written.size());
}

void TurnFinder::find_answer(size_t i, Turn& turn, const Shorter& before, const Rendered& through) {
  const Shorter prompt = render(messages_.first(i), prompt_options(chat_, messages_[i], options_));
  const int64_t size = prompt ? static_cast<int64_t>(prompt->text.size()) : 0;
  const bool stands =
      prompt && size >= turn.begin && size <= turn.end && whole_.text.starts_with(prompt->text);
  turn.written =
      stands ? size : std::clamp(header_end(i, turn.begin, turn.end, prompt, before), turn.begin, turn.end);
  const std::string_view answer =
      std::string_view(whole_.text)
          .substr(static_cast<size_t>(turn.written), static_cast<size_t>(turn.end - turn.written));
  turn.served = stands && through.text.starts_with(prompt->text) &&
                std::string_view(through.text).substr(static_cast<size_t>(size)).starts_with(answer) &&
                tokens_agree(size);
}

/// Whether the tokens before `at` are those of the text before it alone: what stands between two special
/// tokens does not depend on the rest.
bool TurnFinder::tokens_agree(int64_t at) {
  const auto& [ids, begins] = encoding_;
  const auto count = static_cast<size_t>(std::lower_bound(begins.begin(), begins.end(), at) - begins.begin());
  if (count < begins.size() ? begins[count] != at : at != static_cast<int64_t>(whole_.text.size()))
    return false;
  size_t first = count;
  while (first > 0 && (first == count || !tokenizer_.is_special(ids[first]))) --first;
  if (first == count) return true;
  const std::string_view stretch =
      std::string_view(whole_.text)
          .substr(static_cast<size_t>(begins[first]), static_cast<size_t>(at - begins[first]));
  if (checked_ != stretch) {
    checked_ids_ =
        tokenizer_
            .encode_pieces(pieces_of(whole_, begins[first], at, parse_special_in_content_), {.begins = false})
            .ids;
    checked_ = stretch;
  }
  return std::equal(checked_ids_.begin(), checked_ids_.end(),
                    ids.begin() + static_cast<std::ptrdiff_t>(first),
                    ids.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace fettle
