#pragma once
// Strings of a template: UTF-8 with a record of where each byte came from, and the Unicode facts Python's str
// needs.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::jinja {

inline constexpr int32_t kFromTemplate = -1;  ///< the template's own text
inline constexpr int32_t kFromVariable = -2;  ///< a variable that is no message (tools, documents)
/// And below: a literal of the template, each its own, so that texts that two literals share are told apart.
inline constexpr int32_t kFirstLiteral = -3;
inline bool is_of_template(int32_t source) {
  return source < 0 && source != kFromVariable;
}

/// UTF-8 bytes and runs of their origins. Every operation of a template carries the runs along.
class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, int32_t source = kFromTemplate)
      : bytes_(std::move(bytes)), source_(source) {}

  void append(std::string_view piece, int32_t source);
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, size_t begin, size_t end);  ///< bytes [begin, end) of `other`
  Text slice(size_t begin, size_t end) const;                ///< bytes [begin, end)
  void reserve(size_t size) { bytes_.reserve(size); }

  const std::string& bytes() const { return bytes_; }
  std::string take_bytes() { return std::move(bytes_); }  ///< the text is done with
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  int32_t source_at(size_t byte) const;
  /// For results whose bytes match no byte of this text: the first source that is not the template, else the
  /// template.
  int32_t main_source() const;

  struct Run {
    int64_t end;  ///< the run covers the bytes from the previous run's end up to here
    int32_t source;
  };
  std::vector<Run> runs() const;  ///< covers all bytes, neighbours differ; empty for an empty text

 private:
  std::string bytes_;
  int32_t source_ = kFromTemplate;  ///< of every byte while runs_ is empty
  std::vector<Run> runs_;
};

/// The character at `position`, which moves behind it. A byte that starts no character yields 0xDC00 + byte.
uint32_t next_character(std::string_view text, size_t& position);
void append_character(std::string& out, uint32_t character);  ///< the inverse, such bytes included
int64_t count_characters(std::string_view text);
/// Byte offset of character `index`; text.size() when there are fewer.
size_t offset_of_character(std::string_view text, int64_t index);

bool is_space(uint32_t character);      ///< str.isspace
bool is_line_end(uint32_t character);   ///< where str.splitlines cuts
bool is_printable(uint32_t character);  ///< str.isprintable
bool is_alphabetic(uint32_t character);
bool is_decimal(uint32_t character);

Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);
Text title(const Text& text);                ///< str.title: every run of letters starts upper case
bool is_upper(std::string_view text);        ///< str.isupper
bool is_lower(std::string_view text);        ///< str.islower
std::string escaped(std::string_view text);  ///< repr(str)

enum class Side { both, left, right };
/// str.strip: white space, or any character of `characters` when given.
Text strip(const Text& text, Side side, const std::string* characters = nullptr);

}  // namespace fettle::jinja
