#pragma once
// Cuts a stream of bytes into the texts of JSON values, without parsing them.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fettle::data {

/// A value's text, or a reason why there is none. `text` of a value that was too long is its beginning.
struct Piece {
  std::string text;
  int64_t line = 1;     ///< where it starts, 1-based
  std::string problem;  ///< empty, or what is wrong
  uint64_t bytes = 0;   ///< of the whole value, also of what was skipped
};

enum class Layout {
  unknown,
  lines,   ///< one value a line
  array,   ///< the elements of one array
  values,  ///< values after one another, each over any number of lines
};
std::string_view layout_name(Layout layout);

/// Fed with the bytes in order, calls `emit` for every value. The layout is found from the first bytes: '['
/// opens an array, a line that is a lone '{' a document over several lines, anything else is lines. A given
/// layout is taken for granted.
class Splitter {
 public:
  using Emit = std::function<void(Piece&&)>;
  Splitter(uint64_t max_bytes, Emit emit, Layout layout = Layout::unknown)
      : max_bytes_(max_bytes), emit_(std::move(emit)), layout_(layout) {}

  void feed(std::string_view bytes);
  /// `problem` says what cut the stream short, if anything did.
  void finish(const std::string& problem);
  Layout layout() const { return layout_; }

 private:
  void decide(bool at_end);
  void feed_lines(std::string_view bytes);
  void feed_values(std::string_view bytes);
  size_t skip_string(std::string_view bytes, size_t at);
  void keep(std::string_view bytes);
  void close(const std::string& problem);

  uint64_t max_bytes_;
  Emit emit_;
  Layout layout_;
  std::string head_;    ///< bytes that came before the layout was known
  bool begun_ = false;  ///< the first bytes were seen, where a byte order mark may stand
  Piece piece_;
  bool open_ = false;  ///< a value has begun
  int64_t line_ = 1;
  // Of arrays and of values over several lines:
  int64_t depth_ = 0;
  bool in_string_ = false, escaped_ = false, in_array_ = false, array_closed_ = false;
};

}  // namespace fettle::data
