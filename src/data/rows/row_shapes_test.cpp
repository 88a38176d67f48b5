// docs/data.md shows rows of published data sets and what they are read as; this test reads the table.
#include <gtest/gtest.h>

#include <algorithm>

#include "data/rows/example.h"
#include "data/rows/row_view.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string shown(const Content& content) {
  if (!content.is_chat) return content.text;
  std::string text;
  for (const auto& message : content.messages) text += (text.empty() ? "" : " · ") + message.role + ": " + message.content;
  return text;
}

std::string shown(const Example& example) {
  std::string text = shown(example.prompt);
  const std::string answer = shown(example.completion);
  // A lone answer after a prompt of turns needs no name.
  text += (text.empty() ? "" : " > ") + answer;
  if (example.kind == Example::Kind::pair) text += " < " + shown(example.rejected);
  if (example.kind == Example::Kind::judged) text += example.desirable ? " (wanted)" : " (unwanted)";
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.replace(at, 1, "⏎");
  return text;
}

struct Shown {
  std::string name, row, meaning;
};

std::vector<Shown> table() {
  std::vector<Shown> rows;
  const std::string page = read_file(fs::path(FETTLE_SOURCE_DIR) / "docs/data.md");
  size_t at = page.find("| data set | a row | read as |");
  for (at = page.find("\n| ", at + 1); at != std::string::npos && page.compare(at, 3, "\n| ") == 0; at = page.find('\n', at + 1)) {
    const std::string line = page.substr(at + 1, page.find('\n', at + 1) - at - 1);
    if (line.starts_with("| ---")) continue;
    const size_t row = line.find(" | `"), meaning = line.find("` | `", row);
    EXPECT_NE(meaning, std::string::npos) << line;
    rows.push_back({line.substr(2, row - 2), line.substr(row + 4, meaning - row - 4), line.substr(meaning + 5, line.rfind('`') - meaning - 5)});
  }
  return rows;
}

/// All texts of the example, in the order in which a RowView gives them.
std::vector<std::string> texts_of(const Example& example) {
  std::vector<std::string> texts;
  for (const auto* content : {&example.prompt, &example.completion, &example.rejected}) {
    if (!content->is_chat && !content->text.empty()) texts.push_back(content->text);
    if (content->is_chat) {
      for (const auto& message : content->messages) texts.push_back(message.content);
    }
  }
  return texts;
}

TEST(RowShapes, TheTableOfTheManualIsWhatIsRead) {
  const auto rows = table();
  ASSERT_GT(rows.size(), 30u);
  for (const auto& [name, row, meaning] : rows) {
    const auto value = OrderedJson::parse(row);
    std::string read;
    try {
      RowUse use;
      const auto example = example_from_row(value, Format::automatic, {}, name, &use);
      read = std::string(format_name(use.format)) + ": " + shown(example);
    } catch (const Error& error) {
      read = error.what();
      EXPECT_TRUE(meaning.starts_with("refused: ")) << name << ": " << read;
      EXPECT_NE(read.find(meaning.substr(9, 12)), std::string::npos) << read;
      continue;
    }
    EXPECT_EQ(read, meaning) << name;
  }
}

TEST(RowShapes, PassesSeeTheTextsThatAreLearnt) {
  for (const auto& [name, row, meaning] : table()) {
    Row raw{row, 0, 1, nullptr};
    RowView view;
    view.open(raw);
    std::vector<std::string> seen, wanted;
    for (const auto& part : view.texts()) seen.emplace_back(part.text);
    if (!meaning.starts_with("refused")) wanted = texts_of(example_from_row(OrderedJson::parse(row), Format::automatic, {}, name));
    EXPECT_EQ(seen, wanted) << name;
  }
}

/// Rows with everything that a turn may carry: the quick look and the whole reading agree on them too.
TEST(RowShapes, PassesSeeThoughtsCallsAndTools) {
  Row raw{R"({"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"reasoning_content":"Look.","tool_calls":
          [{"type":"function","function":{"name":"weather","arguments":{"city":"Bern"}}}]},{"role":"tool","content":"5 C"},
          {"role":"assistant","content":"It is 5 C."}],"tools":[{"type":"function","function":{"name":"weather"}}]})",
          0, 1, nullptr};
  RowView view;
  view.open(raw);
  std::string seen;
  for (const auto& part : view.texts()) seen += std::string(part.role) + "/" + std::to_string(part.turn) + "/" + (part.is_turn ? "turn" : "more") + " ";
  EXPECT_EQ(seen, "user/0/turn thought/1/more tool_calls/1/turn tool/2/turn assistant/3/turn tools/-1/more ");
  EXPECT_NE(view.texts()[2].text.find("Bern"), std::string_view::npos);
}

}  // namespace
}  // namespace fettle::data
