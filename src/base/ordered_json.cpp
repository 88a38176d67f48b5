#include "base/ordered_json.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace fettle {
namespace {

constexpr size_t deepest_level = 512;

/// Builds a document as nlohmann's parser reads it, without a look-up per key.
class Builder {
 public:
  explicit Builder(JsonBounds bounds) : left_(bounds.values), bounds_(bounds) {}

  bool null() { return put(nullptr) != nullptr; }
  bool boolean(bool value) { return put(value) != nullptr; }
  bool number_integer(OrderedJson::number_integer_t value) { return put(value) != nullptr; }
  bool number_unsigned(OrderedJson::number_unsigned_t value) { return put(value) != nullptr; }
  bool number_float(OrderedJson::number_float_t value, const std::string&) { return put(value) != nullptr; }
  bool string(std::string& value) { return put(std::move(value)) != nullptr; }
  bool binary(OrderedJson::binary_t&) { return false; }

  bool start_object(size_t) { return open(OrderedJson::object()); }
  bool start_array(size_t) { return open(OrderedJson::array()); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    unite_members(open_.back()->get_ref<OrderedJson::object_t&>());
    open_.pop_back();
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const OrderedJson::exception& error) {
    byte_ = byte;
    const std::string message = error.what();
    const size_t mark = message.find("] ");
    problem_ = mark == std::string::npos ? message : message.substr(mark + 2, 200);
    return false;
  }

  size_t byte() const { return byte_; }
  const std::string& problem() const { return problem_; }
  OrderedJson take() { return std::move(root_); }

 private:
  /// Where the value now stands; null when there are too many.
  OrderedJson* put(OrderedJson value) {
    if (left_ == 0) {
      problem_ = fmt::format("more than {} values", bounds_.values);
      return nullptr;
    }
    --left_;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    OrderedJson& parent = *open_.back();
    if (parent.is_array()) {
      auto& items = parent.get_ref<OrderedJson::array_t&>();
      items.push_back(std::move(value));
      return &items.back();
    }
    auto& members = parent.get_ref<OrderedJson::object_t&>();
    members.emplace_back(std::move(key_), std::move(value));
    return &members.back().second;
  }

  bool open(OrderedJson container) {
    if (open_.size() >= deepest_level) {
      problem_ = fmt::format("JSON is nested deeper than {} levels", deepest_level);
      return false;
    }
    OrderedJson* place = put(std::move(container));
    if (place != nullptr) open_.push_back(place);
    return place != nullptr;
  }

  /// A key that came twice keeps its first place and its last value.
  static void unite_members(OrderedJson::object_t& members) {
    if (members.size() < 2) return;
    auto* const member = members.data();  // [] would look for a key
    std::vector<uint32_t> order(members.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
      const int names = member[a].first.compare(member[b].first);
      return names != 0 ? names < 0 : a < b;
    });
    std::vector<bool> spare(members.size());
    bool any = false;
    for (size_t i = 0, first = 0; i + 1 < order.size(); ++i) {
      if (member[order[i]].first != member[order[i + 1]].first) {
        first = i + 1;
        continue;
      }
      member[order[first]].second = std::move(member[order[i + 1]].second);
      any = spare[order[i + 1]] = true;
    }
    if (!any) return;
    OrderedJson::object_t kept;
    for (size_t i = 0; i < members.size(); ++i) {
      if (!spare[i]) kept.emplace_back(member[i].first, std::move(member[i].second));
    }
    members = std::move(kept);
  }

  OrderedJson root_;
  std::vector<OrderedJson*> open_;
  std::string key_;
  size_t left_;
  JsonBounds bounds_;
  size_t byte_ = 0;
  std::string problem_;
};

}  // namespace

OrderedJson parse_ordered_json(std::string_view text, std::string_view where, JsonBounds bounds) {
  Builder builder(bounds);
  if (OrderedJson::sax_parse(text.begin(), text.end(), &builder)) return builder.take();
  if (builder.byte() == 0) fail(where, "{}", builder.problem());
  const size_t byte = std::min(builder.byte(), text.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
  fail(where, "not valid JSON (line {}, byte {}): {}", line, byte, builder.problem());
}

std::optional<OrderedJson> ordered_json_or_none(std::string_view text) {
  try {
    return parse_ordered_json(text, "text");
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<Json> json_or_none(std::string_view text) {
  try {
    return parse_json(text, "text");
  } catch (const Error&) {
    return std::nullopt;
  }
}

void append_member(OrderedJson& object, std::string key, OrderedJson value) {
  if (object.is_null()) object = OrderedJson::object();
  object.get_ref<OrderedJson::object_t&>().emplace_back(std::move(key), std::move(value));
}

}  // namespace fettle
