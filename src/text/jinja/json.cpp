// json.dumps of Python, with provenance: what comes out of a message's string belongs to that message.
#include <algorithm>
#include <bit>
#include <cmath>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

std::string quoted(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const uint32_t c = next_character(text, at);
    if (c == '"' || c == '\\') {
      out += {'\\', static_cast<char>(c)};
    } else if (c < 0x20) {
      static constexpr std::string_view named = "\b\t\n\f\r";
      static constexpr std::string_view letters = "btnfr";
      const size_t which = named.find(static_cast<char>(c));
      out +=
          which != std::string_view::npos ? std::string{'\\', letters[which]} : fmt::format("\\u{:04x}", c);
    } else if (!ensure_ascii || c < 0x80) {
      out.append(text.substr(begin, at - begin));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out +=
          fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
  }
  return out + "\"";
}

class Writer {
 public:
  Writer(Interpreter& run, const JsonStyle& style) : run_(run), style_(style) {}

  void write(const Value& value) {
    run_.charge(1);
    check_size(static_cast<int64_t>(out_.size()));
    if (const Text* text = value.text()) {
      charge_characters(run_, text->size());
      return out_.append(quoted(text->bytes(), style_.ensure_ascii), text->main_source());
    }
    if (value.is_none()) return plain("null");
    if (value.is_boolean()) return plain(value.truth() ? "true" : "false");
    if (value.is_integer()) return plain(std::to_string(value.integer()));
    if (value.is_real()) return plain(number(value.real()));
    if (const Dict* dict = value.dict()) return object(*dict);
    const List* list = value.list();
    if (list == nullptr || list->kind > ListKind::tuple) {
      if (value.is_undefined() && value.hint().hint) raise("tojson: {}", *value.hint().hint);
      raise("tojson: a {} has no JSON form", value.type_name());
    }
    array(*list);
  }

  Text take() { return std::move(out_); }

 private:
  void plain(std::string_view text) { out_.append(text, kFromTemplate); }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return repr_real(value);
  }

  void line() {
    if (!style_.indent) return;
    plain("\n");
    run_.charge_text(style_.indent->size() * depth_);
    for (size_t i = 0; i < depth_; ++i) plain(*style_.indent);
  }

  void array(const List& list) {
    if (list.items.empty()) return plain("[]");
    plain("[");
    ++depth_;
    bool first = true;
    for (const Value& item : list.items) {
      if (!std::exchange(first, false)) plain(style_.item_separator);
      line();
      write(item);
    }
    --depth_;
    line();
    plain("]");
  }

  void key(const Value& name) {
    if (name.is_string()) return write(name);
    if (!name.is_number() && !name.is_none())
      raise("tojson: a key must be a string or number, got {}", name.type_name());
    plain("\"");
    write(name);
    plain("\"");
  }

  static int64_t weight_of_keys(const Dict& dict) {
    int64_t sum = 0;
    for (const auto& entry : dict.entries) sum += weight(entry.first);
    return sum;
  }

  void object(const Dict& dict) {
    if (dict.entries.empty()) return plain("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      run_.charge(weight_of_keys(dict) * std::bit_width(dict.entries.size()));
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return compare(a->first, b->first) < 0; });
    }
    plain("{");
    ++depth_;
    bool first = true;
    for (const auto* entry : entries) {
      if (!std::exchange(first, false)) plain(style_.item_separator);
      line();
      key(entry->first);
      plain(style_.key_separator);
      write(entry->second);
    }
    --depth_;
    line();
    plain("}");
  }

  Interpreter& run_;
  const JsonStyle& style_;
  Text out_;
  size_t depth_ = 0;
};

}  // namespace

Text to_json(Interpreter& run, const Value& value, const JsonStyle& style) {
  Writer writer(run, style);
  writer.write(value);
  return writer.take();
}

}  // namespace fettle::jinja
