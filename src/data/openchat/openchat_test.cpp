#include "data/openchat/openchat.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "data/parquet/reader.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

const fs::path golden = fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data/openchat";

const Tokenizer& tokenizer() {
  static const auto made = Tokenizer::open(golden / "tokenizer.json");
  return *made;
}

OpenChatOptions options_for(const std::string& type) {
  OpenChatOptions options;
  options.type = &openchat_type(type);
  options.files = options.type->release;
  options.tokenizer = &tokenizer();
  return options;
}

std::vector<int32_t> ids_of(const std::string& type, const OrderedJson& row) {
  return OpenChatRows(options_for(type)).encode(row, "row").ids;
}

using Ids = std::vector<int32_t>;

TEST(OpenChat, PublishedTokenIds) {
  const OrderedJson row{{"model", "Model: GPT-4"},
                        {"items", {{{"from", "human"}, {"value", "Hello"}}, {{"from", "gpt"}, {"value", ""}}}}};
  EXPECT_EQ(ids_of("openchat_v3.2", row),
            (Ids{1, 402, 7982, 29946, 4911, 29901, 15043, 32000, 402, 7982, 29946, 4007, 22137, 29901, 32000}));
  EXPECT_EQ(ids_of("openchat_v3.1_llama2", row),
            (Ids{1, 4007, 22137, 338, 402, 7982, 29946, 32000, 4911, 29901, 15043, 32000, 4007, 22137, 29901, 32000}));
  const OrderedJson special{{"items", {{{"from", "human"}, {"value", "<s>"}}}}};
  EXPECT_EQ(ids_of("openchat_llama2", special), (Ids{1, 4911, 29901, 529, 29879, 29958, 32000}));
}

TEST(OpenChat, PrefixesEndWithASpaceOnlyInTheFirstVersion) {
  const OrderedJson row{{"items", {{{"from", "human"}, {"value", "Hello"}}}}};
  const OpenChatRows first(options_for("openchat"));
  const auto sample = first.encode(row, "row");
  EXPECT_EQ(sample.ids, (Ids{1, 12968, 29901, 29871, 15043, 32000}));
  EXPECT_EQ(first.decode(sample.ids), "<s>Human:  Hello<|end_of_turn|>");
  EXPECT_EQ(ids_of("opencoder", row), (Ids{4911, 29901, 15043, 32000}));
}

/// The tokenizer of the golden files with what 3.6 needs.
const Tokenizer& llama3_like() {
  static const auto made = [] {
    OrderedJson json = OrderedJson::parse(read_file(golden / "tokenizer.json"));
    int32_t id = tokenizer().size();
    for (const char* token : {"<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"}) {
      json["added_tokens"].push_back({{"id", id++}, {"content", token}, {"special", true}, {"normalized", false},
                                      {"single_word", false}, {"lstrip", false}, {"rstrip", false}});
    }
    return Tokenizer::from_json(json.dump(), "llama 3");
  }();
  return *made;
}

TEST(OpenChat, EveryAnswerIsLearntBehindThePromptThatServingBuilds) {
  const Messages talk{{"user", " Hi <|eot_id|>\n"}, {"assistant", "Hello"}, {"user", "And?"}, {"assistant", "\nBye. "}};
  for (const auto& type : openchat_types()) {
    OpenChatOptions options = options_for(type.name);
    options.tokenizer = &llama3_like();
    for (const bool with_system : {false, true}) {
      if (with_system && type.release != OpenChatRelease::v3_5 && type.release != OpenChatRelease::v3_2) continue;
      OrderedJson row{{"model", "Model: GPT-4"}, {"condition", type.condition}, {"items", OrderedJson::array()}};
      if (with_system) row[type.release == OpenChatRelease::v3_5 ? "system" : "system_message"] = " Be kind.";
      for (const auto& message : talk) row["items"].push_back({{"role", message.role}, {"content", message.content}});
      const auto sample = OpenChatRows(options).encode(row, "row");
      for (const size_t answer : {size_t{1}, size_t{3}}) {
        Messages history(talk.begin(), talk.begin() + static_cast<std::ptrdiff_t>(answer));
        if (with_system) history.insert(history.begin(), {"system", " Be kind."});
        const auto prompt = openchat_tokens(type, llama3_like(), history, {"", with_system});
        ASSERT_LT(prompt.size(), sample.ids.size()) << type.name;
        EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), sample.ids.begin())) << type.name << " " << answer;
        EXPECT_EQ(sample.weights[prompt.size() - 1], 0) << type.name;
        EXPECT_EQ(sample.weights[prompt.size()], 1) << type.name;
        if (answer != 3) continue;
        EXPECT_EQ(sample.ids.back(), openchat_end_of_turn(type, llama3_like()));
        EXPECT_TRUE(std::all_of(sample.weights.begin() + static_cast<std::ptrdiff_t>(prompt.size()), sample.weights.end(),
                                [](double weight) { return weight == 1; })) << type.name;
      }
    }
  }
}

TEST(OpenChat, TypesAreNamedAndRowsChecked) {
  EXPECT_EQ(openchat_type("openchat_3.5").name, "openchat_v3.2_mistral");
  EXPECT_THROW(openchat_type("openchat_v4"), Error);
  const OpenChatRows made(options_for("openchat_v2"));
  EXPECT_THROW(made.encode(OrderedJson{{"text", "x"}}, "row"), Error);
  EXPECT_THROW(made.encode(OrderedJson{{"items", {{{"from", "bing"}, {"value", "x"}}}}}, "row"), Error);
  EXPECT_THROW(made.encode(OrderedJson{{"items", {{{"from", "gpt"}}}}}, "row"), Error);
}

PassReport convert(const OpenChatOptions& options, const std::string& input, const fs::path& output) {
  return convert_openchat({{(golden / input).string()}, output, {}}, options);
}

class JsonFiles : public testing::TestWithParam<const char*> {};

TEST_P(JsonFiles, AreEqualByteForByte) {
  const Folder folder;
  auto options = options_for(GetParam());
  options.eval_ratio = options.type->has_groups ? 0.13 : 0.01;
  const auto report = convert(options, "conversations.json", folder.folder.path());
  EXPECT_EQ(report.in, 24);
  EXPECT_EQ(report.out, 24);
  for (const char* part : {".train", ".eval"}) {
    for (const char* kind : {".json", ".text.json"}) {
      const std::string name = std::string(GetParam()) + part + kind;
      EXPECT_TRUE(read_file(golden / name) == read_file(folder.path(name))) << name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(OpenChat, JsonFiles,
                         testing::Values("openchat", "openchat_8192", "opencoder", "openchat_v2"));

void expect_rows(const fs::path& parquet, const fs::path& jsonl, const std::string& metadata) {
  const MappedFile file(parquet);
  ParquetReader reader(file.text(), parquet.string());
  ASSERT_EQ(reader.metadata().size(), 1u);
  EXPECT_EQ(reader.metadata()[0].first, "metadata_json");
  EXPECT_EQ(reader.metadata()[0].second, metadata);
  RejectedRows rejected;
  const auto wanted = read_rows({jsonl.string()}, rejected);
  EXPECT_EQ(reader.rows(), static_cast<int64_t>(wanted.size()));
  for (const auto& row : wanted) {
    std::string text;
    ASSERT_TRUE(reader.next(text));
    const auto found = OrderedJson::parse(text);
    ASSERT_EQ(found.size(), row.size());
    for (const auto& [key, value] : row.items()) {
      if (value.is_number_float()) {
        ASSERT_EQ(found.at(key).get<float>(), value.get<float>()) << key;
      } else if (key == "nz_shifted_loss_weights") {
        ASSERT_EQ(found.at(key).get<std::vector<float>>(), value.get<std::vector<float>>());
      } else {
        ASSERT_EQ(found.at(key), value) << key;
      }
    }
  }
}

TEST(OpenChat, ParquetOfClassesWithTheirWeights) {
  const Folder folder;
  const auto report = convert(options_for("openchat_v3.1_llama2"), "conversations.json", folder.path("out"));
  const auto wanted = read_file(golden / "openchat_v3.1_llama2.train.jsonl");
  const auto rows = std::count(wanted.begin(), wanted.end(), '\n');
  EXPECT_EQ(report.out, rows);
  EXPECT_EQ(report.in, 24);
  EXPECT_EQ(report.in - report.out, report.reasons.empty() ? 0 : report.reasons.begin()->second);
  int64_t gpt4 = 0;
  RejectedRows rejected;
  for (const auto& row : read_rows({(golden / "openchat_v3.1_llama2.train.jsonl").string()}, rejected))
    gpt4 += !row["1_tokens"].empty();
  const auto weight = [&](int64_t count) { return Json(static_cast<double>(rows) / static_cast<double>(count)).dump(); };
  expect_rows(folder.path("out.train.parquet"), golden / "openchat_v3.1_llama2.train.jsonl",
              R"({"model_type":"openchat_v3.1_llama2","group_loss_weights":[)" + weight(rows - gpt4) + "," + weight(gpt4) +
                  R"(],"num_groups":2})");
  EXPECT_FALSE(fs::exists(folder.path("out.eval.parquet")));
}

TEST(OpenChat, ParquetWithShiftedLabels) {
  const Folder folder;
  for (const char* type : {"openchat_v3.2", "openchat_llama2"}) {
    convert(options_for(type), "conversations.json", folder.path(type));
    expect_rows(folder.path(std::string(type) + ".train.parquet"), golden / (std::string(type) + ".train.jsonl"),
                fmt::format(R"({{"model_type":"{}"}})", type));
  }
}

TEST(OpenChat, WeightsOfMessagesAndAFileForEachEpoch) {
  const Folder folder;
  auto options = options_for("openchat_3.5");
  const auto report = convert(options, "weighted.jsonl", folder.path("out"));
  EXPECT_EQ(report.reasons, (std::map<std::string, int64_t>{{"nothing supervised", 1}}));
  const std::string metadata = R"({"model_type":"openchat_v3.2_mistral"})";
  expect_rows(folder.path("out.0.parquet"), golden / "weighted.train.jsonl", metadata);
  options.per_sequence_loss = true;
  convert(options, "weighted.jsonl", folder.path("shared"));
  expect_rows(folder.path("shared.0.parquet"), golden / "per_sequence.train.jsonl", metadata);
}

}  // namespace
}  // namespace fettle::data
