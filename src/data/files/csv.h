#pragma once
// Comma- or tab-separated values (RFC 4180) as JSON objects, one for each row, keyed by the header.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::data {

/// A value's text, or a reason why there is none. `text` of a value that was too long is its beginning.
struct ValueText {
  std::string text;
  int64_t line = 1;     ///< where it starts, 1-based
  std::string problem;  ///< empty, or what is wrong
  uint64_t bytes = 0;   ///< of the whole value, also of what was skipped
};

/// Whether a file whose name says nothing is CSV or TSV, from its first bytes: a header of two or more plain,
/// distinct names and a row of as many cells. `unknown` asks for more bytes.
enum class CsvGuess { no, yes, unknown };
CsvGuess guess_csv(std::string_view head, bool at_end);

/// Fed with the bytes in order, calls `emit` for every row under the header. The delimiter (comma, semicolon,
/// tab) is the one that the header holds most of. Cells are texts, but for keys that never hold one (weight,
/// label, train, loss, scores), where an unquoted number, true or false is what it looks like, and for lists
/// of turns written as JSON (under messages, conversations, chosen and the like). An empty cell is left out,
/// a quoted empty one is "". Quoted cells hold delimiters, line ends and doubled quotes. Lines end with LF,
/// CRLF or CR. A row of another number of cells than the header has is a problem; a header with an empty or a
/// repeated name is one, and nothing else is read.
class CsvSplitter {
 public:
  using Emit = std::function<void(ValueText&&)>;
  CsvSplitter(uint64_t max_bytes, Emit emit) : max_bytes_(max_bytes), emit_(std::move(emit)) {}

  void feed(std::string_view bytes);
  /// `problem` says what cut the stream short, if anything did.
  void finish(const std::string& problem);
  char delimiter() const { return delimiter_; }

 private:
  enum class State { cell_start, plain, quoted, quote_in_quoted };
  size_t scan(std::string_view bytes, size_t at);
  void keep(std::string_view bytes);
  void end_row(std::string_view text);
  void header(std::string_view text);
  void row(std::string_view text, ValueText& piece);

  uint64_t max_bytes_;
  Emit emit_;
  char delimiter_ = 0;  ///< 0 before the header was read
  enum class Holds { text, scalar, turns };
  struct Column {
    std::string key;  ///< "\"name\":", ready to be written
    Holds holds = Holds::text;
  };
  static Holds holds_of(const std::string& name);
  std::vector<Column> columns_;
  bool refused_ = false;  ///< the header is none
  State state_ = State::cell_start;
  std::string open_;           ///< what earlier bytes held of the row
  uint64_t open_bytes_ = 0;    ///< the same with what was skipped
  bool after_return_ = false;  ///< an LF now belongs to the line end before it
  int64_t line_ = 1, row_line_ = 1;
};

}  // namespace fettle::data
