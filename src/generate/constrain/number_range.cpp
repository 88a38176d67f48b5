#include "generate/constrain/number_range.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>

#include "generate/constrain/pattern.h"

namespace fettle {
namespace {

constexpr int64_t most_digits = 40, most_multiple = 4000;

int compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  const int whole = a.whole.compare(b.whole);
  const int all = whole != 0 ? whole : a.fraction.compare(b.fraction);
  return all < 0 ? -1 : all > 0 ? 1 : 0;
}

/// What is known of a number without its sign after some of its digits, against a bound.
struct Reading {
  bool in_fraction = false;
  size_t digits = 0;  ///< of the part that is being read
  int order = 0;      ///< of the digits so far against the bound's first ones
  auto operator<=>(const Reading&) const = default;
};

class Magnitude {
 public:
  Magnitude(const Decimal& bound, int wanted, bool open) : bound_(bound), wanted_(wanted), open_(open) {}

  /// Numbers below (wanted -1) or above (1) the bound.
  CharacterAutomaton automaton() {
    number_of({});
    for (size_t i = 0; i < readings_.size(); ++i) {
      out_.states.emplace_back().accepts = accepts(readings_[i]);
      const Reading from = readings_[i];
      std::vector<CharacterAutomaton::Edge> edges;
      if (!from.in_fraction && from.digits > 0)
        edges.push_back({'.', '.', number_of({true, 0, against_whole(from)})});
      for (char32_t digit = '0'; digit <= '9'; ++digit)
        edges.push_back({digit, digit, number_of(behind(from, static_cast<char>(digit)))});
      out_.states[i].edges = std::move(edges);
    }
    return out_;
  }

 private:
  int32_t number_of(const Reading& reading) {
    const auto [at, fresh] = numbers_.try_emplace(reading, static_cast<int32_t>(readings_.size()));
    if (fresh) readings_.push_back(reading);
    return at->second;
  }

  static int order_of(char digit, char wanted) { return digit < wanted ? -1 : digit > wanted ? 1 : 0; }

  Reading behind(Reading reading, char digit) const {
    const std::string& wanted = reading.in_fraction ? bound_.fraction : bound_.whole;
    if (reading.order == 0) {
      if (reading.digits < wanted.size())
        reading.order = order_of(digit, wanted[reading.digits]);
      else if (reading.in_fraction && digit > '0')
        reading.order = 1;
    }
    const size_t last = reading.in_fraction ? wanted.size() : wanted.size() + 1;
    reading.digits = std::min(reading.digits + 1, last);
    if (reading.in_fraction && reading.order != 0) reading.digits = 0;
    return reading;
  }

  /// The whole part against the bound's: a longer one is larger.
  int against_whole(const Reading& reading) const {
    if (reading.digits != bound_.whole.size()) return reading.digits < bound_.whole.size() ? -1 : 1;
    return reading.order;
  }

  bool accepts(const Reading& reading) const {
    int order = reading.in_fraction ? reading.order : against_whole(reading);
    const size_t read = reading.in_fraction ? reading.digits : 0;
    if (order == 0 && read < bound_.fraction.size()) order = -1;  // its last digit is no zero
    return order == wanted_ || (order == 0 && !open_);
  }

  const Decimal& bound_;
  int wanted_;
  bool open_;
  std::map<Reading, int32_t> numbers_;
  std::vector<Reading> readings_;
  CharacterAutomaton out_;
};

/// Texts of `positive`, and those of `negative` behind a sign.
CharacterAutomaton signed_automaton(const CharacterAutomaton& positive, const CharacterAutomaton& negative) {
  CharacterGraph graph;
  const int32_t start = graph.add_state(), minus = graph.add_state(), end = graph.add_state();
  graph.add_edge(start, {{'-', '-'}}, minus);
  graph.add_automaton(start, positive, end);
  graph.add_automaton(minus, negative, end);
  return graph.determined(start, end);
}

CharacterAutomaton any_magnitude() {
  return whole_pattern_automaton("[0-9.]*");
}

CharacterAutomaton at_least(const NumberBound& bound) {
  const Decimal& value = bound.value;
  if (!value.negative) return signed_automaton(Magnitude(value, 1, bound.open).automaton(), {});
  return signed_automaton(any_magnitude(), Magnitude(value, -1, bound.open).automaton());
}

CharacterAutomaton at_most(const NumberBound& bound) {
  const Decimal& value = bound.value;
  const auto magnitude = [&](int wanted) { return Magnitude(value, wanted, bound.open).automaton(); };
  if (value.negative) return signed_automaton({}, magnitude(1));
  return signed_automaton(magnitude(-1), value.zero() ? magnitude(1) : any_magnitude());
}

/// Digits are read with the remainder of what they make so far; zeros that are not written count too.
CharacterAutomaton multiples_of(const Decimal& factor) {
  const std::string digits = (factor.whole == "0" ? "" : factor.whole) + factor.fraction;
  const auto places = static_cast<int64_t>(factor.fraction.size());
  int64_t modulus = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), modulus);
  if (error != std::errc() || modulus <= 0 || modulus > most_multiple)
    throw Error(fmt::format("a multiple of more than {} (in units of its last digit) is not supported",
                            most_multiple));
  // State (remainder, digits behind the point; -1: no point yet).
  const auto number = [&](int64_t remainder, int64_t read) {
    return static_cast<int32_t>((read + 1) * modulus + remainder + 1);
  };
  CharacterAutomaton out;
  out.states.resize(static_cast<size_t>((places + 2) * modulus + 1));
  for (int64_t read = -1; read <= places; ++read) {
    for (int64_t remainder = 0; remainder < modulus; ++remainder) {
      auto& state = out.states[static_cast<size_t>(number(remainder, read))];
      int64_t scaled = remainder;
      for (int64_t i = std::max<int64_t>(0, read); i < places; ++i) scaled = scaled * 10 % modulus;
      state.accepts = scaled == 0;
      if (read < 0 && places > 0) state.edges.push_back({'.', '.', number(remainder, 0)});
      if (read == places) continue;
      for (char32_t digit = '0'; digit <= '9'; ++digit)
        state.edges.push_back(
            {digit, digit, number((remainder * 10 + (digit - '0')) % modulus, read < 0 ? -1 : read + 1)});
    }
  }
  out.states[0] = out.states[static_cast<size_t>(number(0, -1))];
  out.states[0].edges.insert(out.states[0].edges.begin(), {'-', '-', number(0, -1)});
  return out;
}

}  // namespace

Decimal decimal_of(const OrderedJson& number) {
  const std::string text = dump_json(number);
  Decimal out;
  int64_t exponent = 0, point = -1;
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-') {
      out.negative = true;
    } else if (text[i] == '.') {
      point = static_cast<int64_t>(digits.size());
    } else if (text[i] == 'e') {
      exponent = std::stoll(text.substr(i + 1));
      break;
    } else {
      digits += text[i];
    }
  }
  int64_t at = (point < 0 ? static_cast<int64_t>(digits.size()) : point) + exponent;
  if (at > most_digits || at < -most_digits)
    throw Error(fmt::format("the number {} has too many digits", text));
  if (at < 0) digits.insert(0, static_cast<size_t>(-at), '0'), at = 0;
  if (at > static_cast<int64_t>(digits.size())) digits.append(static_cast<size_t>(at) - digits.size(), '0');
  out.whole = digits.substr(0, static_cast<size_t>(at));
  out.fraction = digits.substr(static_cast<size_t>(at));
  out.whole.erase(0, out.whole.find_first_not_of('0'));
  if (out.whole.empty()) out.whole = "0";
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  if (out.zero()) out.negative = false;
  return out;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? -compare_magnitudes(a, b) : compare_magnitudes(a, b);
}

void NumberRange::raise_low(NumberBound bound) {
  const int order = low ? compare(bound.value, low->value) : 1;
  if (order > 0 || (order == 0 && bound.open)) low = std::move(bound);
}

void NumberRange::lower_high(NumberBound bound) {
  const int order = high ? compare(bound.value, high->value) : -1;
  if (order < 0 || (order == 0 && bound.open)) high = std::move(bound);
}

CharacterAutomaton number_automaton(const NumberRange& range) {
  size_t whole = 16, fraction = 16;
  for (const auto* bound : {&range.low, &range.high}) {
    if (!*bound) continue;
    whole = std::max(whole, (*bound)->value.whole.size());
    fraction = std::max(fraction, (*bound)->value.fraction.size() + 1);
  }
  const std::string digits = fmt::format("[1-9][0-9]{{0,{}}}", whole - 1);
  CharacterAutomaton out =
      whole_pattern_automaton(range.integer ? fmt::format("0|-?{}", digits)
                                            : fmt::format("-?(0|{})([.][0-9]{{1,{}}})?", digits, fraction));
  if (range.low) out = intersection(out, at_least(*range.low));
  if (range.high) out = intersection(out, at_most(*range.high));
  for (const Decimal& factor : range.multiples) out = intersection(out, multiples_of(factor));
  return out;
}

}  // namespace fettle
