#pragma once
// An answer's text taken apart, whichever API it goes out through: thoughts, what is said, calls of tools.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/tools.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::serve {

/// The marks around a model's thoughts.
struct ThoughtMarks {
  std::string_view open, close;
  bool special = false;  ///< they are special tokens, which an answer's text shows only when asked to
};
/// From the template's source; none when the model writes no thoughts of its own.
std::optional<ThoughtMarks> thought_marks_of(const std::string& template_source, const Tokenizer& tokenizer);
/// All that any model writes. In some vocabularies they are special tokens.
std::vector<std::string> all_thought_marks();
/// Whether a rendered prompt ends inside a thought, so that the answer begins in it.
bool opens_thought(const ThoughtMarks& marks, std::string_view prompt);
/// Whether it ends behind one, so that the answer has none.
bool closes_thought(const ThoughtMarks& marks, std::string_view prompt);

/// How the answers to one request are read.
struct AnswerForm {
  std::optional<ThoughtMarks> thoughts;
  bool begins_in_thought = false;
  std::optional<ToolFormat> tools;      ///< set when there are any
  std::vector<std::string> tool_names;  ///< calls of these are read out of the answer
};

struct AnswerParts {
  std::string thoughts;  ///< without the newlines around them, as templates write them back
  std::string content;
  std::vector<ToolCall> calls;
  size_t thought_bytes = 0;  ///< of the text, up to the end of the thoughts with their marks
};

/// Takes a text piece by piece and hands out what is certain: no beginning of a mark or of a call.
class AnswerReader {
 public:
  explicit AnswerReader(const AnswerForm& form) : form_(form) {
    if (!form.thoughts) state_ = State::content;
    if (form.thoughts && form.begins_in_thought) state_ = State::thought_start;
  }
  /// `form` must outlive the reader. Returns what the piece adds; calls come with finish() alone.
  AnswerParts push(std::string_view text);
  AnswerParts finish();

 private:
  enum class State : uint8_t { start, thought_start, thought, gap, content, calls };
  /// One step; false when it needs more text.
  bool step(AnswerParts& out);
  bool read_start();
  bool read_thought(AnswerParts& out);
  bool read_content(AnswerParts& out);

  const AnswerForm& form_;
  State state_ = State::start;
  std::string held_;
  size_t seen_ = 0;  ///< bytes that left `held_`
};

/// The same for a whole text.
AnswerParts read_answer(const AnswerForm& form, std::string_view text);

}  // namespace fettle::serve
