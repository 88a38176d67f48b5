// The two ways Python formats: `%` and str.format.
#include <algorithm>
#include <cmath>

#include "text/jinja/strings.h"

namespace fettle::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 16;

struct Spec {
  std::string fill = " ";
  char align = 0;  ///< < > ^ = or none
  char sign = '-';
  bool alternate = false, zero = false;
  char grouping = 0;
  int64_t width = 0;
  int64_t precision = -1;
  char type = 0;
};

int64_t read_number(std::string_view text, size_t& at) {
  int64_t value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    value = value * 10 + (text[at] - '0');
    if (value > kMaxWidth) raise("format: a width or precision above {}", kMaxWidth);
  }
  return value;
}

std::string group_digits(const std::string& digits, char separator) {
  const size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % 3 == 0) out.push_back(separator);
    out.push_back(digits[i]);
  }
  return out + digits.substr(end);
}

std::string integer_digits(const Spec& spec, int64_t value) {
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  switch (spec.type) {
    case 'x':
      return (spec.alternate ? "0x" : "") + fmt::format("{:x}", size);
    case 'X':
      return (spec.alternate ? "0X" : "") + fmt::format("{:X}", size);
    case 'o':
      return (spec.alternate ? "0o" : "") + fmt::format("{:o}", size);
    case 'b':
      return (spec.alternate ? "0b" : "") + fmt::format("{:b}", size);
    default:
      return std::to_string(size);
  }
}

std::string real_digits(const Spec& spec, double size) {
  const bool upper_case = spec.type == 'F' || spec.type == 'E' || spec.type == 'G';
  if (!std::isfinite(size))
    return std::isnan(size) ? (upper_case ? "NAN" : "nan") : (upper_case ? "INF" : "inf");
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  switch (spec.type) {
    case 'e':
      return fmt::format("{:.{}e}", size, precision);
    case 'E':
      return fmt::format("{:.{}E}", size, precision);
    case 'g':
      return fmt::format("{:.{}g}", size, std::max(precision, 1));
    case 'G':
      return fmt::format("{:.{}G}", size, std::max(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", size * 100, precision);
    case 0:
      if (spec.precision < 0) return repr_real(size);
      return fmt::format("{:.{}g}", size, std::max(precision, 1));
    default:
      return fmt::format("{:.{}f}", size, precision);
  }
}

Text aligned(Interpreter& run, const Spec& spec, const Text& body, char align) {
  return pad(run, body, spec.width, spec.fill,
             align == '<'   ? Side::left
             : align == '^' ? Side::both
                            : Side::right);
}

Text format_number(Interpreter& run, const Spec& spec, const Value& value) {
  const bool real = value.is_real() ||
                    (spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  const bool negative = real ? std::signbit(value.real()) : value.integer() < 0;
  std::string digits =
      real ? real_digits(spec, std::abs(value.real())) : integer_digits(spec, value.integer());
  if (spec.grouping != 0) digits = group_digits(digits, spec.grouping);
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.align == '=' || (spec.align == 0 && spec.zero)) {
    Spec inner = spec;
    inner.width -= static_cast<int64_t>(sign.size());
    if (spec.zero) inner.fill = "0";
    Text out(sign);
    out.append(aligned(run, inner, Text(digits), '>'));
    return out;
  }
  return aligned(run, spec, Text(sign + digits), spec.align == 0 ? '>' : spec.align);
}

Text format_text(Interpreter& run, const Spec& spec, const Text& text, char default_align) {
  const Text cut =
      spec.precision < 0 ? text : text.slice(0, offset_of_character(text.bytes(), spec.precision));
  return aligned(run, spec, cut, spec.align == 0 ? default_align : spec.align);
}

// ---- %-formatting
// -------------------------------------------------------------------------------------------------

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& run, const Text& format, const Value& values)
      : run_(run), format_(format), values_(values) {
    const List* list = values.list();
    tuple_ = list != nullptr && list->kind == ListKind::tuple ? &list->items : nullptr;
  }

  Text run() {
    const std::string_view text = format_.bytes();
    while (at_ < text.size()) {
      const size_t percent = std::min(text.find('%', at_), text.size());
      out_.append(format_, at_, percent);
      at_ = percent;
      if (at_ < text.size()) directive(text);
      check_size(static_cast<int64_t>(out_.size()));
    }
    const bool all_used =
        tuple_ != nullptr ? next_ == tuple_->size() : next_ > 0 || keyed_ || values_.dict() != nullptr;
    const bool leftover = tuple_ != nullptr ? !all_used : !all_used && values_.list() == nullptr;
    if (leftover) raise("not all values were used by the format string");
    return std::move(out_);
  }

 private:
  const Value& next_value() {
    if (tuple_ != nullptr) {
      if (next_ >= tuple_->size()) raise("too few values for the format string");
      return (*tuple_)[next_++];
    }
    if (next_++ > 0) raise("too few values for the format string");
    return values_;
  }

  int64_t width_or_star(std::string_view text) {
    if (at_ >= text.size() || text[at_] != '*') return read_number(text, at_);
    ++at_;
    const Value& width = next_value();
    if (!width.is_integer() || width.integer() > kMaxWidth || width.integer() < -kMaxWidth)
      raise("* needs a small integer");
    return width.integer();
  }

  Spec read_spec(std::string_view text) {
    Spec spec;
    for (; at_ < text.size(); ++at_) {
      const char c = text[at_];
      if (c == '-') {
        spec.align = '<';
      } else if (c == '+' || (c == ' ' && spec.sign != '+')) {
        spec.sign = c;
      } else if (c == '0') {
        spec.zero = true;
      } else if (c == '#') {
        spec.alternate = true;
      } else if (c != ' ') {
        break;
      }
    }
    spec.width = width_or_star(text);
    if (spec.width < 0) {
      spec.width = -spec.width;
      spec.align = '<';
    }
    if (at_ < text.size() && text[at_] == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(0, width_or_star(text));
    }
    while (at_ < text.size() && (text[at_] == 'l' || text[at_] == 'h' || text[at_] == 'L')) ++at_;
    return spec;
  }

  void directive(std::string_view text) {
    ++at_;
    run_.charge(1);
    const Value* keyed = nullptr;
    if (at_ < text.size() && text[at_] == '(') {
      const size_t close = text.find(')', at_);
      if (close == std::string_view::npos || values_.dict() == nullptr)
        raise("%(name) needs a dict and a closing ')'");
      run_.charge(static_cast<int64_t>(values_.dict()->entries.size() / 16));
      keyed = values_.dict()->find(text.substr(at_ + 1, close - at_ - 1));
      if (keyed == nullptr)
        raise("the format string names '{}', which the dict lacks", text.substr(at_ + 1, close - at_ - 1));
      keyed_ = true;
      at_ = close + 1;
    }
    Spec spec = read_spec(text);
    if (at_ >= text.size()) raise("the format string ends inside a directive");
    spec.type = text[at_++];
    if (spec.type == '%') return out_.append("%", kFromTemplate);
    convert(spec, keyed != nullptr ? *keyed : next_value());
  }

  void convert(Spec spec, const Value& value) {
    const char type = spec.type;
    if (type == 's' || type == 'r' || type == 'a') {
      Text text;
      run_.charge(weight(value));
      if (type == 's') {
        text = to_text(value);
      } else {
        append_repr(text, value);
      }
      return out_.append(format_text(run_, spec, text, '>'));
    }
    if (type == 'c') return out_.append(format_text(run_, spec, character(value), '>'));
    const bool integral = std::string_view("diuxXo").find(type) != std::string_view::npos;
    if (!integral && std::string_view("eEfFgG").find(type) == std::string_view::npos) {
      raise("the format string holds '%{}', which Python does not know", type);
    }
    if (!value.is_number() || (value.is_real() && (type == 'x' || type == 'X' || type == 'o'))) {
      if (value.is_undefined() && value.hint().hint) raise("{}", *value.hint().hint);
      raise("%{} needs a number, got {}", type, value.type_name());
    }
    if (!integral) return out_.append(format_number(run_, spec, value.real()));
    spec.type = type == 'i' || type == 'u' ? 'd' : type;
    const int64_t number = value.is_real() ? truncated(value.real()) : value.integer();
    if (spec.precision > 0) {
      // The precision of an integer is its least number of digits.
      const std::string digits = integer_digits(spec, number);
      Text padded(number < 0 ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign));
      padded.append(pad(run_, Text(digits), spec.precision, "0", Side::right));
      spec.precision = -1;
      return out_.append(aligned(run_, spec, padded, spec.align == 0 ? '>' : spec.align));
    }
    out_.append(format_number(run_, spec, number));
  }

  static Text character(const Value& value) {
    std::string out;
    if (value.is_string() && count_characters(value.text()->bytes()) == 1) return *value.text();
    if (!value.is_integer() || value.integer() < 0 || value.integer() > 0x10FFFF)
      raise("%c needs a character");
    const auto code = static_cast<uint32_t>(value.integer());
    append_character(out, code >= 0xD800 && code <= 0xDFFF ? 0xFFFD : code);
    return Text(out);
  }

  Interpreter& run_;
  const Text& format_;
  const Value& values_;
  const std::vector<Value>* tuple_ = nullptr;
  size_t at_ = 0, next_ = 0;
  bool keyed_ = false;
  Text out_;
};

// ---- str.format
// ---------------------------------------------------------------------------------------------------

Spec read_brace_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  size_t after_first = 0;
  if (!text.empty()) next_character(text, after_first);
  if (after_first > 0 && after_first < text.size() && is_align(text[after_first])) {
    spec.fill = text.substr(0, after_first);
    spec.align = text[after_first];
    at = after_first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) spec.sign = text[at++];
  if (at < text.size() && text[at] == '#') spec.alternate = ++at > 0;
  if (at < text.size() && text[at] == '0') {
    spec.zero = spec.align == 0;
    ++at;
  }
  spec.width = read_number(text, at);
  if (at < text.size() && (text[at] == ',' || text[at] == '_')) spec.grouping = text[at++];
  if (at < text.size() && text[at] == '.') {
    ++at;
    spec.precision = read_number(text, at);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) raise("the format '{}' is not understood", text);
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& run, const Arguments& arguments) : run_(run), arguments_(arguments) {}

  Text run(const Text& format, int depth) {
    Text out;
    const std::string_view text = format.bytes();
    for (size_t at = 0; at < text.size();) {
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.append(format, at, brace);
      at = brace;
      if (at >= text.size()) break;
      run_.charge(1);
      if (at + 1 < text.size() && text[at + 1] == text[at]) {
        out.append(format, at, at + 1);
        at += 2;
      } else {
        if (text[at] == '}') raise("a single '}}' in a format string");
        const size_t end = closing(text, at);
        out.append(field(format.slice(at + 1, end), depth));
        at = end + 1;
      }
      check_size(static_cast<int64_t>(out.size()));
    }
    return out;
  }

 private:
  static size_t closing(std::string_view text, size_t open) {
    int level = 0;
    for (size_t at = open; at < text.size(); ++at) {
      level += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
      if (level == 0) return at;
    }
    raise("a '{{' in a format string is never closed");
  }

  Text field(const Text& inside, int depth) {
    const std::string_view text = inside.bytes();
    const size_t name_end = std::min(text.find_first_of("!:"), text.size());
    Value value = lookup(text.substr(0, name_end));
    size_t at = name_end;
    char conversion = 0;
    if (at < text.size() && text[at] == '!') {
      if (at + 1 >= text.size()) raise("a format string ends behind '!'");
      conversion = text[at + 1];
      at += 2;
      if (conversion != 's' && conversion != 'r') raise("the conversion '!{}' is not supported", conversion);
      if (at < text.size() && text[at] != ':') raise("expected ':' behind a conversion in a format string");
    }
    Text spec_text = at < text.size() ? inside.slice(at + 1, text.size()) : Text();
    if (spec_text.bytes().find('{') != std::string::npos) {
      if (depth >= 1) raise("a format string is nested too deeply");
      spec_text = run(spec_text, depth + 1);
    }
    const Spec spec = read_brace_spec(spec_text.bytes());
    run_.charge(weight(value));
    if (conversion == 'r') {
      Text shown;
      append_repr(shown, value);
      return format_text(run_, spec, shown, '<');
    }
    if (conversion == 0 && value.is_number() && !(value.is_boolean() && spec.type == 0) && spec.type != 's') {
      return format_number(run_, spec, value);
    }
    if (spec.type != 0 && spec.type != 's')
      raise("the format '{}' does not fit a {}", spec.type, value.type_name());
    return format_text(run_, spec, to_text(value), '<');
  }

  Value lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    const std::string first(name.substr(0, end));
    Value value = argument(first);
    size_t at = end;
    while (at < name.size()) {
      run_.charge(1);
      if (name[at] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", at + 1), name.size());
        value = run_.get_attribute(value, name.substr(at + 1, stop - at - 1));
        at = stop;
      } else {
        const size_t stop = name.find(']', at);
        if (name[at] != '[' || stop == std::string_view::npos)
          raise("a format string names '{}', which is no field", name);
        const std::string key(name.substr(at + 1, stop - at - 1));
        const auto index = parse_integer(key, 10);
        value = run_.get_item(value, index ? Value(*index) : Value::string(key));
        at = stop + 1;
      }
    }
    return value;
  }

  Value argument(const std::string& name) {
    if (name.empty() || (name[0] >= '0' && name[0] <= '9')) {
      const auto index =
          name.empty() ? next_++ : static_cast<size_t>(parse_integer(name, 10).value_or(INT32_MAX));
      if (index >= arguments_.positional.size())
        raise("the format string asks for value {}, which was not given", index);
      return arguments_.positional[index];
    }
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    raise("the format string asks for '{}', which was not given", name);
  }

  Interpreter& run_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

Text percent_format(Interpreter& run, const Text& format, const Value& values) {
  run.charge_text(format.size());
  return PercentFormatter(run, format, values).run();
}

Text brace_format(Interpreter& run, const Text& format, const Arguments& arguments) {
  return BraceFormatter(run, arguments).run(format, 0);
}

}  // namespace fettle::jinja
