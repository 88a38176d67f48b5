#include "data/files/csv.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <set>
#include <utility>

#include "base/json.h"
#include "data/rows/json_text.h"

namespace fettle::data {
namespace {

constexpr size_t kept_of_long_rows = 1024;
constexpr std::array<char, 3> delimiters{',', ';', '\t'};

struct Cell {
  std::string_view text;                 ///< of a quoted cell what stands between its quotes
  bool quoted = false, doubled = false;  ///< doubled: holds quotes written twice
};

/// Takes the cell that `row` begins with, and its delimiter. False when text follows the closing quote or
/// there is none.
bool take_cell(std::string_view& row, char delimiter, Cell& cell, bool& last) {
  cell = {};
  size_t end = 0;
  if (row.starts_with('"')) {
    cell.quoted = true;
    for (end = 1;; end += 2) {
      end = row.find('"', end);
      if (end == std::string_view::npos) return false;
      if (end + 1 == row.size() || row[end + 1] != '"') break;
      cell.doubled = true;
    }
    cell.text = row.substr(1, end - 1);
    ++end;
    if (end < row.size() && row[end] != delimiter) return false;
  } else {
    end = std::min(row.find(delimiter), row.size());
    cell.text = row.substr(0, end);
  }
  last = end == row.size();
  row.remove_prefix(std::min(end + 1, row.size()));
  return true;
}

std::string text_of(const Cell& cell) {
  std::string text(cell.text);
  if (!cell.doubled) return text;
  for (size_t at = text.find('"'); at != std::string::npos; at = text.find('"', at + 1)) text.erase(at, 1);
  return text;
}

void append_text(const Cell& cell, std::string& json) {
  if (cell.doubled) {
    append_json_string(text_of(cell), json);
  } else {
    append_json_string(cell.text, json);
  }
}

/// A cell that is no text: a list of turns, or else a number, true or false without quotes. False where it is
/// one.
bool append_other(const Cell& cell, bool turns, std::string& json) {
  if (cell.quoted && !turns) return false;
  std::string value = text_of(cell);
  if (value.find('\0') != std::string::npos) return false;  // the parser takes it for the end
  if (turns) {
    const bool looks_so = value.starts_with("[{") && (value.find("\"role\"") != std::string::npos ||
                                                      value.find("\"from\"") != std::string::npos);
    if (!looks_so || !Json::accept(value)) return false;
  } else {
    if (value == "True" || value == "TRUE") value = "true";
    if (value == "False" || value == "FALSE") value = "false";
    constexpr size_t longest = 32;
    const bool is_number = value.find_first_not_of("0123456789+-.eE") == std::string::npos;
    const bool is_truth = value == "true" || value == "false";
    if (value.size() > longest || !(is_number || is_truth) || !Json::accept(value)) return false;
  }
  json += value;
  return true;
}

/// The names of a header; empty when it is broken.
std::vector<std::string> names_of(std::string_view row, char delimiter) {
  std::vector<std::string> names;
  Cell cell;
  for (bool last = false; !last;) {
    if (!take_cell(row, delimiter, cell, last)) return {};
    std::string name = text_of(cell);
    const auto blank = [](char c) { return c == ' '; };
    name.erase(std::find_if_not(name.rbegin(), name.rend(), blank).base(), name.end());
    name.erase(name.begin(), std::find_if_not(name.begin(), name.end(), blank));
    names.push_back(std::move(name));
  }
  return names;
}

char delimiter_of(std::string_view header) {
  size_t most = 0;
  char best = ',';
  for (const char delimiter : delimiters) {
    const size_t count = names_of(header, delimiter).size();
    if (count > most) {
      most = count;
      best = delimiter;
    }
  }
  return best;
}

/// The end of the row that `text` begins with; npos when it goes on.
size_t row_end(std::string_view text, char delimiter) {
  bool quoted = false, start = true;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      quoted = c != '"';
    } else if (c == '"' && (start || text[at - 1] == '"')) {
      quoted = true;
    } else if (c == '\n' || c == '\r') {
      return at;
    }
    start = !quoted && c == delimiter;
  }
  return std::string_view::npos;
}

bool is_plain_name(const std::string& name) {
  constexpr size_t longest = 64;
  const auto fits = [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 || std::strchr("_-. ", c) != nullptr;
  };
  const bool letters = std::any_of(name.begin(), name.end(),
                                   [](unsigned char c) { return c >= 0x80 || std::isalpha(c) != 0; });
  return letters && name.size() <= longest && std::all_of(name.begin(), name.end(), fits);
}

}  // namespace

CsvGuess guess_csv(std::string_view head, bool at_end) {
  const size_t end = head.find_first_of("\r\n");
  if (end == std::string_view::npos) return at_end ? CsvGuess::no : CsvGuess::unknown;
  const auto header = head.substr(0, end);
  const char delimiter = delimiter_of(header);
  const auto names = names_of(header, delimiter);
  if (names.size() < 2 || std::set<std::string>(names.begin(), names.end()).size() < names.size())
    return CsvGuess::no;
  if (!std::all_of(names.begin(), names.end(), is_plain_name)) return CsvGuess::no;
  // "Well, hello" is a sentence.
  if (header.find(std::string{delimiter, ' '}) != std::string_view::npos) return CsvGuess::no;
  auto row = head.substr(std::min(head.find_first_not_of("\r\n", end), head.size()));
  const size_t stop = row_end(row, delimiter);
  if (stop == std::string_view::npos && !at_end) return CsvGuess::unknown;
  row = row.substr(0, stop);
  return !row.empty() && names_of(row, delimiter).size() == names.size() ? CsvGuess::yes : CsvGuess::no;
}

/// Goes on to the end of the row and returns its position, or the end of `bytes` when the row goes on.
size_t CsvSplitter::scan(std::string_view bytes, size_t at) {
  const char delimiter = delimiter_ == 0 ? ',' : delimiter_;
  // In a row that is too long quotes count no more: one that is never closed must not swallow the file.
  const bool too_long = open_bytes_ > max_bytes_;
  while (at < bytes.size()) {
    if (state_ == State::quoted) {
      const auto* quote = static_cast<const char*>(std::memchr(bytes.data() + at, '"', bytes.size() - at));
      const size_t end = quote == nullptr ? bytes.size() : static_cast<size_t>(quote - bytes.data());
      line_ += std::count(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                          bytes.begin() + static_cast<std::ptrdiff_t>(end), '\n');
      if (quote == nullptr) return end;
      state_ = State::quote_in_quoted;
      at = end + 1;
      continue;
    }
    const char c = bytes[at];
    if (c == '\n' || c == '\r') return at;
    // Before the header is whole any delimiter may be the one.
    const bool divides = c == delimiter || (delimiter_ == 0 && std::find(delimiters.begin(), delimiters.end(),
                                                                         c) != delimiters.end());
    if (c == '"' && !too_long && (state_ == State::cell_start || state_ == State::quote_in_quoted)) {
      state_ = State::quoted;
    } else {
      state_ = divides ? State::cell_start : State::plain;
    }
    ++at;
  }
  return at;
}

void CsvSplitter::keep(std::string_view bytes) {
  open_bytes_ += bytes.size();
  if (open_bytes_ <= max_bytes_) {
    open_ += bytes;
  } else {
    if (open_.size() < kept_of_long_rows) open_ += bytes.substr(0, kept_of_long_rows - open_.size());
    open_.resize(std::min(open_.size(), kept_of_long_rows));
    open_.shrink_to_fit();
    if (state_ == State::quoted) state_ = State::plain;
  }
}

void CsvSplitter::feed(std::string_view bytes) {
  if (refused_) return;
  for (size_t from = 0; from < bytes.size();) {
    if (std::exchange(after_return_, false) && bytes[from] == '\n') {
      ++from;
      continue;
    }
    // No further than to where the row gets too long, so that nothing depends on how the bytes come.
    const size_t room =
        open_bytes_ <= max_bytes_ ? static_cast<size_t>(max_bytes_ - open_bytes_) + 1 : bytes.size();
    const auto ahead = bytes.substr(0, from + std::min(room, bytes.size() - from));
    const size_t end = scan(ahead, from);
    if (end == ahead.size()) {
      keep(ahead.substr(from));
      from = end;
      continue;
    }
    after_return_ = bytes[end] == '\r';
    if (open_bytes_ == 0) {
      end_row(bytes.substr(from, end - from));
    } else {
      keep(bytes.substr(from, end - from));
      end_row(open_);
    }
    if (refused_) return;
    row_line_ = ++line_;
    from = end + 1;
  }
}

void CsvSplitter::end_row(std::string_view text) {
  const bool unclosed = state_ == State::quoted;
  const uint64_t size = open_bytes_ == 0 ? text.size() : open_bytes_;
  if (size > 0) {
    ValueText piece;
    piece.line = row_line_;
    piece.bytes = size;
    if (size > max_bytes_) {
      piece.problem = "longer than " + std::to_string(max_bytes_) + " bytes";
      piece.text = text.substr(0, kept_of_long_rows);
    } else if (unclosed) {
      piece.problem = "the file ends inside a quoted cell";
      piece.text = text.substr(0, kept_of_long_rows);
    } else if (delimiter_ == 0) {
      header(text);
    } else {
      row(text, piece);
    }
    if (!piece.text.empty()) emit_(std::move(piece));
  }
  open_.clear();
  open_bytes_ = 0;
  state_ = State::cell_start;
}

CsvSplitter::Holds CsvSplitter::holds_of(const std::string& name) {
  constexpr std::string_view scalars[] = {"weight", "label", "train", "loss", "score"};
  constexpr std::string_view turns[] = {"messages",   "conversations", "items",   "prompt",
                                        "completion", "chosen",        "rejected"};
  const auto is_name = [&](std::string_view known) { return name == known; };
  if (std::any_of(std::begin(scalars), std::end(scalars), is_name)) return Holds::scalar;
  if (name.starts_with("score_") || name.ends_with("_score")) return Holds::scalar;
  return std::any_of(std::begin(turns), std::end(turns), is_name) ? Holds::turns : Holds::text;
}

void CsvSplitter::header(std::string_view text) {
  delimiter_ = delimiter_of(text);
  const auto names = names_of(text, delimiter_);
  std::set<std::string> seen;
  std::string problem;
  if (names.empty()) problem = "the header of the table is broken: text stands behind a closing quote";
  for (size_t i = 0; i < names.size() && problem.empty(); ++i) {
    if (names[i].empty()) {
      problem = "column " + std::to_string(i + 1) +
                " of the table has no name in the header (pandas writes its index so: use index=False)";
    } else if (!seen.insert(names[i]).second) {
      problem = "the table's header names the column '" + names[i] + "' twice";
    }
    columns_.push_back({{}, holds_of(names[i])});
    append_json_string(names[i], columns_.back().key);
    columns_.back().key += ':';
  }
  if (problem.empty()) return;
  refused_ = true;
  ValueText piece;
  piece.line = row_line_;
  piece.problem = std::move(problem);
  piece.text = text.substr(0, kept_of_long_rows);
  piece.bytes = text.size();
  emit_(std::move(piece));
}

void CsvSplitter::row(std::string_view text, ValueText& piece) {
  constexpr size_t room_behind = 64;  // a text with it is parsed where it stands
  piece.text.reserve(text.size() + text.size() / 8 + columns_.size() * 24 + room_behind);
  piece.text = '{';
  size_t count = 0;
  Cell cell;
  std::string_view rest = text;
  for (bool last = false; !last; ++count) {
    if (!take_cell(rest, delimiter_, cell, last)) {
      piece.problem = "text stands behind the closing quote of cell " + std::to_string(count + 1);
      break;
    }
    if (count >= columns_.size() || (cell.text.empty() && !cell.quoted)) continue;
    if (piece.text.size() > 1) piece.text += ',';
    piece.text += columns_[count].key;
    const Holds holds = columns_[count].holds;
    if (holds == Holds::text || !append_other(cell, holds == Holds::turns, piece.text))
      append_text(cell, piece.text);
  }
  piece.text += '}';
  if (piece.problem.empty() && count != columns_.size()) {
    piece.problem = std::to_string(count) + " cells where the header has " + std::to_string(columns_.size());
  }
  if (!piece.problem.empty()) piece.text = text;
}

void CsvSplitter::finish(const std::string& problem) {
  if (refused_) return;
  const bool cut = !problem.empty();
  if (open_bytes_ > 0 && !cut) end_row(open_);
  if (!cut) return;
  ValueText piece;
  piece.line = row_line_;
  piece.problem = problem;
  piece.text = open_.substr(0, kept_of_long_rows);
  piece.bytes = open_bytes_;
  emit_(std::move(piece));
}

}  // namespace fettle::data
