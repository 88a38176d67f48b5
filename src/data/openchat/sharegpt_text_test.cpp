#include "data/openchat/sharegpt_text.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "data/openchat/python_text.h"
#include "data/openchat/tag_soup.h"

namespace fettle::data {
namespace {

struct Golden {
  const char *html, *text;
};

class ShareGptText : public testing::TestWithParam<Golden> {};

TEST_P(ShareGptText, IsThePublishedText) {
  for (const auto blocks : {CodeBlocks::repaired, CodeBlocks::upstream}) {
    EXPECT_EQ(sharegpt_to_markdown(GetParam().html, blocks), GetParam().text);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Published, ShareGptText,
    testing::Values(
        Golden{"a * b _c_ **x**", "a \\* b \\_c\\_ \\*\\*x\\*\\*"}, Golden{"1 / 2Hello", "Hello"},
        Golden{"2 / 3\nHello 4 / 5 there", "Hello 4 / 5 there"}, Golden{"Copy12 chars / 3 wordsText", "Text"},
        Golden{"x &lt;b&gt; &amp; y", "x <b> & y"}, Golden{"a\n\n\nb\n\n\n\n\nc", "a\nb\n\n\nc"},
        Golden{"<span data-x=\"a>b\">t</span>", "b\">t"},
        Golden{"<p>Hi <strong>bold </strong>and <em> it</em>.</p><p>Second   line</p>",
               "Hi **bold** and  *it*.\n\nSecond line"},
        Golden{"<p>Sure:</p><pre><div><div><span>python</span><button><svg></svg>Copy "
               "code</button></div><div><code><span>def</span> "
               "f_x(a):\n    return a * 2\n</code></div></div></pre><p>Done.</p>",
               "Sure:\n```python\ndef f_x(a):\n    return a * 2\n```\nDone."},
        Golden{"t<pre><code>x_y\n</code></pre>t", "t\n```\nx_y\n\n```\nt"},
        Golden{"<blockquote><p>q1</p><p>q2</p></blockquote>tail", "> q1\n> \n> q2\n> \n> \n\ntail"},
        Golden{"<pre><div><span>bash</span><button>Copy code</button></div></pre>", "```bash\n```"},
        Golden{"<script>alert(1)</script>z<!-- c -->", "alert(1)z"},
        Golden{"<ul><li>one</li><li>two<ul><li>n1</li></ul></li></ul><ol start=\"5\"><li>x</li></ol>",
               "* one\n* two\n\t+ n1\n5. x"},
        Golden{"<table><tr><td>1</td><td>2</td></tr></table>", "|  |  |\n| --- | --- |\n| 1 | 2 |"},
        Golden{"<ul><li>a</li></ul><p>b</p>", "* a\n\nb"},
        Golden{"<h1>T</h1><h2>U two</h2><h3>V</h3>", "T\n=\n\nU two\n-----\n\n### V"}));

TEST(ShareGptTextBlocks, AFenceWithoutButtonSwallowsTheNextOnlyOnRequest) {
  const char* html =
      "<pre><code>foo\n</code></pre><p>t</p><pre><div><span>python</span><button>Copy "
      "code</button></div><code>bar</code></pre>";
  EXPECT_EQ(sharegpt_to_markdown(html, CodeBlocks::upstream), "```foo\n\n```\nt\n```\npython\nbar\n```");
  EXPECT_EQ(sharegpt_to_markdown(html), "```\nfoo\n\n```\nt\n```python\nbar\n```");
}

TEST(ShareGptTextBlocks, WhatPythonRaisesOnIsAnError) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<ul>";
  for (const std::string& html : {deep, std::string("<ol start=x><li>a</li></ol>"),
                                  std::string("<soup>"), "&#" + std::string(5000, '1') + ";"}) {
    EXPECT_THROW(sharegpt_to_markdown(html), SoupError) << html.substr(0, 40);
  }
}

/// Pages of tag soup, whole conversations and odd corners with what the reference made of them; see the
/// script that wrote them.
TEST(ShareGptTextBlocks, EqualsTheReferenceOnMutatedPages) {
  const Json cases = read_json(FETTLE_SOURCE_DIR "/tests/golden/data/sharegpt_texts.json");
  ASSERT_GT(cases.size(), 150u);
  for (const auto& item : cases) {
    const auto html = item["html"].get<std::string>();
    std::string text;
    try {
      text = sharegpt_to_markdown(html, CodeBlocks::upstream);
    } catch (const SoupError&) {
      text = "Parser error";
    }
    // Compared in Python's escaping, which can write lone surrogates.
    std::string ours;
    append_python_json(ours, text);
    EXPECT_EQ(ours, item["text"].get<std::string>()) << html;
  }
}

}  // namespace
}  // namespace fettle::data
