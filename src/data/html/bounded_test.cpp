// Pages that a parser after the standard takes minutes or gigabytes for are refused in a moment.
#include "data/html/bounded.h"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "base/error.h"
#include "data/html/tree.h"

namespace fettle::data {
namespace {

std::string many(size_t bytes, const std::function<std::string(size_t)>& piece) {
  std::string text;
  for (size_t i = 0; text.size() < bytes; ++i) text += piece(i);
  return text;
}

/// What the page is refused with, "read" when it is not; either within seconds of processor time.
std::string outcome(const std::string& name, const std::string& html) {
  const std::clock_t begin = std::clock();
  std::string what = "read";
  try {
    const HtmlTree tree(html);
  } catch (const Error& error) {
    what = error.what();
  }
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  EXPECT_LT(seconds, 5.0) << name << ": " << what;
  return what;
}

TEST(HtmlBounds, HostilePagesEndSoon) {
  constexpr size_t size = 440'000;
  const auto number = [](const char* format) {
    return [format](size_t i) { return fmt::format(fmt::runtime(format), i); };
  };
  EXPECT_NE(outcome("attributes", "<p " + many(size, number("a{} "))).find("attributes"), std::string::npos);
  EXPECT_NE(outcome("attributes of an end", "</p " + many(size, number("a{}=1 ")) + ">").find("attributes"), std::string::npos);
  EXPECT_NE(outcome("attributes, quoted", "<p " + many(size, number("a{}=\"\"")) + ">").find("attributes"), std::string::npos);
  for (const char* piece : {"<b id={}></x>", "<p><b id={}></x></p>", "<b id={}><table></b></table>", "<p><font size={}></x></p>", "<body a{}>", "<html a{}>",
                            "<rt id={}>", "<optgroup id={}>", "<option><b id={}></x>", "<a id={}><p></x>", "<table><b id={}></x>", "<p><i id={}><object></i></object>",
                            "<template id={}></x>", "<button id={}></x>", "<h1 id={}></x>", "<svg id={}></x>", "<td id={}>", "<li id={}><b></x>"})
    outcome(piece, many(size / 2, number(piece)));
}

TEST(HtmlBounds, HonestPagesAreRead) {
  EXPECT_EQ(outcome("many paragraphs", many(2'000'000, [](size_t i) { return fmt::format("<p class=x>{} <b>bold</b> <a href='#{}'>link</a></p>\n", i, i); })), "read");
  EXPECT_EQ(outcome("a large table", "<table>" + many(2'000'000, [](size_t i) { return fmt::format("<tr><td>{}<td>x", i); })), "read");
  EXPECT_EQ(outcome("breaks", many(1'000'000, [](size_t) { return "<br>"; })), "read");
  std::string tag = "<p";
  for (int i = 0; i < 1000; ++i) tag += fmt::format(" data-{}='{}'", i, i);
  HtmlTree tree(tag + ">text");
  EXPECT_EQ(text_of(*tree.body()), "text");
  EXPECT_EQ(tree.body()->children.at(0)->attribute("data-999"), "999");
}

}  // namespace
}  // namespace fettle::data
