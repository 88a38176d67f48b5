// The tests behind `is`.
#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

template <Operator op>
bool compares(Interpreter& run, const Value& subject, const Arguments& arguments) {
  const Bound bound("this test", arguments, {"other"});
  return binary(run, op, subject, bound.required(0)).truth();
}

int64_t whole(const Value& value, std::string_view test) {
  if (!value.is_integer()) raise("'{}' asks for an integer, got {}", test, value.type_name());
  return value.integer();
}

Text shown(Interpreter& run, const Value& v) {
  run.charge(weight(v));
  Text text = to_text(v);
  charge_characters(run, text.size());
  return text;
}

bool is_odd(Interpreter&, const Value& v, const Arguments&) {
  return whole(v, "odd") % 2 != 0;
}
bool is_even(Interpreter&, const Value& v, const Arguments&) {
  return whole(v, "even") % 2 == 0;
}
bool is_divisible(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"});
  return binary(run, Operator::equal, binary(run, Operator::modulo, v, bound.required(0)), int64_t{0})
      .truth();
}
bool is_defined(Interpreter&, const Value& v, const Arguments&) {
  return !v.is_undefined();
}
bool is_undefined(Interpreter&, const Value& v, const Arguments&) {
  return v.is_undefined();
}
bool is_none(Interpreter&, const Value& v, const Arguments&) {
  return v.is_none();
}
bool is_boolean(Interpreter&, const Value& v, const Arguments&) {
  return v.is_boolean();
}
bool is_true(Interpreter&, const Value& v, const Arguments&) {
  return v.is_boolean() && v.truth();
}
bool is_false(Interpreter&, const Value& v, const Arguments&) {
  return v.is_boolean() && !v.truth();
}
bool is_integer(Interpreter&, const Value& v, const Arguments&) {
  return v.is_integer() && !v.is_boolean();
}
bool is_float(Interpreter&, const Value& v, const Arguments&) {
  return v.is_real();
}
bool is_number(Interpreter&, const Value& v, const Arguments&) {
  return v.is_number();
}
bool is_string(Interpreter&, const Value& v, const Arguments&) {
  return v.is_string();
}
bool is_lower(Interpreter& run, const Value& v, const Arguments&) {
  return jinja::is_lower(shown(run, v).bytes());
}
bool is_upper(Interpreter& run, const Value& v, const Arguments&) {
  return jinja::is_upper(shown(run, v).bytes());
}
bool is_mapping(Interpreter&, const Value& v, const Arguments&) {
  return v.dict() != nullptr;
}
bool is_callable(Interpreter&, const Value& v, const Arguments&) {
  return v.callable() != nullptr || v.loop() != nullptr || v.is_undefined();
}
bool is_sequence(Interpreter&, const Value& v, const Arguments&) {
  if (const List* list = v.list()) return list->kind <= ListKind::range;
  return v.is_undefined() || v.is_string() || v.dict() != nullptr;
}
bool is_iterable(Interpreter&, const Value& v, const Arguments&) {
  return v.is_undefined() || v.is_string() || v.list() != nullptr || v.dict() != nullptr ||
         v.loop() != nullptr;
}
bool is_same(Interpreter& run, const Value& v, const Arguments& arguments) {
  const Value& other = Bound("sameas", arguments, {"other"}).required(0);
  run.charge(std::min(weight(v), weight(other)));
  return v.type_name() == other.type_name() && equal(v, other);
}
bool is_in(Interpreter& run, const Value& v, const Arguments& arguments) {
  return contains(run, Bound("in", arguments, {"seq"}).required(0), v);
}
bool is_escaped(Interpreter&, const Value&, const Arguments&) {
  return false;
}
bool is_filter(Interpreter&, const Value& v, const Arguments&) {
  return v.is_string() && find_filter(v.text()->bytes()) != nullptr;
}
bool is_test(Interpreter&, const Value& v, const Arguments&) {
  return v.is_string() && find_test(v.text()->bytes()) != nullptr;
}

struct Entry {
  std::string_view name;
  TestFunction function;
};
constexpr Entry kTests[] = {
    {"odd", is_odd},
    {"even", is_even},
    {"divisibleby", is_divisible},
    {"defined", is_defined},
    {"undefined", is_undefined},
    {"filter", is_filter},
    {"test", is_test},
    {"none", is_none},
    {"boolean", is_boolean},
    {"false", is_false},
    {"true", is_true},
    {"integer", is_integer},
    {"float", is_float},
    {"lower", is_lower},
    {"upper", is_upper},
    {"string", is_string},
    {"mapping", is_mapping},
    {"number", is_number},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"callable", is_callable},
    {"sameas", is_same},
    {"escaped", is_escaped},
    {"in", is_in},
    {"==", compares<Operator::equal>},
    {"eq", compares<Operator::equal>},
    {"equalto", compares<Operator::equal>},
    {"!=", compares<Operator::not_equal>},
    {"ne", compares<Operator::not_equal>},
    {">", compares<Operator::greater>},
    {"gt", compares<Operator::greater>},
    {"greaterthan", compares<Operator::greater>},
    {">=", compares<Operator::greater_equal>},
    {"ge", compares<Operator::greater_equal>},
    {"<", compares<Operator::less>},
    {"lt", compares<Operator::less>},
    {"lessthan", compares<Operator::less>},
    {"<=", compares<Operator::less_equal>},
    {"le", compares<Operator::less_equal>},
};

}  // namespace

TestFunction find_test(std::string_view name) {
  const auto found = std::find_if(std::begin(kTests), std::end(kTests),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == std::end(kTests) ? nullptr : found->function;
}

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kTests) names.emplace_back(entry.name);
  return names;
}

}  // namespace fettle::jinja
