#include <algorithm>
#include <cmath>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

constexpr std::string_view kSymbols[] = {
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};

[[noreturn]] void unsupported(Operator op, const Value& left, const Value& right) {
  for (const Value* side : {&left, &right}) {
    if (side->is_undefined() && side->hint().hint) raise("{}", *side->hint().hint);
  }
  const std::string_view symbol = kSymbols[static_cast<size_t>(op)];
  raise("'{}' does not work on {} and {}", symbol, left.type_name(), right.type_name());
}

[[noreturn]] void overflow() {
  raise("an integer does not fit in 64 bits");
}

int64_t integer_power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

int64_t floor_divide(int64_t left, int64_t right) {
  if (right == -1) {
    int64_t result = 0;
    if (__builtin_sub_overflow(int64_t{0}, left, &result)) overflow();
    return result;
  }
  const int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

Value integer_arithmetic(Operator op, int64_t left, int64_t right) {
  int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(left, right, &result)) overflow();
      return result;
    case Operator::subtract:
      if (__builtin_sub_overflow(left, right, &result)) overflow();
      return result;
    case Operator::multiply:
      if (__builtin_mul_overflow(left, right, &result)) overflow();
      return result;
    case Operator::power:
      if (right < 0) return std::pow(static_cast<double>(left), static_cast<double>(right));
      return integer_power(left, right);
    default:
      break;
  }
  if (right == 0) raise("division by zero");
  if (op == Operator::divide) return static_cast<double>(left) / static_cast<double>(right);
  if (op == Operator::floor_divide) return floor_divide(left, right);
  if (right == -1) return int64_t{0};
  const int64_t rest = left % right;
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

Value real_arithmetic(Operator op, double left, double right) {
  switch (op) {
    case Operator::add:
      return left + right;
    case Operator::subtract:
      return left - right;
    case Operator::multiply:
      return left * right;
    case Operator::power:
      if (left == 0 && right < 0) raise("zero cannot be raised to a negative power");
      return std::pow(left, right);
    default:
      break;
  }
  if (right == 0) raise("division by zero");
  if (op == Operator::divide) return left / right;
  if (op == Operator::floor_divide) return std::floor(left / right);
  const double rest = std::fmod(left, right);
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

Value repeat(Interpreter& run, const Value& sequence, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (const Text* text = sequence.text()) {
    if (text->empty()) return sequence;
    if (times > kMaxBytes) check_size(kMaxBytes + 1);
    run.charge_text(text->size() * static_cast<size_t>(times));
    Text out;
    for (int64_t i = 0; i < times; ++i) out.append(*text);
    return out;
  }
  const List& list = *sequence.list();
  if (list.items.empty()) return sequence;
  if (times > kMaxItems) raise("a list of more than {} items", kMaxItems);
  run.charge(static_cast<int64_t>(list.items.size()) * times);
  std::vector<Value> items;
  for (int64_t i = 0; i < times; ++i) items.insert(items.end(), list.items.begin(), list.items.end());
  return make_list(std::move(items), list.kind);
}

bool is_plain_list(const Value& value) {
  return value.list() != nullptr &&
         (value.list()->kind == ListKind::list || value.list()->kind == ListKind::tuple);
}

Value add(Interpreter& run, const Value& left, const Value& right) {
  if (left.is_string() && right.is_string()) {
    run.charge_text(left.text()->size() + right.text()->size());
    Text out;
    out.reserve(left.text()->size() + right.text()->size());
    out.append(*left.text());
    out.append(*right.text());
    return out;
  }
  if (is_plain_list(left) && is_plain_list(right) && left.list()->kind == right.list()->kind) {
    run.charge(static_cast<int64_t>(left.list()->items.size() + right.list()->items.size()));
    std::vector<Value> items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return make_list(std::move(items), left.list()->kind);
  }
  unsupported(Operator::add, left, right);
}

Value arithmetic(Interpreter& run, Operator op, const Value& left, const Value& right) {
  if (left.is_integer() && right.is_integer()) return integer_arithmetic(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return real_arithmetic(op, left.real(), right.real());
  if (op == Operator::add) return add(run, left, right);
  if (op == Operator::modulo && left.is_string()) return percent_format(run, *left.text(), right);
  if (op == Operator::multiply) {
    const auto repeats = [](const Value& value) { return value.is_string() || is_plain_list(value); };
    if (repeats(left) && right.is_integer()) return repeat(run, left, right.integer());
    if (repeats(right) && left.is_integer()) return repeat(run, right, left.integer());
  }
  unsupported(op, left, right);
}

}  // namespace

Value binary(Interpreter& run, Operator op, const Value& left, const Value& right) {
  if (op < Operator::equal) return arithmetic(run, op, left, right);
  if (op == Operator::in) return contains(run, right, left);
  if (op == Operator::not_in) return !contains(run, right, left);
  run.charge(std::min(weight(left), weight(right)));
  if (op == Operator::equal) return equal(left, right);
  if (op == Operator::not_equal) return !equal(left, right);
  const int order = compare(left, right, kSymbols[static_cast<size_t>(op)]);
  const bool comparable =
      !(left.is_real() && std::isnan(left.real())) && !(right.is_real() && std::isnan(right.real()));
  if (op == Operator::less) return comparable && order < 0;
  if (op == Operator::less_equal) return comparable && order <= 0;
  if (op == Operator::greater) return comparable && order > 0;
  return comparable && order >= 0;
}

bool contains(Interpreter& run, const Value& container, const Value& item) {
  run.charge(weight(container));
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) raise("'in' a string needs a string on its left, got {}", item.type_name());
    return find_part(run, text->bytes(), item.text()->bytes()) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(item) != nullptr;
  const std::vector<Value> items = iterate(container);
  return std::any_of(items.begin(), items.end(), [&](const Value& other) { return equal(other, item); });
}

Value negate(const Value& value) {
  if (value.is_integer()) return integer_arithmetic(Operator::subtract, 0, value.integer());
  if (value.is_real()) return -value.real();
  unsupported(Operator::subtract, value, value);
}

}  // namespace fettle::jinja
