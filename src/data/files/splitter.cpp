#include "data/files/splitter.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fettle::data {
namespace {

constexpr size_t kept_of_long_values = 1024;
constexpr size_t most_of_head = size_t{1} << 16;  // so much is held to find the layout
constexpr size_t room_behind = simdjson::SIMDJSON_PADDING;  // a text with it is parsed where it stands

bool is_json_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_json_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_json_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view Splitter::layout_name() const {
  switch (layout_) {
    case FileLayout::array:
      return "json array";
    case FileLayout::values:
      return "json";
    case FileLayout::lines:
      return "jsonl";
    case FileLayout::table:
      return table_->delimiter() == '\t' ? "tsv" : "csv";
    case FileLayout::unknown:
      break;
  }
  return "empty";
}

void Splitter::feed(std::string_view bytes) {
  if (layout_ == FileLayout::unknown) {
    head_.append(bytes);
    decide(false);
  } else if (layout_ == FileLayout::lines) {
    feed_lines(bytes);
  } else if (layout_ == FileLayout::table) {
    table_->feed(bytes);
  } else {
    feed_values(bytes);
  }
}

void Splitter::decide(bool at_end) {
  if (head_.size() < 3 && !at_end) return;
  if (!std::exchange(begun_, true) && head_.starts_with("\xEF\xBB\xBF")) head_.erase(0, 3);
  const auto first = std::find_if_not(head_.begin(), head_.end(), is_json_space);
  if (first == head_.end()) return;
  if (*first == '[') {
    layout_ = FileLayout::array;
  } else if (*first != '{') {
    const CsvGuess guess = expects_table_ ? CsvGuess::yes : guess_csv(std::string_view(first, head_.end()), at_end);
    if (guess == CsvGuess::unknown && head_.size() < most_of_head) return;
    layout_ = guess == CsvGuess::yes ? FileLayout::table : FileLayout::lines;
    if (layout_ == FileLayout::table) table_ = std::make_unique<CsvSplitter>(max_bytes_, emit_);
  } else {
    const auto newline = std::find(first, head_.end(), '\n');
    if (newline == head_.end() && !at_end && head_.size() < most_of_head) return;
    const bool lone_brace = trim(std::string_view(first, newline)) == "{";
    layout_ = lone_brace ? FileLayout::values : FileLayout::lines;
  }
  feed(std::exchange(head_, {}));
}

void Splitter::keep(std::string_view bytes) {
  piece_.bytes += bytes.size();
  if (piece_.bytes <= max_bytes_) {
    if (piece_.text.empty()) piece_.text.reserve(bytes.size() + room_behind);
    piece_.text.append(bytes);
  } else if (piece_.problem.empty()) {
    piece_.problem = "longer than " + std::to_string(max_bytes_) + " bytes";
    piece_.text.append(bytes.substr(0, kept_of_long_values));
    piece_.text.resize(std::min(piece_.text.size(), kept_of_long_values));
    piece_.text.shrink_to_fit();
  }
}

void Splitter::close(const std::string& problem) {
  if (piece_.problem.empty()) piece_.problem = problem;
  const std::string_view trimmed = trim(piece_.text);
  if (!trimmed.empty() || !piece_.problem.empty()) {
    if (trimmed.size() != piece_.text.size()) piece_.text = std::string(trimmed);
    emit_(std::exchange(piece_, {}));
  }
  piece_ = {};
  open_ = false;
}

void Splitter::feed_lines(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto* newline = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
    const size_t count = newline == nullptr ? bytes.size() : static_cast<size_t>(newline - bytes.data());
    if (!open_) piece_.line = line_;
    open_ = true;
    keep(bytes.substr(0, count));
    if (newline == nullptr) return;
    close("");
    ++line_;
    bytes.remove_prefix(count + 1);
  }
}

/// The position behind the string that `at` is in, or the end of `bytes` when it goes on.
size_t Splitter::skip_string(std::string_view bytes, size_t at) {
  for (; at < bytes.size(); ++at) {
    const char c = bytes[at];
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      return at + 1;
    } else if (c == '\n') {
      ++line_;
    }
  }
  return at;
}

void Splitter::feed_values(std::string_view bytes) {
  size_t from = 0;  // what of `bytes` belongs to the open value and is not kept yet
  size_t at = 0;
  const auto end_value = [&](size_t to) {
    keep(bytes.substr(from, to - from));
    close("");
  };
  while (at < bytes.size()) {
    if (in_string_) {
      at = skip_string(bytes, at);
      continue;
    }
    const char c = bytes[at];
    if (c == '\n') ++line_;
    if (layout_ == FileLayout::array && !in_array_) {
      if (c == '[' && !array_closed_) {
        in_array_ = true;
        ++at;
        continue;
      }
    } else if (layout_ == FileLayout::array && depth_ == 0 && (c == ',' || c == ']')) {
      if (open_) end_value(at);
      in_array_ = c == ',';
      array_closed_ = c == ']';
      ++at;
      continue;
    }
    if (is_json_space(c) && !open_) {
      ++at;
      continue;
    }
    if (!open_) {
      open_ = true;
      piece_.line = line_;
      if (array_closed_) piece_.problem = "text after the end of the array";
      from = at;
    }
    ++at;
    if (c == '"') in_string_ = true;
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') depth_ = std::max<int64_t>(0, depth_ - 1);
    if (layout_ == FileLayout::values && depth_ == 0 && (c == '}' || c == ']')) {
      end_value(at);
      from = at;
    }
  }
  if (open_) keep(bytes.substr(from));
}

void Splitter::finish(const std::string& problem) {
  if (layout_ == FileLayout::unknown) decide(true);
  if (layout_ == FileLayout::table) return table_->finish(problem);
  std::string missing = problem;
  if (missing.empty() && layout_ == FileLayout::array && !array_closed_) {
    missing = "the file ends inside the array, its closing ']' is missing";
  }
  if (open_) {
    // The last value may be whole although what follows it is lost: then its own syntax decides.
    const std::string_view text = trim(piece_.text);
    const bool whole =
        layout_ == FileLayout::lines ? missing.empty() || text.ends_with('}') : depth_ == 0 && !in_string_;
    if (!whole) {
      close(missing.empty() ? "the file ends in the middle of this value" : missing);
      return;
    }
    close("");
  }
  if (missing.empty()) return;
  piece_.line = line_;
  close(missing);
}

}  // namespace fettle::data
