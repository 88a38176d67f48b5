#pragma once
// Texts with slots. What fills a slot is never looked at again, so that an answer that holds "{prompt}" stays as it is.
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::feedback {

using Slots = std::map<std::string, std::string, std::less<>>;

/// Immutable; safe to use from many threads.
class PromptTemplate {
 public:
  enum class Style : uint8_t {
    braces,   ///< "{name}", "{{" and "}}" for braces: Python's str.format, as FastChat's files are written
    replaced  ///< "{name}" for the first place of each known name, every other brace as it is: AlpacaEval's files
  };
  /// Throws Error(input) with `where`: a brace without its other half, and a name that is none of `known`.
  PromptTemplate(std::string_view text, Style style, const std::vector<std::string>& known, std::string_view where);

  /// Every slot must have a value.
  std::string fill(const Slots& slots) const;
  bool has(std::string_view slot) const;

 private:
  struct Piece {
    std::string text, slot;  ///< the text, then the slot; the last piece has none
  };
  void read_braces(std::string_view text, const std::vector<std::string>& known, std::string_view where);
  void read_replaced(std::string_view text, const std::vector<std::string>& known);

  std::vector<Piece> pieces_;
};

}  // namespace fettle::feedback
