#include "feedback/rated_texts.h"

#include <algorithm>
#include <string>
#include <vector>

#include "feedback/reply_text.h"

namespace fettle::feedback {
namespace {

/// A line "Name: value", which Markdown may stand around: "**Rating:** 4". Returns what stands behind it, or none.
std::optional<std::string_view> labelled(std::string_view line, std::string_view name) {
  const auto skip = [&] {
    while (!line.empty() && std::string_view(" \t*_-#").find(line.front()) != std::string_view::npos) line.remove_prefix(1);
  };
  skip();
  if (!line.starts_with(name)) return std::nullopt;
  line.remove_prefix(name.size());
  while (!line.empty() && line.front() == '*') line.remove_prefix(1);
  if (!line.starts_with(':')) return std::nullopt;
  line.remove_prefix(1);
  while (!line.empty() && line.front() == '*') line.remove_prefix(1);
  return trimmed(line);
}

/// The blocks of a reply that begin with a line of this label; headings between them belong to none.
std::vector<std::string> blocks_of(std::string_view reply, std::string_view label) {
  std::vector<std::string> blocks;
  for (const std::string_view line : split_at(reply, "\n")) {
    if (labelled(line, label)) blocks.emplace_back();
    if (blocks.empty() || line.starts_with('#')) continue;
    blocks.back().append(line).append("\n");
  }
  return blocks;
}

/// As the published pattern has it: `before`, the shortest text up to "\n" + `after`.
struct Cut {
  std::string_view inside, rest;
};
std::optional<Cut> between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t from = begin + before.size(), end = text.find(after, from + 1);
  if (end == std::string_view::npos || end <= from) return std::nullopt;
  return Cut{text.substr(from, end - from), text.substr(end + after.size())};
}

std::optional<TextReading> rating_of(std::string_view said, bool as_published) {
  TextReading reading;
  reading.details["Rating"] = std::string(trimmed(said));
  if (trimmed(said).starts_with("N/A")) return reading;
  size_t at = 0;
  while (at < said.size() && (said[at] < '0' || said[at] > '9')) ++at;
  const auto score = at < said.size() ? number_at(said, at, !as_published) : std::nullopt;
  if (!score) return std::nullopt;
  reading.score = score;
  return reading;
}

/// Whole numbers of "1, 3" as the published rows keep them; "None" stays.
OrderedJson types_of(std::string_view said) {
  OrderedJson types = OrderedJson::array();
  for (size_t at = 0; at < said.size();) {
    if (const auto number = number_at(said, at, false)) {
      types.push_back(fmt::format("{}", static_cast<int64_t>(*number)));
    } else {
      ++at;
    }
  }
  if (types.empty()) types.push_back("None");
  return types;
}

std::optional<TextReading> read_block(std::string_view block, bool typed, bool as_published) {
  OrderedJson type, why_type;
  if (typed) {
    const auto said = between(block, "Type: ", "\nRationale: ");
    if (!said) return std::nullopt;
    const size_t end = said->rest.find("\nRating: ");
    if (end == std::string_view::npos || end == 0) return std::nullopt;
    type = types_of(said->inside);
    why_type = std::string(trimmed(said->rest.substr(0, end)));
    block = said->rest.substr(end + 1);
  }
  const auto rated = between(block, "Rating: ", "\nRationale: ");
  if (!rated || trimmed(rated->rest).empty()) return std::nullopt;
  auto reading = rating_of(rated->inside, as_published);
  if (!reading) return std::nullopt;
  const std::string why(trimmed(rated->rest));
  if (typed) {
    reading->details["Type"] = std::move(type);
    reading->details["Rationale"] = std::move(why_type);
    reading->details["Rationale For Rating"] = why;
  } else {
    reading->details["Rationale"] = why;
  }
  return reading;
}

/// Markdown around the labels taken away, so that one reader is enough.
std::string plain_labels(std::string_view block) {
  std::string plain;
  for (const std::string_view line : split_at(block, "\n")) {
    bool found = false;
    for (const std::string_view name : {"Type", "Rating", "Rationale"}) {
      const auto value = labelled(line, name);
      if (!value) continue;
      plain.append(name).append(": ").append(*value).append("\n");
      found = true;
      break;
    }
    if (!found) plain.append(line).append("\n");
  }
  return plain;
}

}  // namespace

std::optional<ReplyReading> rated_texts(const ReplyRules& rules, std::string_view reply, size_t texts, bool typed) {
  std::vector<std::string> blocks;
  if (rules.as_published) {
    for (const std::string_view part : split_at(reply, "\n\n")) blocks.emplace_back(part);
  } else {
    for (const std::string& block : blocks_of(reply, typed ? "Type" : "Rating")) blocks.push_back(plain_labels(block));
  }
  if (blocks.size() != texts) return std::nullopt;
  ReplyReading reading;
  for (const std::string& block : blocks) {
    auto of = read_block(block, typed, rules.as_published);
    if (!of) return std::nullopt;
    reading.texts.push_back(std::move(*of));
  }
  return reading;
}

}  // namespace fettle::feedback
