#include "data/openchat/tag_soup.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include "data/openchat/python_text.h"
#include "data/openchat/soup_reader.h"
#include "data/signals/phrases.h"

namespace fettle::data {
namespace {

const std::unordered_map<std::string_view, SoupName>& known_names() {
  using enum SoupName;
  static const std::unordered_map<std::string_view, SoupName> names{{"a", a},
                                                                    {"b", b},
                                                                    {"strong", b},
                                                                    {"blockquote", blockquote},
                                                                    {"br", br},
                                                                    {"code", code},
                                                                    {"del", del},
                                                                    {"s", del},
                                                                    {"em", em},
                                                                    {"i", em},
                                                                    {"soup", failing},
                                                                    {"hn", failing},
                                                                    {"hr", hr},
                                                                    {"img", img},
                                                                    {"kbd", kbd},
                                                                    {"samp", kbd},
                                                                    {"li", li},
                                                                    {"list", list},
                                                                    {"ol", ol},
                                                                    {"p", p},
                                                                    {"pre", pre},
                                                                    {"script", script},
                                                                    {"style", script},
                                                                    {"sub", sub},
                                                                    {"sup", sub},
                                                                    {"table", table},
                                                                    {"tbody", tbody},
                                                                    {"td", td},
                                                                    {"textarea", textarea},
                                                                    {"tfoot", tfoot},
                                                                    {"th", th},
                                                                    {"thead", thead},
                                                                    {"tr", tr},
                                                                    {"ul", ul}};
  static const auto all = [] {
    auto with_void = names;
    for (const auto* name : {"area",     "base",    "col",   "embed",  "input",   "keygen", "link",
                             "menuitem", "meta",    "param", "source", "track",   "wbr",    "basefont",
                             "bgsound",  "command", "frame", "image",  "isindex", "nextid", "spacer"}) {
      with_void.emplace(name, void_other);
    }
    return with_void;
  }();
  return all;
}

bool is_void(SoupName name) {
  return name == SoupName::br || name == SoupName::hr || name == SoupName::img ||
         name == SoupName::void_other;
}

/// h and digits in front make a heading to markdownify, whatever follows them.
bool is_heading(std::string_view name, int32_t& level) {
  constexpr int32_t most = 1000000;
  if (name[0] != 'h') return false;
  int value = 0;
  bool any = false;
  level = 0;
  for (size_t at = 1; const size_t length = python_digit(name, at, &value); at += length) {
    level = std::min(level * 10 + value, most);
    any = true;
  }
  if (level == most) throw SoupError("a heading of that level has no end");
  return any;
}

bool is_kept(std::string_view attribute) {
  return attribute == "href" || attribute == "title" || attribute == "src" || attribute == "alt" ||
         attribute == "start";
}

}  // namespace

/// Beautiful Soup's part: texts are gathered, tags are stacked.
class SoupReader final : public SoupEvents {
 public:
  explicit SoupReader(TagSoup& soup) : soup_(soup) {
    soup_.nodes.emplace_back().name = SoupName::root;
    stack_.push_back(0);
  }

  void start_tag(std::string_view raw_name, const Attributes& attributes, bool self_closing) override {
    end_data(SoupNode::Kind::text);
    const auto text = lower(raw_name);
    const uint32_t node = append(SoupNode::Kind::tag, text);
    identify(soup_.nodes[node]);
    keep(node, attributes);
    if (stack_.size() > TagSoup::max_depth) throw SoupError("tags are nested too deep");
    stack_.push_back(node);
    const auto name = soup_.nodes[node].name;
    preserving_ += name == SoupName::pre || name == SoupName::textarea;
    if (self_closing) {
      end_tag(text);
    } else if (is_void(name)) {
      close(text);
      ++closed_[text];
    }
  }
  void end_tag(std::string_view raw_name) override {
    const auto name = lower(raw_name);
    // An end tag that belongs to a void tag, which was closed when it came.
    if (const auto found = closed_.find(name); found != closed_.end() && found->second > 0) {
      --found->second;
      return;
    }
    close(name);
  }
  void data(std::string_view text) override {
    if (!has_data_) {
      view_ = text;
    } else if (!joined_.empty() || view_.data() + view_.size() != text.data()) {
      if (joined_.empty()) joined_ = view_;
      joined_ += text;
    } else {
      view_ = {view_.data(), view_.size() + text.size()};
    }
    has_data_ = true;
  }
  void decoded(std::string text) override { data(stored(text)); }
  void comment(std::string_view text) override { special(text, SoupNode::Kind::comment); }
  void declaration(std::string_view text) override { special(text, SoupNode::Kind::text); }
  void finish() { end_data(SoupNode::Kind::text); }

 private:
  void special(std::string_view text, SoupNode::Kind kind) {
    end_data(SoupNode::Kind::text);
    data(text);
    end_data(kind);
  }

  /// Spaces alone count as one, or as one new line, unless a pre is open.
  void end_data(SoupNode::Kind kind) {
    if (!has_data_) return;
    std::string_view text = joined_.empty() ? view_ : stored(joined_);
    if (preserving_ == 0 && text.find_first_not_of(" \n\t\f\r") == std::string_view::npos) {
      text = text.find('\n') != std::string_view::npos ? "\n" : " ";
    }
    has_data_ = false;
    joined_.clear();
    append(kind, text);
  }

  uint32_t append(SoupNode::Kind kind, std::string_view text) {
    const auto index = static_cast<uint32_t>(soup_.nodes.size());
    const uint32_t parent = stack_.back();
    SoupNode node;
    node.kind = kind;
    node.text = text;
    node.parent = parent;
    node.previous = soup_.nodes[parent].last;
    soup_.nodes.push_back(node);
    (node.previous != 0 ? soup_.nodes[node.previous].next : soup_.nodes[parent].first) = index;
    soup_.nodes[parent].last = index;
    return index;
  }

  void close(std::string_view name) {
    end_data(SoupNode::Kind::text);
    size_t at = stack_.size();
    while (at > 1 && soup_.nodes[stack_[at - 1]].text != name) --at;
    if (at <= 1) return;
    while (stack_.size() >= at) {
      const auto popped = soup_.nodes[stack_.back()].name;
      preserving_ -= popped == SoupName::pre || popped == SoupName::textarea;
      stack_.pop_back();
    }
  }

  static void identify(SoupNode& node) {
    const auto found = known_names().find(node.text);
    if (found != known_names().end()) {
      node.name = found->second;
    } else if (is_heading(node.text, node.level)) {
      node.name = SoupName::heading;
    }
  }

  void keep(uint32_t node, const Attributes& attributes) {
    for (const auto& [raw_name, value] : attributes) {
      const auto name = lower(raw_name);
      if (!is_kept(name)) {
        if (value.find('&') != std::string_view::npos) python_unescape(value);  // it may throw
        continue;
      }
      soup_.attributes_.push_back(
          {node, name, value.find('&') == std::string_view::npos ? value : stored(python_unescape(value))});
    }
  }

  std::string_view stored(std::string_view text) {
    auto* room = static_cast<char*>(soup_.memory_.allocate(std::max<size_t>(text.size(), 1), 1));
    std::memcpy(room, text.data(), text.size());
    return {room, text.size()};
  }
  std::string_view lower(std::string_view name) {
    const bool is_lower = std::none_of(name.begin(), name.end(),
                                       [](char c) { return (c >= 'A' && c <= 'Z') || (c & 0x80) != 0; });
    return is_lower ? name : stored(lower_case(name));
  }

  TagSoup& soup_;
  std::vector<uint32_t> stack_;
  int preserving_ = 0;
  std::map<std::string_view, int> closed_;  ///< end tags still to be ignored
  bool has_data_ = false;
  std::string_view view_;
  std::string joined_;
};

TagSoup::TagSoup(std::string_view html) {
  nodes.reserve(html.size() / 16 + 16);
  SoupReader reader(*this);
  SoupScanner(html, reader).run();
  reader.finish();
}

const std::string_view* TagSoup::attribute(uint32_t node, std::string_view name) const {
  auto found =
      std::upper_bound(attributes_.begin(), attributes_.end(), node,
                       [](uint32_t wanted, const Attribute& attribute) { return wanted < attribute.node; });
  // The last of several wins.
  while (found != attributes_.begin() && (--found)->node == node) {
    if (found->name == name) return &found->value;
  }
  return nullptr;
}

void TagSoup::remove(uint32_t node) {
  const auto& gone = nodes[node];
  auto& parent = nodes[gone.parent];
  (gone.previous != 0 ? nodes[gone.previous].next : parent.first) = gone.next;
  (gone.next != 0 ? nodes[gone.next].previous : parent.last) = gone.previous;
}

}  // namespace fettle::data
