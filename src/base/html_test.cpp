#include "base/html.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/svg_plot.h"

namespace fettle {
namespace {

size_t count(std::string_view text, std::string_view what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size()))
    ++found;
  return found;
}

TEST(Html, EscapesMarkupAndBrokenUtf8) {
  EXPECT_EQ(html_escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(html_escape("gr\xC3\xBC\xC3\x9F \xFF \xE2\x82"),
            "gr\xC3\xBC\xC3\x9F \xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Html, PageLoadsNothing) {
  const std::string page =
      html_page("T <1>", "<p>body</p>" + svg_plot({{"a", {1, 2}, {3, 4}}}, {.title = "t"}));
  EXPECT_EQ(count(page, "http"), 0U);
  EXPECT_EQ(count(page, "src="), 0U);
  EXPECT_NE(page.find("<title>T &lt;1&gt;</title>"), std::string::npos);
}

TEST(Html, TableEscapesAndAligns) {
  const std::string table = html_table({"a", "b"}, {{"<x>", "1.50"}});
  EXPECT_NE(table.find("<td>&lt;x&gt;</td><td class=\"number\">1.50</td>"), std::string::npos) << table;
}

TEST(SvgPlot, GapsEmptyInputAndManyPoints) {
  const std::string gap = svg_plot({{"a", {1, 2, 3, 4}, {1, std::nan(""), 2, 3}}}, {});
  EXPECT_EQ(count(gap, "<path"), 1U);
  EXPECT_NE(gap.find('M'), gap.rfind('M')) << "a gap lifts the pen";
  EXPECT_NE(svg_plot({}, {}).find("no values"), std::string::npos);
  EXPECT_NE(svg_plot({{"a", {1}, {std::nan("")}}}, {}).find("no values"), std::string::npos);
  EXPECT_EQ(svg_plot({{"a", {1, 2}, {5, 5}}}, {}).find("nan"), std::string::npos);

  PlotSeries many{.name = "many"};
  for (int i = 0; i < 100000; ++i) {
    many.x.push_back(i);
    many.y.push_back(i == 77777 ? 50.0 : std::sin(i));
  }
  const std::string thin = svg_plot({many}, {.width = 640});
  EXPECT_LT(thin.size(), 60000U);
  EXPECT_NE(svg_plot({{"a", {1, 2, 3}, {0.0, 1e-3, 10.0}}}, {.log_y = true}).find("<path"),
            std::string::npos);
}

}  // namespace
}  // namespace fettle
