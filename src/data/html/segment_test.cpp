#include "data/html/segment.h"

#include <gtest/gtest.h>

#include "data/html/main_text.h"
#include "data/html/warc.h"
#include "data/signals/language.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

const std::string about_rivers =
    "A river begins where springs and small streams meet, and it grows with every valley that it crosses. In "
    "spring the snow melts, so the "
    "water rises quickly; in late summer, when little rain falls, it may nearly vanish. People who live "
    "beside it have learnt to read these "
    "changes, and they build their houses, mills and bridges accordingly. ";
const std::string about_bridges =
    "Bridges of stone carry their own weight in arches, which press against the banks on either side. "
    "Engineers choose the height of an arch "
    "by the highest flood on record, with some feet to spare. Where boats must pass, one span is made wider "
    "than the rest, or a part of the "
    "road can be lifted by a pair of motors. Wood served for centuries, although it rots, burns and has to "
    "be renewed every few decades. ";

std::string article(const std::string& inner) {
  return "<html><head><title>Rivers and bridges</title></head><body><div class=\"navbar\"><ul><li><a "
         "href=/>Home</a></li><li><a "
         "href=/a>About</a></li></ul></div><div class=\"content\">" +
         inner +
         "</div><div id=\"footer\">Copyright 2020, all rights reserved by the owners of this "
         "page</div></body></html>";
}
std::string paragraph(const std::string& text) {
  return "<p>" + text + "</p>";
}

PageVerdict segments_of(const std::string& html, SegmentOptions options = {}) {
  Page page;
  page.text = html;
  page.source = "http://example.org/";
  PageVerdict verdict;
  segment_page(page, options, verdict);
  return verdict;
}

const std::string two_sections =
    article(paragraph(about_rivers) + "<h2>How rivers rise and fall</h2>" +
            paragraph(about_rivers + about_bridges) + "<h3>In the mountains</h3>" + paragraph(about_bridges) +
            "<h2>How bridges stand</h2>" + paragraph(about_bridges + "They last. " + about_rivers));

TEST(Segment, AHeaderTakesInItsSubHeaders) {
  SegmentOptions options;
  options.max_characters = 1500;
  options.max_repetition = 1;
  const auto verdict = segments_of(two_sections, options);
  ASSERT_EQ(verdict.made.size(), 2u) << (verdict.dropped.empty() ? "" : verdict.dropped[0].reason);
  const Json first = Json::parse(verdict.made[0].row), second = Json::parse(verdict.made[1].row);
  EXPECT_EQ(first["header"], "How rivers rise and fall");
  EXPECT_EQ(first["path"], Json({"Rivers and bridges"}));
  EXPECT_NE(first["text"].get<std::string>().find("## In the mountains\n\nBridges of stone"),
            std::string::npos);
  EXPECT_EQ(second["header"], "How bridges stand");
  EXPECT_EQ(second["language"], "en");
  EXPECT_EQ(second["source"], "http://example.org/");
  ASSERT_EQ(verdict.dropped.size(), 1u);
  EXPECT_EQ(verdict.dropped[0].reason, "text too long") << "the whole page, under its title";
}

TEST(Segment, ALongSectionGivesWayToItsSubHeaders) {
  SegmentOptions options;
  options.max_characters = 1000;
  options.min_characters = 300;
  options.max_repetition = 1;
  const auto verdict = segments_of(two_sections, options);
  std::vector<std::string> headers;
  for (const auto& made : verdict.made) headers.push_back(Json::parse(made.row)["header"]);
  EXPECT_EQ(headers, (std::vector<std::string>{"In the mountains", "How bridges stand"}));
}

TEST(Segment, WhatStandsAroundThePageIsLeftOut) {
  SegmentOptions options;
  options.whole_pages = true;
  options.max_characters = 0;
  const auto verdict = segments_of(two_sections, options);
  ASSERT_EQ(verdict.made.size(), 1u);
  const std::string text = Json::parse(verdict.made[0].row)["text"];
  EXPECT_EQ(text.find("Copyright"), std::string::npos);
  EXPECT_EQ(text.find("Home"), std::string::npos);
  EXPECT_EQ(text.substr(0, 30), about_rivers.substr(0, 30));
}

TEST(Segment, HeadersAndTextsAreJudged) {
  EXPECT_EQ(header_problem("  — ", 0.5), "empty header");
  EXPECT_EQ(header_problem("HOW RIVERS RISE", 0.5), "header in capitals");
  EXPECT_EQ(header_problem("Free Newsletter", 0.5), "navigation header");
  EXPECT_EQ(header_problem("How Rivers Rise", 0.5), "");
  EXPECT_GT(sentence_repetition("The same words stand here again today. Then others follow after them. The "
                                "same words stand here again today."),
            0.9);
  EXPECT_LT(sentence_repetition(about_rivers + about_bridges), 0.2);
  SegmentOptions german;
  german.languages = {"de"};
  const auto verdict = segments_of(two_sections, german);
  EXPECT_TRUE(verdict.made.empty());
  SegmentOptions repetitive;
  const auto twice = segments_of(
      article("<h2>Said twice</h2>" + paragraph(about_rivers) + paragraph(about_rivers)), repetitive);
  EXPECT_TRUE(twice.made.empty());
  EXPECT_EQ(twice.dropped.back().reason, "repetitive sentences");
}

TEST(Language, IsFoundWithItsShare) {
  EXPECT_EQ(detect_language(about_bridges).code, "en");
  EXPECT_GT(detect_language(about_bridges).confidence, 0.9);
  EXPECT_EQ(
      detect_language(
          "Die Brücke steht seit dreihundert Jahren, und noch immer fahren jeden Tag Wagen über sie hinweg.")
          .code,
      "de");
  EXPECT_EQ(detect_language("12 34 56").code, "un");
}

std::string record(const std::string& type, const std::string& address, const std::string& content,
                   const std::string& content_type = "") {
  return "WARC/1.0\r\nWARC-Type: " + type + "\r\nWARC-Target-URI: " + address + "\r\n" +
         (content_type.empty() ? "" : "Content-Type: " + content_type + "\r\n") +
         "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n" + content + "\r\n\r\n";
}
std::string answer(const std::string& body,
                   const std::string& head = "Content-Type: text/html; charset=UTF-8") {
  return "HTTP/1.1 200 OK\r\n" + head + "\r\n\r\n" + body;
}

TEST(Warc, PagesComeOutAndTheRestIsSkippedOrNamed) {
  const std::string archive =
      record("warcinfo", "", "software: x\r\n") + record("request", "http://a/", "GET / HTTP/1.1\r\n\r\n") +
      record("response", "http://a/", answer("<p>one")) +
      record("response", "http://img/", answer("x", "Content-Type: image/png")) +
      record("response", "http://gone/", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nno") +
      "garbage here\r\nmore\r\n" +
      record("response", "http://chunks/",
             answer("4\r\n<p>t\r\n2\r\nwo\r\n0\r\n\r\n",
                    "Content-Type: text/html\r\nTransfer-Encoding: chunked")) +
      record("resource", "file:///x.html", "<p>three", "text/html;charset=\"latin1\"") +
      record("response", "http://bad/", "no http") +
      "WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 500\r\n\r\nHTTP/1.1 200 OK\r\n";
  for (const size_t step : {size_t{1}, size_t{7}, archive.size()}) {
    size_t at = 0;
    std::vector<std::string> pages, problems;
    WarcReader reader(
        [&](char* to, size_t size) {
          const size_t piece = std::min({size, step, archive.size() - at});
          archive.copy(to, piece, at);
          at += piece;
          return piece;
        },
        [&](const std::string& reason, const std::string&) { problems.push_back(reason); }, 1 << 20);
    WarcPage page;
    while (reader.next(page)) pages.push_back(page.address + " " + page.charset + " " + page.body);
    EXPECT_EQ(pages, (std::vector<std::string>{"http://a/ utf-8 <p>one", "http://chunks/  <p>two",
                                               "file:///x.html latin1 <p>three"}));
    EXPECT_EQ(problems, (std::vector<std::string>{"broken WARC record", "broken HTTP answer",
                                                  "the archive ends in the middle of a record"}));
  }
}

TEST(Warc, OtherEncodingsBecomeUtf8) {
  Folder folder;
  const std::string path = folder.file(
      "pages/x.warc", record("response", "http://a/",
                             answer("<p>gr\xFC\xDF", "Content-Type: text/html; charset=ISO-8859-1")) +
                          record("response", "http://b/",
                                 answer("<meta charset=gbk><p>\xC4\xE3", "Content-Type: text/html")));
  RejectedRows rejected;
  PageReader reader({folder.path("pages")}, rejected);
  std::vector<Page> batch;
  ASSERT_TRUE(reader.next(batch));
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].text, "<p>grüß");
  EXPECT_EQ(batch[0].source, "http://a/");
  EXPECT_EQ(batch[1].text, "<meta charset=gbk><p>你");
  EXPECT_FALSE(reader.next(batch));
  EXPECT_EQ(rejected.count(), 0);
}

TEST(Segment, DuplicatesAreDroppedAcrossAFile) {
  Folder folder;
  folder.file("pages/a.html", two_sections);
  folder.file("pages/b.html", two_sections);
  SegmentOptions options;
  options.max_repetition = 1;
  const auto report = segment_pages(
      {{folder.path("pages")}, folder.path("out.jsonl"), folder.path("rejected.jsonl")}, options);
  EXPECT_EQ(report.reasons.at("Duplicate"), report.out) << to_text(report);
  int64_t dropped = 0;
  for (const auto& [reason, count] : report.reasons) dropped += count;
  EXPECT_EQ(report.in, report.out + dropped);
}

TEST(Segment, RealPagesGiveTheirMainText) {
  FETTLE_NEED_SHARED_DATA();
  const auto expected = fs::directory_iterator(shared_data() / "html");
  int64_t pages = 0;
  for (const auto& entry : expected) {
    HtmlTree tree(read_file(entry.path() / "source.html"));
    const auto parts = find_main_text(tree);
    size_t found = 0;
    for (const auto* part : parts) found += text_of(*part).size();
    HtmlTree wanted(read_file(entry.path() / "expected.html"));
    const size_t length = text_of(*wanted.body()).size();
    EXPECT_GT(found, length / 2) << entry.path();
    EXPECT_LT(found, 2 * length + 500) << entry.path();
    ++pages;
  }
  EXPECT_GE(pages, 20);
}

}  // namespace
}  // namespace fettle::data
