#include "data/row_view.h"

#include <utility>

namespace fettle::data {
namespace {

std::string_view role_of(std::string_view speaker) {
  if (speaker == "human" || speaker == "user") return "user";
  if (speaker == "gpt" || speaker == "assistant" || speaker == "chatgpt" || speaker == "bing" ||
      speaker == "bard" || speaker == "model" || speaker == "function_call") {
    return "assistant";
  }
  return speaker == "system" ? "system" : "tool";
}

std::string_view text_under(simdjson::dom::object object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? text : std::string_view{};
}

}  // namespace

void RowView::open(Row& row) {
  constexpr size_t max_depth = 512;
  if (parser_.max_depth() != max_depth && parser_.allocate(size_t{1} << 16, max_depth) != simdjson::SUCCESS) {
    throw Error(Error::Kind::io, "no memory for the JSON parser");
  }
  repaired_ = false;
  if (parser_.parse(row.text).get(element_) != simdjson::SUCCESS) {
    row.text = dump_json(parse_row(row));
    repaired_ = true;
    if (parser_.parse(row.text).get(element_) != simdjson::SUCCESS) fail(row.where(), "not valid JSON");
  }
  if (element_.get(object_) != simdjson::SUCCESS) fail(row.where(), "not a JSON object");
  collected_ = false;
}

const std::vector<TextPart>& RowView::texts() const {
  if (!std::exchange(collected_, true)) collect();
  return texts_;
}

void RowView::add(std::string_view field, std::string_view role, simdjson::dom::element value, bool is_turn) const {
  std::string_view text;
  simdjson::dom::array turns;
  simdjson::dom::object turn;
  if (value.get(text) == simdjson::SUCCESS) {
    texts_.push_back({field, role, text, static_cast<int64_t>(texts_.size()), is_turn});
  } else if (value.get(turns) == simdjson::SUCCESS) {
    add_turns(field, turns, is_turn);
  } else if (value.get(turn) == simdjson::SUCCESS) {
    const std::string_view content =
        text_under(turn, turn["from"].error() == simdjson::SUCCESS ? "value" : "content");
    texts_.push_back({field, role, content, static_cast<int64_t>(texts_.size()), is_turn});
  }
}

void RowView::add_turns(std::string_view field, simdjson::dom::array turns, bool is_turn) const {
  for (const auto item : turns) {
    simdjson::dom::object turn;
    if (item.get(turn) != simdjson::SUCCESS) continue;
    const std::string_view from = text_under(turn, "from"),
                           role = from.empty() ? text_under(turn, "role") : from;
    simdjson::dom::element content;
    if (turn[from.empty() ? "content" : "value"].get(content) != simdjson::SUCCESS) continue;
    simdjson::dom::array parts;
    if (content.get(parts) != simdjson::SUCCESS) {
      add(field, role_of(role), content, is_turn);
      continue;
    }
    for (const auto part : parts) {
      simdjson::dom::object object;
      if (part.get(object) != simdjson::SUCCESS) continue;
      texts_.push_back(
          {field, role_of(role), text_under(object, "text"), static_cast<int64_t>(texts_.size()), is_turn});
    }
  }
}

void RowView::collect() const {
  texts_.clear();
  const auto has = [&](std::string_view key) { return object_[key].error() == simdjson::SUCCESS; };
  const auto take = [&](std::string_view key, std::string_view role, bool is_turn = true) {
    simdjson::dom::element value;
    if (object_[key].get(value) == simdjson::SUCCESS) add(key, role, value, is_turn);
  };
  const bool pair = has("chosen") && has("rejected");
  const bool completions = has("completions");
  take("system", "system");
  take("conversations", "user");
  take("items", "user");
  // Preference rows of some data sets repeat the chosen conversation under "messages".
  if (!(pair && has("prompt"))) take("messages", "user");
  take("prompt", "user");
  take("instruction", "user");
  take("input", "user");
  take("completion", "assistant");
  take("output", "assistant");
  take("chosen", "assistant");
  take("rejected", "assistant", false);
  take("text", "text");
  simdjson::dom::array answers;
  if (completions && object_["completions"].get(answers) == simdjson::SUCCESS) {
    for (const auto item : answers) {
      simdjson::dom::object answer;
      if (item.get(answer) != simdjson::SUCCESS) continue;
      texts_.push_back({"completions", "assistant", text_under(answer, "response"),
                        static_cast<int64_t>(texts_.size()), false});
    }
  }
}

std::string RowView::field(std::string_view name) const {
  simdjson::dom::element value;
  if (object_[name].get(value) != simdjson::SUCCESS || value.is_null()) return {};
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  return simdjson::minify(value);
}

std::string RowView::id() const {
  return field("id");
}

std::string with_id(const Row& row, bool has_id, const std::string& id) {
  std::string text = row.text;
  if (text.find('\n') != std::string::npos) {
    size_t size = 0;
    std::string small(text.size(), '\0');
    if (simdjson::minify(text.data(), text.size(), small.data(), size) == simdjson::SUCCESS) {
      small.resize(size);
      text = std::move(small);
    }
  }
  if (has_id) return text;
  const size_t brace = text.find('{') + 1;
  const bool empty = text.find_first_not_of(" \t", brace) == text.find('}');
  return text.substr(0, brace) + "\"id\":" + dump_json(Json(id)) + (empty ? "" : ",") + text.substr(brace);
}

}  // namespace fettle::data
