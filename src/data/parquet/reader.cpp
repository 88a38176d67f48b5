#include "data/parquet/reader.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "data/parquet/page.h"
#include "data/rows/json_text.h"

namespace fettle::data {
namespace {

void collect(const ParquetNode& node, bool is_root, std::vector<const ParquetNode*>& leaves) {
  if (node.children.empty() && !is_root) leaves.push_back(&node);
  for (const auto& child : node.children) collect(child, false, leaves);
}

void refuse_unknown(const ParquetNode& node, std::string_view where) {
  if (node.meaning == ParquetMeaning::variant) {
    fail(where, "column '{}' has a type that fettle does not read (VARIANT, GEOMETRY, GEOGRAPHY or a newer one)", node.name);
  }
  for (const auto& child : node.children) refuse_unknown(child, where);
}

/// "2023-07-01T12:00:00.123456Z", the part of a second as long as its unit.
std::string timestamp_text(int64_t value, int64_t unit) {
  int64_t seconds = value / unit, rest = value % unit;
  if (rest < 0) {
    rest += unit;
    --seconds;
  }
  if (seconds < -62135596800 || seconds > 253402300799) return std::to_string(value);
  const int64_t days = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400, clock = seconds - days * 86400;
  const std::chrono::year_month_day day{std::chrono::sys_days{std::chrono::days{days}}};
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(day.year()),
                                 static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), clock / 3600,
                                 clock / 60 % 60, clock % 60);
  if (unit > 1 && rest != 0) {
    std::string digits = std::to_string(unit + rest).substr(1);
    while (digits.back() == '0') digits.pop_back();
    text += "." + digits;
  }
  return text;
}

std::string decimal_text(bool negative, std::string digits, int32_t scale) {
  if (scale > 0 && scale < 1000) {
    const auto places = static_cast<size_t>(scale);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, ".");
  }
  return (negative ? "-" : "") + digits;
}

/// A big-endian number of any length in two's complement.
std::string decimal_of_bytes(std::string_view bytes, int32_t scale) {
  const bool negative = !bytes.empty() && static_cast<uint8_t>(bytes.front()) > 127;
  std::string number(bytes.substr(0, 64)), digits;
  if (negative) {
    for (auto& byte : number) byte = static_cast<char>(~byte);
    for (size_t i = number.size(); i-- > 0;) {
      number[i] = static_cast<char>(number[i] + 1);
      if (number[i] != 0) break;
    }
  }
  while (number.find_first_not_of('\0') != std::string::npos) {
    unsigned rest = 0;
    for (auto& byte : number) {
      const unsigned value = rest * 256 + static_cast<uint8_t>(byte);
      byte = static_cast<char>(value / 10);
      rest = value % 10;
    }
    digits.insert(digits.begin(), static_cast<char>('0' + rest));
  }
  return decimal_text(negative, digits.empty() ? "0" : digits, scale);
}

double half_to_double(std::string_view bytes) {
  const unsigned bits = static_cast<uint8_t>(bytes[0]) | (static_cast<unsigned>(static_cast<uint8_t>(bytes[1])) << 8);
  const int exponent = static_cast<int>((bits >> 10) & 31);
  const double fraction = bits & 1023;
  double value = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  if (exponent == 31) value = fraction == 0 ? HUGE_VAL : NAN;
  return bits >> 15 != 0 ? -value : value;
}

std::string uuid_text(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<uint8_t>(bytes[i]));
  }
  return text;
}

void append_real(double value, bool is_float, std::string& text) {
  if (!std::isfinite(value)) {
    text += "null";
    return;
  }
  const std::string number = is_float ? fmt::format("{}", static_cast<float>(value)) : fmt::format("{}", value);
  text += number;
  if (number.find_first_of(".e") == std::string::npos) text += ".0";
}

/// Days from the Julian epoch and nanoseconds of the day, as old writers keep timestamps.
std::string int96_text(std::string_view bytes) {
  int64_t nanoseconds = 0;
  int32_t julian = 0;
  std::memcpy(&nanoseconds, bytes.data(), 8);
  std::memcpy(&julian, bytes.data() + 8, 4);
  const int64_t seconds = (int64_t{julian} - 2440588) * 86400 + nanoseconds / 1000000000;
  std::string text = timestamp_text(seconds, 1);
  if (nanoseconds % 1000000000 > 0) {
    text += fmt::format(".{:09}", nanoseconds % 1000000000);
    while (text.back() == '0') text.pop_back();
  }
  return text;
}

/// Months, days and milliseconds as an ISO 8601 duration.
std::string interval_text(std::string_view bytes) {
  uint32_t parts[3];
  std::memcpy(parts, bytes.data(), sizeof parts);
  return fmt::format("P{}M{}DT{}.{:03}S", parts[0], parts[1], parts[2] / 1000, parts[2] % 1000);
}

}  // namespace

ParquetReader::ParquetReader(std::string_view file, std::string where)
    : file_(file), where_(std::move(where)), footer_(parquet_footer(file, where_)) {
  collect(footer_.root, true, leaves_);
  refuse_unknown(footer_.root, where_);
}

ParquetReader::~ParquetReader() = default;

void ParquetReader::open_group() {
  const auto& group = footer_.groups[next_group_++];
  rows_left_ = group.rows;
  if (rows_left_ <= 0) return;
  cursors_.clear();
  for (size_t i = 0; i < leaves_.size(); ++i) {
    cursors_.push_back(std::make_unique<ColumnCursor>(file_, group.chunks[i], *leaves_[i], where_));
  }
}

bool ParquetReader::next(std::string& text, uint64_t max_bytes) {
  while (rows_left_ <= 0) {
    if (next_group_ >= footer_.groups.size() || leaves_.empty()) return false;
    open_group();
  }
  --rows_left_;
  limit_ = text.size() + max_bytes;
  text += '{';
  bool first = true;
  for (const auto& column : footer_.root.children) {
    if (!first) text += ',';
    first = false;
    append_json_string(column.name, text);
    text += ':';
    write(column, text);
  }
  text += '}';
  return true;
}

void ParquetReader::skip(const ParquetNode& node) {
  for (size_t i = 0; i < node.leaf_count; ++i) cursors_[node.first_leaf + i]->take();
}

void ParquetReader::write(const ParquetNode& node, std::string& text) {
  if (text.size() > limit_) fail(where_, "a row is longer than {} bytes", limit_);
  auto& lead = *cursors_[node.first_leaf];
  if (node.repetition == ParquetNode::repeated) {  // a list in the old way, without a group around it
    write_list(node, node, text);
    return;
  }
  if (node.repetition == ParquetNode::optional && lead.definition() < node.definition) {
    skip(node);
    text += "null";
    return;
  }
  if (node.children.empty()) {
    write_value(node, text);
    return;
  }
  const auto& child = node.children.front();
  const bool wraps_repeated = node.children.size() == 1 && child.repetition == ParquetNode::repeated;
  if (node.meaning == ParquetMeaning::map && wraps_repeated && child.children.size() == 2) {
    write_map(child, text);
  } else if (node.meaning == ParquetMeaning::list && wraps_repeated) {
    const bool three_levels = child.children.size() == 1 && child.name != "array" && child.name != node.name + "_tuple";
    write_list(child, three_levels ? child.children.front() : child, text);
  } else {
    write_fields(node, text);
  }
}

void ParquetReader::write_fields(const ParquetNode& structure, std::string& text) {
  text += '{';
  bool first = true;
  for (const auto& field : structure.children) {
    if (field.repetition == ParquetNode::optional && cursors_[field.first_leaf]->definition() < field.definition) {
      skip(field);
      continue;
    }
    if (!std::exchange(first, false)) text += ',';
    append_json_string(field.name, text);
    text += ':';
    write(field, text);
  }
  text += '}';
}

void ParquetReader::write_list(const ParquetNode& repeated, const ParquetNode& element, std::string& text) {
  auto& lead = *cursors_[repeated.first_leaf];
  text += '[';
  if (lead.definition() < repeated.definition) {
    skip(repeated);
    text += ']';
    return;
  }
  for (bool first = true; first || lead.repetition() == repeated.repetition_level; first = false) {
    if (text.size() > limit_) fail(where_, "a row is longer than {} bytes", limit_);
    if (!first) text += ',';
    if (&element != &repeated) {
      write(element, text);
    } else if (repeated.children.empty()) {
      write_value(repeated, text);
    } else {
      write_fields(repeated, text);
    }
  }
  text += ']';
}

void ParquetReader::write_map(const ParquetNode& repeated, std::string& text) {
  auto& lead = *cursors_[repeated.first_leaf];
  text += '{';
  if (lead.definition() < repeated.definition) {
    skip(repeated);
    text += '}';
    return;
  }
  std::string key;
  for (bool first = true; first || lead.repetition() == repeated.repetition_level; first = false) {
    if (text.size() > limit_) fail(where_, "a row is longer than {} bytes", limit_);
    if (!first) text += ',';
    key.clear();
    write(repeated.children[0], key);
    if (key.starts_with('"')) {
      text += key;
    } else {
      append_json_string(key, text);
    }
    text += ':';
    write(repeated.children[1], text);
  }
  text += '}';
}

void ParquetReader::write_value(const ParquetNode& leaf, std::string& text) {
  using T = ParquetType;
  using M = ParquetMeaning;
  const ParquetValue value = cursors_[leaf.first_leaf]->take();
  const bool is_number = leaf.type == T::int32 || leaf.type == T::int64;
  if (leaf.type == T::boolean) {
    text += value.integer != 0 ? "true" : "false";
  } else if (leaf.type == T::float32 || leaf.type == T::float64) {
    append_real(value.real, leaf.type == T::float32, text);
  } else if (leaf.type == T::int96) {
    append_json_string(int96_text(value.bytes), text);
  } else if (leaf.meaning == M::decimal) {
    const auto size = value.integer < 0 ? -static_cast<uint64_t>(value.integer) : static_cast<uint64_t>(value.integer);
    text += is_number ? decimal_text(value.integer < 0, std::to_string(size), leaf.scale)
                      : decimal_of_bytes(value.bytes, leaf.scale);
  } else if (leaf.type == T::int32 && leaf.meaning == M::date) {
    append_json_string(timestamp_text(value.integer * 86400, 1).substr(0, 10), text);
  } else if (is_number && (leaf.meaning == M::timestamp || leaf.meaning == M::time)) {
    const std::string full = timestamp_text(value.integer, leaf.unit);
    append_json_string(leaf.meaning == M::time && full.size() > 11 ? full.substr(11) : full, text);
  } else if (leaf.meaning == M::unsigned_number) {
    text += std::to_string(leaf.type == T::int32 ? static_cast<uint64_t>(static_cast<uint32_t>(value.integer))
                                                 : static_cast<uint64_t>(value.integer));
  } else if (is_number) {
    text += std::to_string(value.integer);
  } else if (leaf.meaning == M::interval && value.bytes.size() == 12) {
    append_json_string(interval_text(value.bytes), text);
  } else if (leaf.meaning == M::float16 && value.bytes.size() == 2) {
    append_real(half_to_double(value.bytes), false, text);
  } else {
    append_json_string(leaf.meaning == M::uuid ? uuid_text(value.bytes) : value.bytes, text);
  }
}

}  // namespace fettle::data
