#include "feedback/prompt_template.h"

#include <algorithm>

#include "base/error.h"

namespace fettle::feedback {

PromptTemplate::PromptTemplate(std::string_view text, Style style, const std::vector<std::string>& known, std::string_view where) {
  if (style == Style::braces) {
    read_braces(text, known, where);
  } else {
    read_replaced(text, known);
  }
}

void PromptTemplate::read_braces(std::string_view text, const std::vector<std::string>& known, std::string_view where) {
  Piece piece;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      piece.text += c;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      piece.text += c;
      ++at;
    } else if (c == '}') {
      fail(where, "has a '}}' without its '{{'; write it twice where a brace is meant");
    } else {
      const size_t end = text.find('}', at);
      if (end == std::string_view::npos) fail(where, "has a '{{' without its '}}'; write it twice where a brace is meant");
      piece.slot = text.substr(at + 1, end - at - 1);
      if (std::ranges::find(known, piece.slot) == known.end())
        fail(where, "'{{{}}}' is nothing that this call can show; it has {}", piece.slot, fmt::join(known, ", "));
      pieces_.push_back(std::exchange(piece, {}));
      at = end;
    }
  }
  pieces_.push_back(std::move(piece));
}

void PromptTemplate::read_replaced(std::string_view text, const std::vector<std::string>& known) {
  struct Place {
    size_t at;
    const std::string* name;
  };
  std::vector<Place> places;
  for (const std::string& name : known) {
    const size_t at = text.find("{" + name + "}");
    if (at != std::string_view::npos) places.push_back({at, &name});
  }
  std::ranges::sort(places, {}, &Place::at);
  size_t begin = 0;
  for (const Place& place : places) {
    pieces_.push_back({std::string(text.substr(begin, place.at - begin)), *place.name});
    begin = place.at + place.name->size() + 2;
  }
  pieces_.push_back({std::string(text.substr(begin)), ""});
}

std::string PromptTemplate::fill(const Slots& slots) const {
  std::string text;
  for (const Piece& piece : pieces_) {
    text += piece.text;
    if (piece.slot.empty()) continue;
    const auto value = slots.find(piece.slot);
    FETTLE_CHECK(value != slots.end());
    text += value->second;
  }
  return text;
}

bool PromptTemplate::has(std::string_view slot) const {
  return std::ranges::any_of(pieces_, [&](const Piece& piece) { return piece.slot == slot; });
}

}  // namespace fettle::feedback
