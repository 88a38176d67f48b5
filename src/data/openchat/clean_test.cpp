#include "data/openchat/clean.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "base/threads.h"
#include "data/passes/show.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string turns(std::initializer_list<std::pair<const char*, const char*>> list) {
  OrderedJson items = OrderedJson::array();
  for (const auto& [from, value] : list) items.push_back({{"from", from}, {"value", value}});
  return items.dump();
}
std::string page_of(const std::string& properties) {
  return "<!DOCTYPE html><html><body><div id=\"__next\">x</div><script id=\"__NEXT_DATA__\" "
         "type=\"application/json\">{\"props\":{\"pageProps\":" +
         properties + "}}</script></body></html>";
}
std::string page_with(const std::string& items, const char* id = "p1") {
  return page_of(std::string("{\"id\":\"") + id +
                 "\",\"views\":3,\"content\":{\"model\":\"Model: GPT-4\",\"items\":" + items + "}}");
}

class Clean : public testing::Test {
 protected:
  PassReport run(CleanOptions options = {}, const char* name = "out.jsonl") {
    return clean_pages({{folder_.path("pages")}, folder_.path(name), folder_.path("rejected.jsonl")},
                       options);
  }
  void page(const std::string& name, const std::string& html) { folder_.file("pages/" + name, html); }
  std::string output(const char* name = "out.jsonl") const { return read_file(folder_.path(name)); }
  std::string reason_of(const std::string& html, CleanOptions options = {}) {
    Page page;
    page.text = html;
    PageVerdict verdict;
    clean_page(page, options, verdict);
    return verdict.dropped.empty() ? "" : verdict.dropped[0].reason;
  }

  Folder folder_;
};

TEST_F(Clean, WritesCleanedTurnsWithTheirPage) {
  page("a.html", page_with(turns({{"human", "What_is *it*?"},
                                  {"gpt", "<div class=\"markdown\"><p>A <b>thing</b>.</p></div>"}})));
  const auto report = run();
  EXPECT_EQ(report.in, 1);
  const Json row = Json::parse(output());
  EXPECT_EQ(row["id"], "p1");
  EXPECT_EQ(row["items"], Json::parse(turns({{"human", "What\\_is \\*it\\*?"}, {"gpt", "A **thing**."}})));
  EXPECT_EQ(row["model"], "Model: GPT-4");
  EXPECT_EQ(row["views"], 3);
  EXPECT_EQ(row["hash"][1], 2);
  EXPECT_EQ(row["source"], folder_.path("pages/a.html"));
}

TEST_F(Clean, RulesInTheirOrder) {
  const auto problem = [&](const std::string& items, CleanOptions options = {}) {
    return reason_of(page_with(items), options);
  };
  EXPECT_EQ(reason_of("<html>"), "No page data");
  EXPECT_EQ(reason_of("<script id=\"__NEXT_DATA__\">{\"props\":</script>"), "Page data is not valid JSON");
  EXPECT_EQ(reason_of(page_of("{\"id\":\"x\"}")), "Unable to extract content");
  EXPECT_EQ(problem("[]"), "Conversation too short");
  EXPECT_EQ(problem(turns({{"system", "s"}, {"human", "q"}})), "Conversation too short");
  EXPECT_EQ(problem(turns({{"human", "q"}, {"human", "q"}})), "Conversation too short");
  EXPECT_EQ(problem(turns({{"system", "s"}, {"human", "q"}, {"gpt", "a"}, {"human", "more"}})), "")
      << "one item goes at either end";
  EXPECT_EQ(problem(turns({{"system", "s"}, {"system", "s"}, {"human", "q"}, {"gpt", "a"}})), "Wrong format");
  EXPECT_EQ(problem(turns({{"human", "q"}, {"bing", "a"}})), "Wrong format");
  CleanOptions blocked;
  blocked.blocked_words = {"openai"};
  EXPECT_EQ(problem(turns({{"human", "who made you"}, {"gpt", "<b>OpenAI</b>"}}), blocked),
            "Contain blocked words");
  EXPECT_EQ(problem(turns({{"human", "who made you"}, {"gpt", "<b>OpenAI</b>"}})), "");
  EXPECT_EQ(problem(turns({{"human", "<ol start=x><li>a"}, {"gpt", "openai"}}), blocked), "Parser error")
      << "the first bad turn decides";
  CleanOptions later;
  later.need_text = true;
  EXPECT_EQ(problem(turns({{"human", "a question of some length"}, {"gpt", "<p> </p>"}}), later),
            "Empty answer");
  EXPECT_EQ(problem(turns({{"human", "q"}, {"gpt", "a"}}), later), "Conversation too short");
  EXPECT_EQ(problem(turns({{"human", "q"}, {"gpt", "<p> </p>"}})), "");
}

TEST_F(Clean, CountsAddUpAndTheFirstOfDuplicatesStays) {
  page("a.html", page_with(turns({{"human", "q"}, {"gpt", "a"}}), "first"));
  page("b.html", page_with(turns({{"human", "q"}, {"gpt", "<p>a</p>"}}), "second"));
  page("c.html", page_with(turns({{"human", "qa"}, {"gpt", ""}}), "equal texts, equal number of turns"));
  page("d.html", page_with("[]", "short"));
  page("sub/e.htm", "nothing");
  page("f.txt", "no page");
  const auto report = run();
  EXPECT_EQ(report.in, 5);
  EXPECT_EQ(report.out, 1);
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{
                                {"Conversation too short", 1}, {"Duplicate", 2}, {"No page data", 1}}));
  const std::string rejected = read_file(folder_.path("rejected.jsonl"));
  EXPECT_NE(rejected.find("\"reason\":\"Duplicate\",\"detail\":\"of first\",\"id\":\"second\""),
            std::string::npos)
      << rejected;
}

TEST_F(Clean, TheSameBytesFromAnyNumberOfThreads) {
  for (int i = 0; i < 300; ++i) {
    const std::string question = "question " + std::to_string(i % 250);
    page(std::to_string(1000 + i) + ".html",
         page_with(turns({{"human", question.c_str()}, {"gpt", "<ul><li>a</li></ul>"}}),
                   std::to_string(i).c_str()));
  }
  std::vector<std::string> outputs;
  const int before = threads();
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    EXPECT_EQ(run().out, 250);
    outputs.push_back(output() + read_file(folder_.path("rejected.jsonl")));
  }
  set_threads(before);
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(outputs[0], outputs[2]);
}

TEST_F(Clean, ThePublishedFileIsPythons) {
  page(
      "a.html",
      page_of(
          R"({"id":"x","content":{"items":[{"from":"human","value":"ä"},{"from":"gpt","value":"&#x1F600;"}],"t":1e16,"f":0.5,"n":null,"l":[],"views":1}})"));
  CleanOptions options;
  options.layout = RowLayout::python;
  run(options, "out.json");
  const std::string file = output("out.json");
  const std::string hash = std::to_string(Json::parse(file)[0]["hash"][0].get<int64_t>());
  EXPECT_EQ(file,
            "[\n\t{\n\t\t\"items\": [\n\t\t\t{\n\t\t\t\t\"from\": \"human\",\n\t\t\t\t\"value\": "
            "\"\\u00e4\"\n\t\t\t},\n\t\t\t{\n\t\t\t\t\"from\": "
            "\"gpt\",\n\t\t\t\t\"value\": \"\\ud83d\\ude00\"\n\t\t\t}\n\t\t],\n\t\t\"t\": 1e+16,\n\t\t\"f\": "
            "0.5,\n\t\t\"n\": null,\n\t\t\"l\": "
            "[],\n\t\t\"views\": 0,\n\t\t\"id\": \"x\",\n\t\t\"hash\": [\n\t\t\t" +
                hash + ",\n\t\t\t2\n\t\t]\n\t}\n]");
}

TEST_F(Clean, BadInputIsCountedAndNamed) {
  std::string deep = "<script id=\"__NEXT_DATA__\">", gzip(1000, '\0');
  for (int i = 0; i < 100000; ++i) deep += "<div><p>";
  page("deep.html", deep);
  page("utf8.html", page_with(turns({{"human", "q"}, {"gpt", "\xF0\x9F\x98\x80"}})).replace(20, 1, "\xff"));
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string html = page_with(turns({{"human", "q2"}, {"gpt", "a2"}}));
  stream.next_in = reinterpret_cast<Bytef*>(html.data());
  stream.avail_in = static_cast<uInt>(html.size());
  stream.next_out = reinterpret_cast<Bytef*>(gzip.data());
  stream.avail_out = static_cast<uInt>(gzip.size());
  deflate(&stream, Z_FINISH);
  gzip.resize(gzip.size() - stream.avail_out);
  deflateEnd(&stream);
  page("whole.html.gz", gzip);
  page("cut.html.gz", gzip.substr(0, gzip.size() / 2));
  page("empty.html", "");
  const auto report = run();
  EXPECT_EQ(report.out, 2) << to_text(report);
  EXPECT_EQ(report.repaired, 1);
  EXPECT_EQ(report.in, 5);
  EXPECT_EQ(report.reasons,
            (std::map<std::string, int64_t>{
                {"No page data", 1}, {"Page data is not valid JSON", 1}, {"damaged compressed file", 1}}));
  fs::create_directories(folder_.path("empty"));
  EXPECT_THROW(clean_pages({{folder_.path("empty")}, folder_.path("x.jsonl"), ""}, {}), Error);
}

TEST_F(Clean, TraceGoesBackToThePage) {
  page("a.html", page_with(turns({{"human", "q"}, {"gpt", "a"}}), "kept"));
  page("b.html", page_with("[]", "lost"));
  folder_.file("report.json", dump_json(to_json(run())));
  const auto kept = trace_row("kept", {folder_.path("report.json")}),
             lost = trace_row("lost", {folder_.path("report.json")});
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].source, folder_.path("pages/a.html"));
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost[0].reason, "Conversation too short");
  EXPECT_EQ(lost[0].source, folder_.path("pages/b.html"));
}

}  // namespace
}  // namespace fettle::data
