#include "data/html/markdown.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle::data {
namespace {

struct Case {
  const char *html, *markdown;
};
class HtmlMarkdown : public testing::TestWithParam<Case> {};

TEST_P(HtmlMarkdown, IsReadable) {
  EXPECT_EQ(html_to_markdown(GetParam().html), GetParam().markdown);
}

INSTANTIATE_TEST_SUITE_P(
    Elements, HtmlMarkdown,
    testing::Values(
        Case{"<p>One\n two <b>three </b>four<br>five</p>six", "One two **three** four  \nfive\n\nsix"},
        Case{"<h2>A <i>b</i></h2><div>c<div>d</div></div>", "## A *b*\n\nc\n\nd"},
        Case{"<ul><li>a<ul><li>b<li>c</ul><li>d</ul>", "- a\n  - b\n  - c\n- d"},
        Case{"<ol start=9><li><p>a</p><p>b</p></li><li>c</li></ol>", "9. a\n\n   b\n\n10. c"},
        Case{"<ul><li>a</li><ul><li>b</li></ul></ul>", "- a\n  - b"},
        Case{"<table><tr><th>x<th>y<tr><td>1|2<td><b>3</b></table>",
             "| x | y |\n| --- | --- |\n| 1\\|2 | **3** |"},
        Case{"<table><tr><td>1</td><td>2</td></tr></table>", "|  |  |\n| --- | --- |\n| 1 | 2 |"},
        Case{"<table><tr><td><p>only</p><p>layout</p></td></tr></table>", "only\n\nlayout"},
        Case{"<pre><code class=\"language-cpp\">int a;\n\n  b_c;\n</code></pre>",
             "```cpp\nint a;\n\n  b_c;\n```"},
        Case{"<pre>a ``` b</pre>", "````\na ``` b\n````"},
        Case{"<p><code>a`b</code> <kbd>Ctrl</kbd></p>", "``a`b`` `Ctrl`"},
        Case{"<blockquote><p>a</p><ul><li>b</ul></blockquote>", "> a\n>\n> - b"},
        Case{"<a href=\"/x (1)\">t_t</a> <a href=\"#top\">up</a> <a>none</a>", "[t_t](/x%20%281%29) up none"},
        Case{"<img src=i.png alt=\"a [b]\"><img src=\"data:x\">", "![a \\[b\\]](i.png)"},
        Case{"<p>2 * 3 _x_ a_b &lt;b&gt; \\</p>", "2 \\* 3 \\_x\\_ a_b \\<b> \\\\"},
        Case{"<p># no heading</p><p>1. no list</p><p>- none</p>",
             "\\# no heading\n\n1\\. no list\n\n\\- none"},
        Case{"x<script>s</script><style>t</style><p hidden>u</p><svg><text>v</text></svg>", "x"},
        Case{"<dl><dt>T<dd>D</dl>", "**T**\n\nD"},
        Case{"<p>so <math><semantics><mi>x</mi><annotation "
             "encoding=\"application/x-tex\">x^2</annotation></semantics></math></p>",
             "so $x^2$"},
        Case{"<p>a</p><script type=\"math/tex; mode=display\">\\frac12</script>", "a\n\n$$\n\\frac12\n$$"},
        Case{"<span class=\"katex\"><span class=\"katex-mathml\"><math><annotation "
             "encoding=\"application/x-tex\">a_b</annotation></math></span><span "
             "class=\"katex-html\" aria-hidden=\"true\">ab</span></span>",
             "$a_b$"},
        Case{"<p>open <b>bold <i>both</b> italic</i> &amp; &nosuch;",
             "open **bold *both*** *italic* & &nosuch;"},
        Case{"", ""}));

TEST(HtmlMarkdownLimits, LinksAndImagesMayBeLeftOut) {
  EXPECT_EQ(html_to_markdown("<p><a href=x>t</a> <img src=y alt=z>u</p>", {false, false}), "t u");
}

TEST(HtmlMarkdownLimits, NumbersBeyondUnicodeAreNoCharacters) {
  for (const std::string digits : {"14444444444444444444444444444644", "x1111111111111111F", "4294967361", "000000000001114112"}) {
    EXPECT_EQ(html_to_markdown("<p>a&#" + digits + ";b"), "a\uFFFDb") << digits;
  }
  EXPECT_EQ(html_to_markdown("<p>&#0000000000000065;&#x000000041;&#66"), "AAB");
}

TEST(HtmlMarkdownLimits, ADeepPageIsRefusedQuickly) {
  std::string deep, flat;
  for (int i = 0; i < 100000; ++i) deep += "<div>";
  EXPECT_THROW(html_to_markdown(deep), Error);
  for (int i = 0; i < 20000; ++i) flat += "<p>a<br><li>b";
  EXPECT_FALSE(html_to_markdown(flat).empty());
}

}  // namespace
}  // namespace fettle::data
