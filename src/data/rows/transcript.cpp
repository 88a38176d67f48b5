// A conversation written as one text: "Human: … Assistant: …" (HH-RLHF), "### Human: … ### Assistant: …"
// (Guanaco), "USER: … ASSISTANT: … FUNCTION RESPONSE: …" (Vicuna, Glaive).
#include <algorithm>
#include <array>

#include "data/rows/turns.h"

namespace fettle::data {
namespace {

struct Mark {
  std::string_view text, role;
};
/// One way of writing; marks stand at the beginning of a line, or anywhere where the mark itself tells.
struct Style {
  std::array<Mark, 4> marks;  ///< user, assistant, system, tool
  bool anywhere;
};
constexpr std::array<Style, 7> styles{
    {{{{{"Human:", "user"}, {"Assistant:", "assistant"}, {"System:", "system"}, {"", ""}}}, false},
     {{{{"### Human:", "user"}, {"### Assistant:", "assistant"}, {"### System:", "system"}, {"", ""}}}, true},
     {{{{"USER:", "user"},
        {"ASSISTANT:", "assistant"},
        {"SYSTEM:", "system"},
        {"FUNCTION RESPONSE:", "tool"}}},
      false},
     {{{{"User:", "user"}, {"Assistant:", "assistant"}, {"System:", "system"}, {"", ""}}}, false},
     {{{{"HUMAN:", "user"}, {"ASSISTANT:", "assistant"}, {"SYSTEM:", "system"}, {"", ""}}}, false},
     {{{{"[|Human|]", "user"}, {"[|AI|]", "assistant"}, {"[|System|]", "system"}, {"", ""}}}, true},
     {{{{"### User:", "user"}, {"### Assistant:", "assistant"}, {"### System:", "system"}, {"", ""}}},
      true}}};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t\n\r\f\v";
  const auto first = text.find_first_not_of(space);
  return first == std::string_view::npos ? std::string_view{}
                                         : text.substr(first, text.find_last_not_of(space) - first + 1);
}

/// Texts that were dumped with the end-of-text token of a tokenizer carry it behind each answer.
std::string_view without_end(std::string_view text) {
  for (bool cut = true; cut;) {
    text = trimmed(text);
    cut = false;
    for (const std::string_view end : {"<|endoftext|>", "</s>", "<|im_end|>", "<|end|>"}) {
      if (!text.ends_with(end)) continue;
      text.remove_suffix(end.size());
      cut = true;
    }
  }
  return text;
}

const Mark* mark_at(const Style& style, std::string_view text) {
  for (const auto& mark : style.marks) {
    if (!mark.text.empty() && text.starts_with(mark.text)) return &mark;
  }
  return nullptr;
}

/// The style that the text begins in: with what the user or the system says.
const Style* style_of(std::string_view text) {
  const std::string_view start = trimmed(text);
  const auto found = std::find_if(styles.begin(), styles.end(), [&](const Style& style) {
    const Mark* mark = mark_at(style, start);
    return mark != nullptr && (mark->role == "user" || mark->role == "system");
  });
  return found == styles.end() ? nullptr : &*found;
}

struct FoundMark {
  const Mark* mark;
  size_t at;
};

std::vector<FoundMark> marks_in(const Style& style, std::string_view text) {
  std::vector<FoundMark> found;
  // Where turns are parted by blank lines, a mark behind a single line end belongs to what is said.
  const std::string second = "\n\n" + std::string(style.marks[1].text);
  const bool blank_lines = !style.anywhere && text.find(second) != std::string_view::npos;
  const size_t begin = text.find_first_not_of(" \t\n\r\f\v");
  for (size_t at = begin; at < text.size(); ++at) {
    const bool start = at == begin || style.anywhere ||
                       (text[at - 1] == '\n' && (!blank_lines || (at > 1 && text[at - 2] == '\n')));
    if (!start) continue;
    if (const Mark* mark = mark_at(style, text.substr(at))) {
      found.push_back({mark, at});
      at += mark->text.size() - 1;
    }
  }
  return found;
}

}  // namespace

bool is_transcript(std::string_view text) {
  const Style* style = style_of(text);
  if (style == nullptr) return false;
  const auto marks = marks_in(*style, text);
  return std::any_of(marks.begin(), marks.end(),
                     [](const FoundMark& one) { return one.mark->role == "assistant"; });
}

Messages turns_of_transcript(std::string_view text) {
  Messages messages;
  const Style* style = style_of(text);
  if (style == nullptr) return messages;
  const auto marks = marks_in(*style, text);
  for (size_t i = 0; i < marks.size(); ++i) {
    const size_t begin = marks[i].at + marks[i].mark->text.size(),
                 end = i + 1 < marks.size() ? marks[i + 1].at : text.size();
    const auto said = without_end(text.substr(begin, end - begin));
    if (said.empty() && i + 1 == marks.size()) break;
    Message message;
    message.role = marks[i].mark->role;
    message.content = said;
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace fettle::data
