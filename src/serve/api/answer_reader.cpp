#include "serve/api/answer_reader.h"

#include <algorithm>
#include <array>

namespace fettle::serve {
namespace {

constexpr std::array<ThoughtMarks, 2> known_marks{{{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}}};
constexpr std::string_view blanks = " \n\r\t";

/// Bytes at the end of `text` that could be the beginning of `mark`.
size_t begun(std::string_view text, std::string_view mark) {
  size_t held = std::min(mark.size(), text.size());
  while (held > 0 && !mark.starts_with(text.substr(text.size() - held))) --held;
  return held;
}

/// Bytes of `text` before a run of `set` at its end.
size_t without_tail(std::string_view text, std::string_view set) {
  const size_t last = text.find_last_not_of(set);
  return last == std::string_view::npos ? 0 : last + 1;
}

}  // namespace

std::optional<ThoughtMarks> thought_marks_of(const std::string& source, const Tokenizer& tokenizer) {
  for (ThoughtMarks marks : known_marks) {
    if (source.find(marks.close) == std::string::npos) continue;
    const auto ids = tokenizer.encode(std::string(marks.open), {.add_special = false, .parse_special = true});
    marks.special = ids.size() == 1 && tokenizer.is_special(ids.front());
    return marks;
  }
  return std::nullopt;
}

std::vector<std::string> all_thought_marks() {
  std::vector<std::string> all;
  for (const ThoughtMarks& marks : known_marks) all.insert(all.end(), {std::string(marks.open), std::string(marks.close)});
  return all;
}

bool opens_thought(const ThoughtMarks& marks, std::string_view prompt) {
  return prompt.substr(0, without_tail(prompt, blanks)).ends_with(marks.open);
}

bool closes_thought(const ThoughtMarks& marks, std::string_view prompt) {
  return prompt.substr(0, without_tail(prompt, blanks)).ends_with(marks.close);
}

/// An answer that thinks says so at once; marks further down are text.
bool AnswerReader::read_start() {
  const size_t begin = held_.find_first_not_of(blanks);
  const std::string_view open = form_.thoughts->open;
  const std::string_view head = begin == std::string::npos ? "" : std::string_view(held_).substr(begin);
  if (head.size() < open.size() && open.starts_with(head)) return false;
  state_ = State::content;
  if (!head.starts_with(open)) return true;
  seen_ += begin + open.size();
  held_.erase(0, begin + open.size());
  state_ = State::thought_start;
  return true;
}

bool AnswerReader::read_thought(AnswerParts& out) {
  const std::string_view close = form_.thoughts->close;
  const size_t found = held_.find(close);
  const bool ends = found != std::string::npos;
  const size_t sure = without_tail(
      std::string_view(held_).substr(0, ends ? found : held_.size() - begun(held_, close)), "\n");
  out.thoughts += held_.substr(0, sure);
  const size_t taken = ends ? found + close.size() : sure;
  seen_ += taken;
  held_.erase(0, taken);
  if (!ends) return false;
  out.thought_bytes = seen_;
  state_ = State::gap;
  return true;
}

bool AnswerReader::read_content(AnswerParts& out) {
  size_t sure = held_.size();
  if (form_.tools) {
    const std::string_view marker = tool_marker(*form_.tools);
    const size_t found = held_.find(marker);
    if (found != std::string::npos) state_ = State::calls;  // a bare call's marker is empty: all is held
    sure = found != std::string::npos ? found : held_.size() - begun(held_, marker);
    sure = without_tail(std::string_view(held_).substr(0, sure), blanks);
  }
  out.content += held_.substr(0, sure);
  seen_ += sure;
  held_.erase(0, sure);
  return false;
}

bool AnswerReader::step(AnswerParts& out) {
  switch (state_) {
    case State::start:
      return read_start();
    case State::thought_start:
    case State::gap: {
      const size_t newlines = std::min(held_.find_first_not_of('\n'), held_.size());
      seen_ += newlines;
      held_.erase(0, newlines);
      if (held_.empty()) return false;
      state_ = state_ == State::gap ? State::content : State::thought;
      return true;
    }
    case State::thought:
      return read_thought(out);
    case State::content:
      return read_content(out);
    case State::calls:
      return false;
  }
  return false;
}

AnswerParts AnswerReader::push(std::string_view text) {
  AnswerParts out;
  held_ += text;
  while (step(out)) {
  }
  return out;
}

AnswerParts AnswerReader::finish() {
  AnswerParts out;
  if (state_ == State::thought || state_ == State::thought_start) {
    out.thoughts = held_.substr(0, without_tail(held_, "\n"));
    out.thought_bytes = seen_ + held_.size();
  } else if (form_.tools) {
    ToolAnswer answer = read_tool_calls(*form_.tools, held_, form_.tool_names);
    out.content = std::move(answer.content);
    out.calls = std::move(answer.calls);
  } else {
    out.content = held_;
  }
  seen_ += held_.size();
  held_.clear();
  return out;
}

AnswerParts read_answer(const AnswerForm& form, std::string_view text) {
  AnswerReader reader(form);
  AnswerParts all = reader.push(text);
  AnswerParts rest = reader.finish();
  all.thoughts += rest.thoughts;
  all.content += rest.content;
  all.calls = std::move(rest.calls);
  all.thought_bytes = std::max(all.thought_bytes, rest.thought_bytes);
  return all;
}

}  // namespace fettle::serve
