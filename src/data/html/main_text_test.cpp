#include "data/html/main_text.h"

#include <gtest/gtest.h>

#include "data/html/markdown.h"

namespace fettle::data {
namespace {

const std::string first =
    "The harbour was dredged for the first time in 1874, when ships grew too deep for the old channel, and "
    "the "
    "mud was carried out to sea in barges that left with every tide. ";
const std::string second =
    "Since then the work has been repeated every twelve years or so, because the river brings down more sand "
    "than the current can take away, whatever the engineers try. ";
const std::string third =
    "Next spring the council will decide whether a wall, built out from the northern bank, could spare the "
    "town "
    "that expense, as a model in the university's tank suggests. ";

std::string paragraph(const std::string& text) {
  return "<p>" + text + "</p>";
}
const std::string body = paragraph(first + second) + paragraph(second + third) + paragraph(third + first);

std::string text_of_page(const std::string& inside, const std::string& title = "How a harbour is kept open") {
  HtmlTree tree("<html><head><title>" + title + "</title></head><body>" + inside + "</body></html>");
  std::string text;
  for (const auto* part : find_main_text(tree)) text += node_to_markdown(*part, {false, false}) + "\n\n";
  while (text.ends_with('\n')) text.pop_back();
  return text;
}
const std::string wanted = text_of_page("<article>" + body + "</article>");

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Around {
  const char *name, *before, *within, *after;  ///< markup before, between and after the paragraphs
};
class MainTextAround : public testing::TestWithParam<Around> {};

TEST_P(MainTextAround, IsLeftOut) {
  const auto& around = GetParam();
  EXPECT_EQ(
      text_of_page(std::string("<article>") + around.before + paragraph(first + second) + around.within +
                   paragraph(second + third) + paragraph(third + first) + around.after + "</article>"),
      wanted);
}

INSTANTIATE_TEST_SUITE_P(
    Signs, MainTextAround,
    testing::Values(
        Around{"title", "<h1>Harbour news</h1>", "", ""},
        Around{"title_without_heading", "<p class=big>How a harbour is kept open</p>", "", ""},
        Around{"date", "<p>March 3, 2021 at 9:30 am</p>", "", ""},
        Around{"numeric_date", "<div>03/04/2021 - 9:30</div>", "", ""},
        Around{"author", "<p>By Jane Roe</p>", "", ""},
        Around{"author_french", "<div>Publié le 3 mars 2021 par Jeanne</div>", "", ""},
        Around{"breadcrumb", "<p><a href=/>Home</a> » <a href=/t>Towns</a> »</p>", "", ""},
        Around{
            "figure", "",
            "<figure><img src=a.png><figcaption>The old dredger, seen from the pier.</figcaption></figure>",
            ""},
        Around{"caption_class", "",
               "<div class='wp-caption'><img src=a.png><p class='wp-caption-text'>The old dredger at "
               "work.</p></div>",
               ""},
        Around{"credit", "", "<p>Photo: Jane Roe / Harbour Board</p>", ""},
        Around{"credit_russian", "", "<p>Фото: архив порта</p>", ""},
        Around{"teaser_line", "", "<p><a href=/b><strong>THE TOWN THAT MOVED ITS RIVER</strong></a></p>", ""},
        Around{"read_more", "",
               "<p><strong>Read more:</strong> <a href=/b>The town that moved its river</a></p>", ""},
        Around{"read_more_german", "", "<p>Lesen Sie auch: <a href=/b>Die Stadt am Fluss</a></p>", ""},
        Around{"read_more_italian", "", "<p>(Leggi anche <a href=/b>La città e il fiume</a>)</p>", ""},
        Around{"read_more_chinese", "", "<p>相关阅读：<a href=/b>河边的城市</a></p>", ""},
        Around{"related_box", "",
               "<div class='story-related'><h3>Two more rivers</h3><p>How the others keep their mouths open, "
               "year by year.</p></div>",
               ""},
        Around{"related_list", "", "",
               "<h3>Related articles</h3><ul><li><a href=/b>The town that moved its river</a></li><li><a "
               "href=/c>Sand for sale</a></li></ul>"},
        Around{"teaser_list", "", "",
               "<div>More Great Stories</div><ul><li>The town <a href=/b>that moved its "
               "river</a></li><li>Why sand <a href=/c>is for sale again</a></li><li>A tank <a href=/d>that "
               "holds a harbour, and what it taught us</a></li></ul>"},
        Around{"comments_heading", "", "", "<h3>Comments</h3><p>comments</p>"},
        Around{
            "comments", "", "",
            "<h3>3 Comments</h3><div class=comments><p>What a good idea that wall is, thank you.</p></div>"},
        Around{"author_box", "", "",
               "<div class='author-bio'><h4>Jane Roe</h4><p>Jane writes about water, ships and towns. She "
               "lives by the sea.</p></div>"},
        Around{"author_heading", "", "",
               "<h3>About the author</h3><p>Jane writes about water, ships and towns. She lives by the "
               "sea.</p>"},
        Around{"newsletter", "", "",
               "<p>Get stories like this by mail. <a href=/n>Sign up for our newsletter</a> today.</p>"},
        Around{"followers", "", "",
               "<p>Follow us on <a href=/t>Twitter</a> and <a href=/f>Facebook</a>.</p>"},
        Around{"tags", "", "",
               "<div class='post-tags'>Tags: <a href=/a>harbour</a>, <a href=/b>sand</a></div>"},
        Around{"share", "", "<div class='social-share'><span>Share</span> <span>Tweet</span></div>", ""},
        Around{"hidden", "", "<div style='display: none'>Nobody sees this line of the page.</div>", ""},
        Around{"pull_repeated", "", "", "<p>Read also</p><p><a href=/x>The sea and its sand</a></p>"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(MainText, WhatLooksLikeItInTheTextStays) {
  for (const std::string& inside : std::vector<std::string>{
           "<p>Read more books, say the engineers of the tank: they explain tides, sand and storms better "
           "than "
           "any "
           "film, and they cost a town nothing at all.</p>",
           "<figure><pre>depth = tide + mud</pre><figcaption>The rule of thumb in use.</figcaption></figure>",
           "<ul><li><a href=/a>The northern bank</a>, of stone and oak</li><li><a href=/b>The southern "
           "bank</a>, of sand</li></ul><p>Both "
           "were measured "
           "again last year, as the table of the board shows.</p>",
           "<p>See <a href=/a>the plan of 1874</a>, which still hangs in the hall.</p>",
           "<h2>The wall</h2>" +
               paragraph("It would be four hundred metres long, and eleven metres high at low tide.")}) {
    HtmlTree alone("<body>" + inside + "</body>");
    const std::string text = text_of_page("<article>" + paragraph(first + second) + inside +
                                          paragraph(second + third) + "</article>");
    EXPECT_TRUE(holds(text, node_to_markdown(*alone.body(), {false, false}))) << text;
  }
}

TEST(MainText, APageMaySayWhatItsTextIs) {
  const std::string other =
      "<div>" +
      paragraph(
          "The board can be reached from nine to five, by telephone or by post; letters "
          "are answered within a week, calls at once, and visitors are welcome on Mondays.") +
      "</div>";
  const std::string text = text_of_page("<div><div itemprop=articleBody>" + first + second + "</div></div>" +
                                        other + other + other);
  EXPECT_TRUE(holds(text, "dredged")) << text;
  EXPECT_FALSE(holds(text, "telephone")) << text;
}

TEST(MainText, OfSeveralArticlesTheOneWithTheMainHeadingIsMeant) {
  const std::string next = "<article class=post><h3>Another day</h3>" + body + "</article>";
  const std::string text =
      text_of_page("<div><article class=post><h1>Dredging</h1>" + paragraph(first + second) +
                   paragraph(third) + "</article>" + next + next + "</div>");
  EXPECT_FALSE(holds(text, "Another day")) << text;
  EXPECT_LT(text.size(), 2 * (first + second + third).size());
  EXPECT_TRUE(holds(text, "dredged")) << text;
}

TEST(MainText, TextSpreadOverColumnsIsFoundWhole) {
  std::string columns;
  for (int i = 0; i < 4; ++i)
    columns += "<div class=row><div class=cell><div><p>" + std::to_string(i) + ". " + first + second +
               "</p></div></div></div>";
  const std::string text = text_of_page("<div class=page>" + columns + "</div>");
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(holds(text, std::to_string(i) + "\\. The harbour")) << text;
}

TEST(MainText, ANameDoesNotRemoveMostOfAPage) {
  EXPECT_EQ(text_of_page("<div class=newsletter-page>" + body + "</div>"), wanted);
  EXPECT_EQ(text_of_page("<div class='promo widget'>" + body + "</div>"), wanted);
}

TEST(MainText, PiecesThatReactSendsLaterStandInTheirPlaces) {
  EXPECT_EQ(text_of_page("<main><article>" + paragraph(first + second) + "<template id=\"B:1\"></template>" +
                         paragraph(third + first) + "</article></main><div hidden id=\"S:1\">" +
                         paragraph(second + third) + "</div><script>$RC(\"B:1\",\"S:1\")</script>"),
            wanted);
  // A piece that holds its own place, and one without any.
  EXPECT_EQ(text_of_page("<article>" + body +
                         "</article><div hidden id=\"S:1\"><template id=\"B:1\"></template></div><div hidden "
                         "id=\"S:2\">x</div>"),
            wanted);
}

TEST(MainText, TextForBrowsersWithoutScriptsIsTheLastResort) {
  EXPECT_EQ(text_of_page("<div id=app></div><noscript><article>" + body + "</article></noscript>"), wanted);
  EXPECT_EQ(text_of_page("<article>" + body + "</article><noscript>" + paragraph(first) + "</noscript>"),
            wanted);
  EXPECT_EQ(text_of_page("<div id=app></div><noscript>You need to enable JavaScript.</noscript>"), "");
}

TEST(MainText, PagesThatAreNoArticlesKeepTheirText) {
  std::string thread, listing, answers, cards;
  for (int i = 0; i < 8; ++i) {
    const std::string number = std::to_string(i);
    thread += "<div class=post><div class=user>user" + number + "</div><div class=content><p>Answer " +
              number + ": " + second + "</p></div></div>";
    listing +=
        "<li><a href=/" + number + ">Course " + number + " on tides and sand</a> takes three evenings.</li>";
    answers += "<h3>Question " + number + "?</h3><p>It depends on the tide of day " + number +
               ", and on the wind.</p>";
    cards += "<div class=card><h3>Lamp " + number +
             "</h3><p>A lamp of brass with a green shade, for desks of oak.</p></div>";
  }
  const std::string forum = text_of_page("<div class=thread>" + thread + "</div>", "Forum");
  const std::string list =
      text_of_page("<div class=main><h2>Courses</h2><ul>" + listing + "</ul></div>", "Courses");
  const std::string questions = text_of_page("<main>" + answers + "</main>", "Questions");
  const std::string products = text_of_page("<main>" + cards + "</main>", "Lamps");
  const std::string manual = text_of_page(
      "<main><h2>Install</h2><p>Unpack it first, then run the two commands below, in this order.</p>"
      "<pre>./configure\nmake</pre><h2>Options</h2><table><tr><th>name</th><th>what</th></tr><tr><td>-q</"
      "td><td>says "
      "nothing</td></tr></table><p>Each option may be given twice.</p></main>",
      "Manual");
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(holds(forum, "Answer " + std::to_string(i))) << forum;
    EXPECT_TRUE(holds(list, "Course " + std::to_string(i))) << list;
    EXPECT_TRUE(holds(questions, "Question " + std::to_string(i) + "?")) << questions;
    EXPECT_TRUE(holds(questions, "tide of day " + std::to_string(i))) << questions;
    EXPECT_TRUE(holds(products, "Lamp " + std::to_string(i))) << products;
  }
  EXPECT_TRUE(holds(manual, "make")) << manual;
  EXPECT_TRUE(holds(manual, "| -q | says nothing |")) << manual;
  EXPECT_TRUE(holds(manual, "## Options")) << manual;
}

}  // namespace
}  // namespace fettle::data
