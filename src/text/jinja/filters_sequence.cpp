// Filters on lists and dicts.
#include <algorithm>

#include "text/jinja/filters.h"
#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

/// The items, paid for.
std::vector<Value> items_of(Interpreter& run, const Value& v) {
  std::vector<Value> items = iterate(v);
  run.charge(static_cast<int64_t>(items.size()));
  return items;
}

Value lower_case(Interpreter& run, const Value& value) {
  if (!value.is_string()) return value;
  charge_characters(run, value.text()->size());
  return lower(*value.text());
}

Value do_length(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  if (v.is_undefined()) return int64_t{0};
  if (const Text* text = v.text()) {
    run.charge_text(text->size());
    return count_characters(text->bytes());
  }
  if (const Dict* dict = v.dict()) return static_cast<int64_t>(dict->entries.size());
  if (Loop* loop = v.loop()) return loop->length();
  if (v.list() == nullptr || v.list()->kind == ListKind::generator)
    raise("a {} has no length", v.type_name());
  return static_cast<int64_t>(v.list()->items.size());
}

Value do_first(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  const List* list = v.list();
  if (list != nullptr && list->consumed < list->items.size()) {
    const Value item = list->items[list->consumed];
    if (list->kind == ListKind::generator) ++list->consumed;
    return item;
  }
  const std::vector<Value> items = items_of(run, v);
  return items.empty() ? Value::undefined("no first item, the sequence was empty") : items.front();
}

Value do_last(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  if (v.list() != nullptr && v.list()->kind == ListKind::generator)
    raise("last needs a list; write '| list | last'");
  const std::vector<Value> items = items_of(run, v);
  return items.empty() ? Value::undefined("no last item, the sequence was empty") : items.back();
}

Value do_list(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  run.charge(weight(v));
  return make_list(items_of(run, v));
}

Value do_reverse(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  run.charge(weight(v));
  std::vector<Value> items = items_of(run, v);
  std::reverse(items.begin(), items.end());
  if (v.is_string()) return join(run, Text(), items);
  return make_list(std::move(items), ListKind::generator);
}

Value do_join(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  std::vector<Value> items = iterate(v);
  run.charge(static_cast<int64_t>(items.size()));
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    for (Value& item : items) item = run.get_path(item, *bound[1]);
  }
  return join(run, bound[0] == nullptr ? Text() : to_text(*bound[0]), items);
}

Value do_items(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (v.is_undefined()) return make_list({}, ListKind::generator);
  if (v.dict() == nullptr) raise("items works on a dict, got {}", v.type_name());
  run.charge(static_cast<int64_t>(v.dict()->entries.size()));
  std::vector<Value> out;
  for (const auto& [key, value] : v.dict()->entries) out.push_back(make_list({key, value}, ListKind::tuple));
  return make_list(std::move(out), ListKind::generator);
}

FilterFunction filter_named(const Value& name) {
  const FilterFunction filter = name.is_string() ? find_filter(name.text()->bytes()) : nullptr;
  if (filter == nullptr) raise("unknown filter '{}'", to_text(name).bytes());
  return filter;
}

Value do_map(Interpreter& run, const Value& v, const Arguments& arguments) {
  std::vector<Value> out;
  std::vector<Value> items = v.truth() ? iterate(v) : std::vector<Value>{};
  run.charge(static_cast<int64_t>(items.size()));
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"});
    const Value& path = bound.required(0);
    for (const Value& item : items) {
      Value found = run.get_path(item, path);
      if (found.is_undefined() && bound[1] != nullptr && !bound[1]->is_none()) found = *bound[1];
      out.push_back(std::move(found));
    }
    return make_list(std::move(out), ListKind::generator);
  }
  const FilterFunction filter = filter_named(arguments.positional[0]);
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  for (const Value& item : items) out.push_back(filter(run, item, rest));
  return make_list(std::move(out), ListKind::generator);
}

Value choose(Interpreter& run, const Value& v, const Arguments& arguments, bool by_attribute, bool wanted) {
  Arguments rest = arguments;
  const auto take = [&]() {
    Value first = rest.positional.front();
    rest.positional.erase(rest.positional.begin());
    return first;
  };
  Value path = None{};
  if (by_attribute) {
    if (rest.positional.empty()) raise("selectattr and rejectattr need an attribute's name");
    path = take();
  }
  TestFunction test = nullptr;
  if (!rest.positional.empty()) {
    const Value name = take();
    test = name.is_string() ? find_test(name.text()->bytes()) : nullptr;
    if (test == nullptr) raise("unknown test '{}'", to_text(name).bytes());
  }
  std::vector<Value> out;
  for (const Value& item : v.truth() ? iterate(v) : std::vector<Value>{}) {
    run.charge(1);
    const Value subject = run.get_path(item, path);
    if ((test == nullptr ? subject.truth() : test(run, subject, rest)) == wanted) out.push_back(item);
  }
  return make_list(std::move(out), ListKind::generator);
}

template <bool by_attribute, bool wanted>
Value do_choose(Interpreter& run, const Value& v, const Arguments& arguments) {
  return choose(run, v, arguments, by_attribute, wanted);
}

Value do_dictsort(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound[1] == nullptr ? "key" : bound.required_text(1).bytes();
  if (by != "key" && by != "value") raise("dictsort: by must be 'key' or 'value', got '{}'", by);
  if (v.dict() == nullptr) raise("dictsort works on a dict, got {}", v.type_name());
  run.charge(static_cast<int64_t>(v.dict()->entries.size()));
  std::vector<std::pair<Value, Value>> rows;  // sort key, pair
  for (const auto& [key, value] : v.dict()->entries) {
    const Value& chosen = by == "key" ? key : value;
    rows.emplace_back(bound.flag(0) ? chosen : lower_case(run, chosen), make_list({key, value}, ListKind::tuple));
  }
  const bool reverse = bound.flag(2);
  std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) {
    run.charge(1 + std::min(weight(a.first), weight(b.first)));
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  std::vector<Value> out;
  for (auto& row : rows) out.push_back(std::move(row.second));
  return make_list(std::move(out));
}

// What an item is sorted or grouped by; a comma in `path` makes a list of several.
Value sort_key(Interpreter& run, const Value& item, const Value* path, bool case_sensitive) {
  const auto single = [&](const Value& part) {
    Value key = run.get_path(item, part);
    return case_sensitive ? key : lower_case(run, key);
  };
  if (path == nullptr || path->is_none()) return single(None{});
  if (!path->is_string() || path->text()->bytes().find(',') == std::string::npos) return single(*path);
  const Text comma(",");
  std::vector<Value> keys;
  for (const Value& part : split(run, *path->text(), &comma, -1, false)) keys.push_back(single(part));
  return make_list(std::move(keys));
}

Value do_sort(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  std::vector<std::pair<Value, Value>> rows;
  for (const Value& item : iterate(v)) {
    run.charge(1);
    rows.emplace_back(sort_key(run, item, bound[2], bound.flag(1)), item);
  }
  const bool reverse = bound.flag(0);
  std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) {
    run.charge(1 + std::min(weight(a.first), weight(b.first)));
    return reverse ? compare(b.first, a.first) < 0 : compare(a.first, b.first) < 0;
  });
  std::vector<Value> out;
  for (auto& row : rows) out.push_back(std::move(row.second));
  return make_list(std::move(out));
}

Value do_unique(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  std::vector<Value> seen, out;
  for (const Value& item : iterate(v)) {
    const Value key = sort_key(run, item, bound[1], bound.flag(0));
    run.charge(1 + static_cast<int64_t>(seen.size()) * weight(key));
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& other) { return equal(other, key); }))
      continue;
    seen.push_back(key);
    out.push_back(item);
  }
  return make_list(std::move(out), ListKind::generator);
}

Value do_groupby(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"});
  struct Row {
    Value key, shown, item;
  };
  std::vector<Row> rows;
  for (const Value& item : items_of(run, v)) {
    Value shown = run.get_path(item, bound.required(0));
    if (shown.is_undefined() && bound[1] != nullptr) shown = *bound[1];
    rows.push_back({bound.flag(2) ? shown : lower_case(run, shown), shown, item});
  }
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    run.charge(1 + std::min(weight(a.key), weight(b.key)));
    return compare(a.key, b.key) < 0;
  });
  std::vector<Value> out;
  for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    std::vector<Value> group;
    for (end = begin; end < rows.size() && equal(rows[end].key, rows[begin].key); ++end)
      group.push_back(rows[end].item);
    if (end == begin) break;  // a key that differs from itself (NaN)
    out.push_back(make_list({rows[begin].shown, make_list(std::move(group))}, ListKind::tuple));
  }
  return make_list(std::move(out));
}

template <bool largest>
Value do_extreme(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const std::vector<Value> items = iterate(v);
  if (items.empty()) return Value::undefined("no item, the sequence was empty");
  size_t best = 0;
  Value best_key = sort_key(run, items[0], bound[1], bound.flag(0));
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = sort_key(run, items[i], bound[1], bound.flag(0));
    run.charge(1 + std::min(weight(key), weight(best_key)));
    const int order = compare(key, best_key);
    if (largest ? order > 0 : order < 0) {
      best = i;
      best_key = std::move(key);
    }
  }
  return items[best];
}

Value do_sum(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound[1] == nullptr ? Value(int64_t{0}) : *bound[1];
  for (const Value& item : iterate(v)) {
    run.charge(1);
    total = binary(run, Operator::add, total, bound[0] == nullptr ? item : run.get_path(item, *bound[0]));
  }
  return total;
}

Value do_batch(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"});
  const int64_t size = bound.integer(0, 0);
  if (size < 1 || size > kMaxItems) raise("batch: linecount must be positive, got {}", size);
  std::vector<Value> out, row;
  for (Value& item : iterate(v)) {
    run.charge(1);
    if (static_cast<int64_t>(row.size()) == size) out.push_back(make_list(std::exchange(row, {})));
    row.push_back(std::move(item));
  }
  if (!row.empty() && bound[1] != nullptr && !bound[1]->is_none()) {
    run.charge(size);
    row.resize(static_cast<size_t>(size), *bound[1]);
  }
  if (!row.empty()) out.push_back(make_list(std::move(row)));
  return make_list(std::move(out), ListKind::generator);
}

Value do_slice(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"});
  const int64_t slices = bound.integer(0, 0);
  if (slices < 1 || slices > kMaxItems) raise("slice: slices must be positive, got {}", slices);
  const std::vector<Value> items = iterate(v);
  run.charge(slices + static_cast<int64_t>(items.size()));
  const int64_t each = static_cast<int64_t>(items.size()) / slices;
  const int64_t longer = static_cast<int64_t>(items.size()) % slices;
  std::vector<Value> out;
  auto from = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const auto to = from + each + (i < longer ? 1 : 0);
    std::vector<Value> row(from, to);
    if (bound[1] != nullptr && !bound[1]->is_none() && i >= longer) row.push_back(*bound[1]);
    out.push_back(make_list(std::move(row)));
    from = to;
  }
  return make_list(std::move(out), ListKind::generator);
}

constexpr FilterEntry kFilters[] = {
    {"length", do_length},
    {"count", do_length},
    {"first", do_first},
    {"last", do_last},
    {"list", do_list},
    {"reverse", do_reverse},
    {"join", do_join},
    {"items", do_items},
    {"map", do_map},
    {"select", do_choose<false, true>},
    {"reject", do_choose<false, false>},
    {"selectattr", do_choose<true, true>},
    {"rejectattr", do_choose<true, false>},
    {"dictsort", do_dictsort},
    {"sort", do_sort},
    {"unique", do_unique},
    {"groupby", do_groupby},
    {"min", do_extreme<false>},
    {"max", do_extreme<true>},
    {"sum", do_sum},
    {"batch", do_batch},
    {"slice", do_slice},
};

}  // namespace

std::span<const FilterEntry> sequence_filters() {
  return kFilters;
}

}  // namespace fettle::jinja
