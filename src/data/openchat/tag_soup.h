#pragma once
// HTML as Python's html.parser (3.11) reads it and Beautiful Soup 4.11 builds a tree of it: no rules of
// nesting, end tags close up to the nearest open tag of their name, what is no tag is text. Data sets that
// were made with that pair can only be made again with its habits, the odd ones included. For reading pages
// as a browser does, see html_tree.h.
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace fettle::data {

/// Names that somebody asks for; a name of its own where two behave apart anywhere.
enum class SoupName : uint8_t {
  other,
  root,
  a,
  b,
  blockquote,
  br,
  code,
  del,
  em,
  failing,
  heading,
  hr,
  img,
  kbd,
  li,
  list,
  ol,
  p,
  pre,
  script,
  sub,
  table,
  tbody,
  td,
  textarea,
  tfoot,
  th,
  thead,
  tr,
  ul,
  void_other,
};

/// A tag or a text. Links are indices into TagSoup::nodes; 0, the root, stands for none.
struct SoupNode {
  enum class Kind : uint8_t { tag, text, comment } kind = Kind::tag;
  SoupName name = SoupName::other;
  int32_t level = 0;  ///< of a heading: the number after the h
  uint32_t parent = 0, first = 0, last = 0, next = 0, previous = 0;
  std::string_view text;  ///< of a tag: its name in lower case
};

/// A page that Python would not have parsed: it raised an exception.
class SoupError : public Error {
 public:
  using Error::Error;
};

/// The tree of one text. The text must outlive it. Not thread-safe.
class TagSoup {
 public:
  /// Throws SoupError for what html.parser raises an exception on, and for tags nested deeper than
  /// `max_depth`, where Python runs out of stack.
  explicit TagSoup(std::string_view html);

  static constexpr size_t max_depth = 950;

  std::vector<SoupNode> nodes;  ///< nodes[0] is the root
  /// Only href, title, src, alt and start are kept. Null where the tag has none of that name.
  const std::string_view* attribute(uint32_t node, std::string_view name) const;
  /// Takes a node out of its parent's list.
  void remove(uint32_t node);

 private:
  friend class SoupReader;
  struct Attribute {
    uint32_t node;
    std::string_view name, value;
  };
  std::vector<Attribute> attributes_;  ///< sorted by node
  std::pmr::monotonic_buffer_resource memory_;
};

/// html.unescape: character references in attribute values. Throws SoupError for a number of more than 4300
/// digits.
std::string python_unescape(std::string_view text);

}  // namespace fettle::data
