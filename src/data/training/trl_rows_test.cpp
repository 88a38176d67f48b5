// Token ids and masks of rows under the starter's tokenizer against TRL's own preparation (tests/golden/data/make_trl_rows.py).
#include <gtest/gtest.h>

#include "data/test_data.h"
#include "data/training/dataset.h"

namespace fettle::data {
namespace {

/// FNV-1a over 32-bit values as the golden file's script computes it.
class Fnv {
 public:
  void add_list(const std::vector<int32_t>& values) {
    add(static_cast<uint32_t>(values.size()));
    for (const int32_t value : values) add(static_cast<uint32_t>(value));
  }
  std::string hex() const { return fmt::format("{:016x}", state_); }

 private:
  void add(uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) state_ = (state_ ^ ((value >> shift) & 255)) * 0x100000001B3u;
  }
  uint64_t state_ = 0xCBF29CE484222325u;
};

void hash(Fnv& fnv, const TokenSequence& row) {
  std::vector<int32_t> mask(row.weights.size());
  for (size_t t = 0; t < mask.size(); ++t) mask[t] = row.weights[t] != 0;
  fnv.add_list(row.ids);
  fnv.add_list(mask);
}
void hash(Fnv& fnv, const Pair& row) {
  for (const auto* ids : {&row.prompt_ids, &row.chosen_ids, &row.rejected_ids}) fnv.add_list(*ids);
}
void hash(Fnv& fnv, const Judged& row) {
  fnv.add_list(row.prompt_ids);
  fnv.add_list(row.completion_ids);
  fnv.add_list({row.desirable ? 1 : 0});
}

class TrlRows : public testing::Test {
 protected:
  TrlRows()
      : tokenizer_(Tokenizer::from_folder(fs::path(FETTLE_SOURCE_DIR) / "starter/model")),
        chat_(ChatTemplate::of(*tokenizer_)),
        golden_(read_json(golden_folder() / "trl_rows.json")) {}

  static fs::path golden_folder() { return fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data"; }
  static std::vector<std::string> files() {
    return {(fs::path(FETTLE_SOURCE_DIR) / "starter/pairs.jsonl").string(), (golden_folder() / "trl_pairs.jsonl").string()};
  }
  static std::vector<DataSource> pairs() { return {{files()}}; }
  /// The chosen answers as texts.
  static std::vector<DataSource> texts() {
    DataSource source{files()};
    source.format = Format::text;
    source.columns = {{"text", "chosen"}};
    return {source};
  }

  template <typename T>
  void expect_equal(const char* name, const Tokenized<T>& made) {
    const Json& golden = golden_.at(name);
    EXPECT_EQ(static_cast<int64_t>(made.rows.size()), golden["rows"].get<int64_t>()) << name;
    EXPECT_EQ(made.report.tokens, golden["tokens"].get<int64_t>()) << name;
    EXPECT_EQ(made.report.supervised_tokens, golden["supervised"].get<int64_t>()) << name;
    Fnv fnv;
    for (const auto& row : made.rows) hash(fnv, row);
    EXPECT_EQ(fnv.hex(), golden["fnv1a"].get<std::string>()) << name;
    for (size_t i = 0; i < golden["first"].size() && i < made.rows.size(); ++i) {
      EXPECT_EQ(Json::array({made.rows[i].length(), made.rows[i].supervised()}), golden["first"][i])
          << name << " row " << i;
    }
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  ChatTemplate chat_;
  Json golden_;
  RejectedRows rejected_;
};

TEST_F(TrlRows, Sft) {
  expect_equal("sft_chat_1024", load_sequences(pairs(), *tokenizer_, &chat_, {}, 0, rejected_));
  expect_equal("sft_chat_24", load_sequences(pairs(), *tokenizer_, &chat_, {.max_length = 24}, 0, rejected_));
  expect_equal("sft_raw_1024", load_sequences(pairs(), *tokenizer_, nullptr, {.raw = true}, 0, rejected_));
}

TEST_F(TrlRows, Text) {
  expect_equal("sft_text_1024", load_texts(texts(), *tokenizer_, nullptr, {}, 0, rejected_));
}

TEST_F(TrlRows, Dpo) {
  expect_equal("dpo_chat_1024", load_pairs(pairs(), *tokenizer_, &chat_, {}, 0, rejected_));
  expect_equal("dpo_chat_40", load_pairs(pairs(), *tokenizer_, &chat_, {.max_length = 40}, 0, rejected_));
  expect_equal("dpo_raw_1024", load_pairs(pairs(), *tokenizer_, nullptr, {.raw = true}, 0, rejected_));
}

TEST_F(TrlRows, Kto) {
  expect_equal("kto_chat_1024", load_judged(pairs(), *tokenizer_, &chat_, {}, 0, rejected_));
}

}  // namespace
}  // namespace fettle::data
