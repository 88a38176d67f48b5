// What the verbs of `fettle data` say of columns and of rows that training refuses, and that it is what training does.
#include "data/passes/convert_rows.h"
#include "data/passes/dedupe.h"
#include "data/passes/mix_rows.h"
#include "data/passes/split_rows.h"
#include "data/rows/column_report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/passes/filter.h"
#include "data/passes/stats.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

/// Rows of one format after another, whole ones and ones that training refuses.
std::vector<std::string> mixed_rows() {
  std::vector<std::string> rows{
      R"({"text":"a"})", R"({"text":" "})", R"({"text":"a","note":1,"source":"s"})", R"({"text":"a","weight":2})",
      R"({"text":"a","weight":"much"})", R"({"text":"USER: a ASSISTANT: b"})",
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
      R"({"id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0}],"extra":null})",
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","train":"maybe"}]})",
      R"({"messages":[{"role":"user","content":"q","mood":"good"},{"role":"assistant","content":"a"}]})",
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":""}]})", R"({"messages":[]})",
      R"({"messages":[{"role":"user","content":""},{"role":"assistant","content":"a"}],"system":"s"})",
      R"({"messages":[{"role":"robot","content":"q"}]})", R"({"messages":"none"})",
      R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"views":3})",
      R"({"conversation":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
      R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"tools":"[]"})",
      R"({"instruction":"i","input":"","output":"o"})", R"({"instruction":"i","input":"x","output":"o","system":""})",
      R"({"instruction":"i","input":7,"output":"o"})", R"({"instruction":"i","output":"  "})", R"({"Instruction":"i","output":"o","history":[]})",
      R"({"question":"q","answer":"a","context":"c"})", R"({"question":"q","answer":"a","topic":"t"})", R"({"prompt":"q","response":"a","system_prompt":"s"})",
      R"({"prompt":"q","response":"a","label":true})", R"({"prompt":"q","response":"a","label":null})", R"({"prompt":"q","completion":"a","class":"c"})",
      R"({"prompt":"q","chosen":"a","rejected":"b","score_chosen":1})", R"({"prompt":"q","chosen":"a","rejected":"a"})", R"({"chosen":"q a","rejected":"q b","riddle":"r"})",
      R"({"prompt":"q","chosen":"a","rejected":""})", R"({"question":"q","chosen":"a","rejected":"b"})", R"({"x":1})", R"({"prompt":"q","input":"z","output":"a"})"};
  const auto again = rows;  // shapes that were seen before
  rows.insert(rows.end(), again.begin(), again.end());
  return rows;
}

TEST(RowReading, IsThatOfTrainingWhateverShortCutItTakes) {
  auto texts = mixed_rows();
  if (fs::is_directory(shared_data() / "conversations")) {
    RejectedRows rejected;
    for (const auto& value : read_rows({(shared_data() / "conversations").string()}, rejected)) texts.push_back(dump_json(value));
  }
  RowView view;
  const auto file = std::make_shared<const std::string>("row");
  int64_t refused = 0;
  for (const auto& text : texts) {
    Row row{text, 0, 1, file};
    view.open(row);
    RowUse use;
    std::string refusal;
    try {
      example_from_row(view.value(), Format::automatic, {}, "row", &use);
    } catch (const Error& error) {
      refusal = reason_of(error);
    }
    ASSERT_EQ(view.reading().refusal, refusal) << text;
    refused += !refusal.empty();
    if (refusal.empty()) {
      auto sorted = view.reading().use;
      for (auto* names : {&sorted.columns, &use.columns, &sorted.mappings, &use.mappings}) std::sort(names->begin(), names->end());
      ASSERT_TRUE(sorted == use) << text;
    }
  }
  EXPECT_GE(refused, 20);
}

TEST(ColumnReport, ABatchIsCountedAsRowByRow) {
  ColumnReport one_by_one, at_once;
  ReadRows rows;
  RowView view;
  const auto file = std::make_shared<const std::string>("row");
  for (const auto& text : mixed_rows()) {
    Row row{text, 0, 1, file};
    view.open(row);
    rows.add(view);
    if (view.reading().refusal.empty()) one_by_one.add(view.value(), view.reading().use);
  }
  at_once.add(rows);
  EXPECT_EQ(at_once.to_json(), one_by_one.to_json());
  EXPECT_EQ(at_once.warnings(), one_by_one.warnings());
}

TEST(ColumnReport, EveryVerbOverRowsHasIt) {
  const Folder folder;
  const std::string input = folder.file("in.jsonl", R"({"question":"q","answer":"a","note":1}
{"question":"r","answer":"b","note":2,"hint":"h"}
{"question":"s","answer":""}
{"x":1}
)");
  const PassFiles files{{input}, folder.path("out.jsonl"), ""};
  MixOptions mix;
  mix.sources = {{input, 1}};
  SplitOptions split;
  split.parts = {{folder.path("part.jsonl"), 0.5}};
  DedupeOptions near;
  near.near = true;
  FilterOptions filter;
  filter.min_characters = 1000;  // what is dropped is counted too
  const OrderedJson refuses{{"empty answer ('answer')", 1}, {"no known format", 1}};
  std::vector<std::pair<const char*, OrderedJson>> reports{
      {"dedupe", to_json(dedupe_rows(files, {}))}, {"near", to_json(dedupe_rows(files, near))}, {"mix", to_json(mix_rows(files, mix))},
      {"split", to_json(split_rows(files, split))}, {"filter", to_json(filter_rows(files, filter))}, {"stats", to_json(data_stats({input}, {}))},
      {"convert", to_json(convert_rows(files, {}))}};
  for (auto& [verb, report] : reports) {
    SCOPED_TRACE(verb);
    EXPECT_EQ(report["columns_found"], OrderedJson({{"answer", 2}, {"hint", 1}, {"note", 2}, {"question", 2}}));
    EXPECT_EQ(report["columns_used"], OrderedJson({{"answer", 2}, {"question", 2}}));
    EXPECT_EQ(report["columns_ignored"], OrderedJson({{"hint", 1}, {"note", 2}}));
    EXPECT_EQ(report["warnings"], OrderedJson::array({"columns that nothing reads: hint 1, note 2"}));
    const bool refuses_itself = verb == std::string("convert");
    EXPECT_EQ(report["training_refuses"], refuses_itself ? OrderedJson::object() : refuses);
  }
  const std::string text = to_text(dedupe_rows(files, {}));
  for (const char* part : {"columns found: answer 2, hint 1, note 2, question 2\n", "columns used: answer 2, question 2\n",
                           "columns ignored: hint 1, note 2\n", "training would refuse 1: empty answer ('answer')\n"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

}  // namespace
}  // namespace fettle::data
