// docs/serve.md's table of fields, line by line.
#include "base/file.h"
#include "serve/api/request_test_model.h"

namespace fettle::serve {
namespace {

struct Line {
  std::string names, routes, example, what;
};

std::vector<Line> table() {
  const std::string text = read_file(fs::path(FETTLE_SOURCE_DIR) / "docs/serve.md");
  std::vector<Line> lines;
  size_t at = text.find("| field | routes |");
  for (at = text.find('\n', text.find('\n', at) + 1) + 1; at < text.size() && text[at] == '|';
       at = text.find('\n', at) + 1) {
    std::vector<std::string> cells;
    std::string_view line = std::string_view(text).substr(at, text.find('\n', at) - at);
    while (line.size() > 2) {
      const size_t end = line.find(" |", 2);
      cells.emplace_back(line.substr(2, end - 2));
      line.remove_prefix(end + 1);
    }
    EXPECT_EQ(cells.size(), 4u) << text.substr(at, 80);
    if (cells.size() == 4) lines.push_back({cells[0], cells[1], cells[2], cells[3]});
  }
  return lines;
}

TEST(FieldsTable, EachLineIsAsTheServerHasIt) {
  RequestModel fixture;
  const std::vector<Line> lines = table();
  EXPECT_GT(lines.size(), 50u);
  for (const Line& line : lines) {
    const OrderedJson example = OrderedJson::parse(line.example.substr(1, line.example.size() - 2));
    const bool refused = line.what.starts_with("**400**");
    for (const bool chat : {true, false}) {
      if (line.routes.find(chat ? "chat" : "text") == std::string::npos) continue;
      OrderedJson body = chat ? OrderedJson{{"messages", "hi"}} : OrderedJson{{"prompt", "hi"}};
      body.update(example);
      const std::string why =
          refusal([&] { chat ? decode_chat(body, fixture.model) : decode_completion(body, fixture.model); });
      const std::string field = example.items().begin().key();
      EXPECT_EQ(why, refused ? "400 " + field : "") << line.example;
    }
  }
}

/// Every field of OpenAI's published request types stands in the table.
TEST(FieldsTable, NamesEveryPublishedField) {
  std::string names;
  for (const Line& line : table()) names += line.names + line.routes;
  for (const char* field : {"messages",
                            "model",
                            "audio",
                            "frequency_penalty",
                            "function_call",
                            "functions",
                            "logit_bias",
                            "logprobs",
                            "max_completion_tokens",
                            "max_tokens",
                            "metadata",
                            "modalities",
                            "moderation",
                            "n",
                            "parallel_tool_calls",
                            "prediction",
                            "presence_penalty",
                            "prompt_cache_key",
                            "prompt_cache_options",
                            "prompt_cache_retention",
                            "reasoning_effort",
                            "response_format",
                            "safety_identifier",
                            "seed",
                            "service_tier",
                            "stop",
                            "store",
                            "stream_options.include_usage",
                            "temperature",
                            "tool_choice",
                            "tools",
                            "top_logprobs",
                            "top_p",
                            "user",
                            "verbosity",
                            "web_search_options",
                            "stream",
                            "prompt",
                            "best_of",
                            "echo",
                            "suffix"})
    EXPECT_NE(names.find(fmt::format("`{}`", field)), std::string::npos) << field;
}

}  // namespace
}  // namespace fettle::serve
