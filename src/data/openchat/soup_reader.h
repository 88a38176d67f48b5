#pragma once
// Inside of TagSoup: html.parser's scanner, which tells the tree's builder what it finds.
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fettle::data {

/// What Beautiful Soup hears from html.parser.
class SoupEvents {
 public:
  using Attributes = std::vector<std::pair<std::string_view, std::string_view>>;
  virtual ~SoupEvents() = default;
  virtual void start_tag(std::string_view raw_name, const Attributes& attributes, bool self_closing) = 0;
  virtual void end_tag(std::string_view raw_name) = 0;
  virtual void data(std::string_view text) = 0;
  virtual void decoded(std::string text) = 0;
  virtual void comment(std::string_view text) = 0;
  virtual void declaration(std::string_view text) = 0;  ///< <!…>, <?…> and <![…]>, which end up as text
};

/// One text, scanned as feed(text) and close() do: what the first pass leaves (an open tag at the end, a
/// broken reference) the second takes as it can. Names come as they stand in the text.
class SoupScanner {
 public:
  SoupScanner(std::string_view html, SoupEvents& events) : html_(html), events_(events) {}
  void run();

 private:
  static constexpr size_t none = std::string_view::npos;
  struct Value {
    size_t begin = 0, end = 0, after = 0;
    bool quoted = false;
  };

  void pass(bool at_end);
  size_t markup(bool at_end);
  bool number_reference();
  bool name_reference(bool at_end);
  size_t start_tag(size_t at);
  size_t end_of_start_tag(size_t at) const;
  size_t end_tag(size_t at);
  size_t comment(size_t at);
  size_t processing_instruction(size_t at);
  size_t declaration(size_t at);
  size_t marked_section(size_t at);
  size_t bogus_comment(size_t at);
  size_t closing(std::string_view opening, size_t at, int brackets, size_t& begin) const;
  size_t find_raw_end(size_t at) const;

  char at(size_t place) const { return place < html_.size() ? html_[place] : '\0'; }
  bool starts(std::string_view text, size_t place) const { return html_.substr(place).starts_with(text); }
  std::string_view slice(size_t begin, size_t end) const { return html_.substr(begin, end - begin); }
  size_t skip_spaces(size_t place) const;
  size_t skip_spaces_and_slashes(size_t place) const;
  size_t name_end(size_t place) const;
  size_t attribute_name_end(size_t place) const;
  bool attribute_value(size_t place, Value& value) const;

  std::string_view html_;
  SoupEvents& events_;
  size_t place_ = 0;
  std::string raw_element_;  ///< script or style, inside of it
};

}  // namespace fettle::data
