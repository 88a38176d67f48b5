#pragma once
// Records of a web archive (WARC 1.0 and 1.1, ISO 28500), one after another, out of a stream of bytes.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fettle::data {

/// An HTML page of an archive, as its server sent it, unpacked from its HTTP answer.
struct WarcPage {
  std::string address, charset, body;
};

/// Reads on demand. Every length is checked; a broken record is reported and skipped up to the next line that
/// begins one, which is looked for inside a record too where its stated length does not lead to another.
class WarcReader {
 public:
  using Read = std::function<size_t(char* to, size_t size)>;  ///< 0 at the end
  using Broken = std::function<void(const std::string& reason, const std::string& detail)>;
  WarcReader(Read read, Broken broken, uint64_t max_page_bytes);
  /// The next HTML page with status 200, or a resource; false at the end.
  bool next(WarcPage& page);
  int64_t records() const { return records_; }

 private:
  enum class Outcome { page, other, end };
  struct Head {
    std::string type, address, content_type;
    uint64_t length = 0;
    bool has_length = false;
  };
  Outcome record(WarcPage& page);
  bool find_record();
  bool line(std::string& text, size_t most);
  bool read_head(Head& head);
  bool take(uint64_t size, std::string* to);
  bool at_record();
  bool cut_at_next_record(std::string& content);
  bool fill_to(size_t size);
  bool fill();

  Read read_;
  Broken broken_;
  uint64_t max_page_bytes_;
  std::string buffer_;
  size_t used_ = 0;
  int64_t records_ = 0;
  bool lost_ = false;  ///< the last record was broken, and its end is unknown
};

}  // namespace fettle::data
