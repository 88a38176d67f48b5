#include "data/openchat/clean.h"

#include <algorithm>

#include "base/hash.h"
#include "base/input_fault.h"
#include "data/openchat/python_text.h"
#include "data/openchat/tag_soup.h"
#include "data/rows/json_text.h"
#include "data/signals/phrases.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

namespace dom = simdjson::dom;

constexpr size_t none = std::string_view::npos;

struct Dropped {
  std::string reason, detail;
};

/// The content of <script id="__NEXT_DATA__">; none when there is no such tag.
std::string_view page_data(std::string_view html) {
  constexpr std::string_view name = "__NEXT_DATA__";
  for (size_t at = html.find(name); at != none; at = html.find(name, at + 1)) {
    const size_t open = html.rfind('<', at);
    if (open == none) continue;
    const std::string tag = lower_case(html.substr(open, at - open));
    const size_t end = html.find('>', at);
    const bool is_id = tag.ends_with("id=\"") || tag.ends_with("id='") || tag.ends_with("id=");
    if (!tag.starts_with("<script") || !is_id || end == none) continue;
    size_t close = html.find("</", end);
    while (close != none && lower_case(html.substr(close + 2, 6)) != "script")
      close = html.find("</", close + 1);
    return html.substr(end + 1, close - end - 1);
  }
  return {};
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(
      simdjson::validate_utf8(text.data(), text.size()) ? std::string(text) : unicode::lossy(text),
      out);
  return out;
}

std::string text_or_json(dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  return value.is_null() ? "" : simdjson::to_string(value);
}

/// One page on its way: what it holds, and its turns cleaned.
class Conversation {
 public:
  Conversation(dom::object properties, const CleanOptions& options)
      : properties_(properties), options_(options) {
    if (properties_["content"].get(content_) != simdjson::SUCCESS)
      throw Dropped{"Unable to extract content", "no key 'content'"};
  }

  std::string raw() const { return simdjson::to_string(content_); }
  std::string page_id() const {
    dom::element id;
    return properties_["id"].get(id) == simdjson::SUCCESS ? text_or_json(id) : "";
  }

  void clean() {
    take_turns();
    for (size_t i = 0; i < turns_.size(); ++i) texts_.push_back(clean_turn(i));
    if (!options_.need_text) return;
    constexpr int64_t fewest = 16;
    int64_t characters = 0;
    for (const auto& text : texts_) {
      if (!has_visible_character(text)) throw Dropped{"Empty answer", ""};
      characters += unicode::count_characters(text);
    }
    if (characters < fewest)
      throw Dropped{"Conversation too short", fmt::format("{} characters", characters)};
  }

  PageVerdict::Made row(const std::string& source) const {
    std::string all;
    for (const auto& text : texts_) all += text;
    PageVerdict::Made made;
    const std::string hash = hash_hex(all);
    made.key = fmt::format("{} {}", hash, texts_.size());
    made.id = page_id();
    if (made.id.empty()) made.id = hash_hex(made.key).substr(0, 16);
    const auto number = static_cast<int64_t>(std::stoull(hash.substr(0, 16), nullptr, 16));
    made.row = options_.layout == RowLayout::python ? published(number) : line(made.id, number, source);
    return made;
  }

 private:
  static std::string_view speaker(dom::object turn) {
    std::string_view from;
    return turn["from"].get(from) == simdjson::SUCCESS ? from : std::string_view{};
  }

  void take_turns() {
    dom::array items;
    if (content_["items"].get(items) != simdjson::SUCCESS) throw Dropped{"Wrong format", "no list 'items'"};
    for (const auto item : items) {
      dom::object turn;
      if (item.get(turn) != simdjson::SUCCESS) throw Dropped{"Wrong format", "an item is no object"};
      turns_.push_back(turn);
    }
    const auto need_two = [&] {
      if (turns_.size() <= 1) throw Dropped{"Conversation too short", fmt::format("{} turns", turns_.size())};
    };
    need_two();
    if (speaker(turns_.front()) != "human") turns_.erase(turns_.begin());
    need_two();
    if (speaker(turns_.back()) == "human") turns_.pop_back();
    need_two();
  }

  std::string clean_turn(size_t i) const {
    const std::string_view wanted = i % 2 == 0 ? "human" : "gpt";
    if (speaker(turns_[i]) != wanted) {
      throw Dropped{"Wrong format",
                    fmt::format("turn {} is from '{}', '{}' was expected", i, speaker(turns_[i]), wanted)};
    }
    std::string_view value;
    if (turns_[i]["value"].get(value) != simdjson::SUCCESS)
      throw Dropped{"Wrong format", fmt::format("turn {} has no text 'value'", i)};
    if (!options_.blocked_words.empty()) {
      const std::string lowered = lower_case(value);
      for (const auto& word : options_.blocked_words) {
        const size_t at = lowered.find(lower_case(word));
        if (at != std::string::npos)
          throw Dropped{"Contain blocked words", fmt::format("'{}' in turn {}, at byte {}", word, i, at)};
      }
    }
    try {
      return sharegpt_to_markdown(value, options_.code_blocks);
    } catch (const SoupError& error) {
      throw Dropped{"Parser error", fmt::format("turn {}: {}", i, error.what())};
    }
  }

  /// `{"id", the page's fields, "views", "hash", "source"}` on one line.
  std::string line(const std::string& id, int64_t hash, const std::string& source) const {
    std::string out = "{\"id\":" + json_string(id);
    for (const auto field : content_) {
      if (field.key == "id" || field.key == "views" || field.key == "hash" || field.key == "source") continue;
      out += ',' + json_string(field.key) + ':';
      out += field.key == "items" ? items() : simdjson::to_string(field.value);
    }
    dom::element views;
    out += ",\"views\":" +
           (properties_["views"].get(views) == simdjson::SUCCESS ? simdjson::to_string(views) : "0");
    return out + fmt::format(",\"hash\":[{},{}],\"source\":{}}}", hash, texts_.size(), json_string(source));
  }

  std::string items() const {
    std::string out = "[";
    for (size_t i = 0; i < turns_.size(); ++i) {
      out += i > 0 ? ",{" : "{";
      bool first = true;
      for (const auto field : turns_[i]) {
        if (!first) out += ',';
        first = false;
        out += json_string(field.key) + ':';
        out += field.key == "value" ? json_string(texts_[i]) : simdjson::to_string(field.value);
      }
      out += '}';
    }
    return out + ']';
  }

  /// As the published program's json.dump wrote it: `id` and `views` at their place in the content, or behind
  /// it.
  std::string published(int64_t hash) const {
    std::string out = "{";
    const auto key = [&](std::string_view name) {
      out += out.size() > 1 ? ",\n\t\t" : "\n\t\t";
      append_python_json(out, name);
      out += ": ";
    };
    const auto page_field = [&](const char* name, const char* otherwise) {
      dom::element value;
      key(name);
      if (properties_[name].get(value) == simdjson::SUCCESS) {
        append_python_json(out, value, 2);
      } else {
        out += otherwise;
      }
    };
    bool has_id = false, has_views = false;
    for (const auto field : content_) {
      if (field.key == "hash") continue;
      if (field.key == "id" || field.key == "views") {
        (field.key == "id" ? has_id : has_views) = true;
        page_field(field.key == "id" ? "id" : "views", field.key == "id" ? "\"\"" : "0");
        continue;
      }
      key(field.key);
      if (field.key == "items") {
        published_items(out);
      } else {
        append_python_json(out, field.value, 2);
      }
    }
    if (!has_id) page_field("id", "\"\"");
    if (!has_views) page_field("views", "0");
    key("hash");
    out += fmt::format("[\n\t\t\t{},\n\t\t\t{}\n\t\t]\n\t}}", hash, texts_.size());
    return out;
  }

  void published_items(std::string& out) const {
    out += '[';
    for (size_t i = 0; i < turns_.size(); ++i) {
      out += i > 0 ? ",\n\t\t\t{" : "\n\t\t\t{";
      bool first = true;
      for (const auto field : turns_[i]) {
        out += first ? "\n\t\t\t\t" : ",\n\t\t\t\t";
        first = false;
        append_python_json(out, field.key);
        out += ": ";
        if (field.key == "value") {
          append_python_json(out, texts_[i]);
        } else {
          append_python_json(out, field.value, 4);
        }
      }
      out += "\n\t\t\t}";
    }
    out += "\n\t\t]";
  }

  dom::object properties_, content_;
  const CleanOptions& options_;
  std::vector<dom::object> turns_;
  std::vector<std::string> texts_;
};

}  // namespace

void clean_page(const Page& page, const CleanOptions& options, PageVerdict& verdict) {
  thread_local RowView view;
  std::string id, text;
  const auto drop = [&](const std::string& reason, const std::string& detail) {
    verdict.dropped.push_back({reason, detail, id, text});
  };
  const auto data = page_data(page.text);
  // Where a compressed file broke off, the rest of the page is the likelier reason.
  const auto unreadable = [&](const char* reason, const std::string& detail) {
    page.problem.empty() ? drop(reason, detail) : drop("damaged compressed file", page.problem);
  };
  if (data.data() == nullptr) return unreadable("No page data", "no <script id=\"__NEXT_DATA__\">");
  Row row{std::string(data), 0, 0, page.file};
  try {
    view.open(row);
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    return unreadable("Page data is not valid JSON", error.what());
  }
  try {
    dom::object properties;
    if (view.object()["props"]["pageProps"].get(properties) != simdjson::SUCCESS) {
      throw Dropped{"Unable to extract content", "no object 'props.pageProps'"};
    }
    Conversation conversation(properties, options);
    id = conversation.page_id();
    try {
      conversation.clean();
    } catch (const Dropped&) {
      text = conversation.raw();
      throw;
    }
    verdict.made.push_back(conversation.row(page.source));
  } catch (const Dropped& dropped) {
    drop(dropped.reason, dropped.detail);
  }
}

PassReport clean_pages(const PassFiles& files, const CleanOptions& options) {
  return run_pages("clean", files, options.layout,
                   [&](const Page& page, PageVerdict& verdict) { clean_page(page, options, verdict); });
}

}  // namespace fettle::data
