// Token ids and masks of real rows against TRL's own preparation (tests/golden/data/make_trl_rows.py).
#include <gtest/gtest.h>

#include "data/test_data.h"
#include "data/training/dataset.h"

namespace fettle::data {
namespace {

fs::path smollm2() {
  const char* named = std::getenv("FETTLE_SMOLLM2");
  return named != nullptr ? fs::path(named) : fs::path();
}

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
  void SetUp() override {
    FETTLE_NEED_SHARED_DATA();
    if (!fs::exists(smollm2() / "tokenizer.json")) {
      GTEST_SKIP() << "skipped: FETTLE_SMOLLM2 names no folder with SmolLM2-135M-Instruct's tokenizer.json";
    }
    tokenizer_ = Tokenizer::from_folder(smollm2());
    chat_ = std::make_unique<ChatTemplate>(ChatTemplate::of(*tokenizer_));
    golden_ = read_json("tests/golden/data/trl_rows.json");
  }

  static std::string path(const char* name) { return (shared_data() / name).string(); }
  static std::vector<DataSource> pairs() {
    return {{{path("conversations/ultrafeedback_pairs_train.jsonl"),
              path("conversations/ultrafeedback_pairs_eval.jsonl")}}};
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
  std::unique_ptr<ChatTemplate> chat_;
  Json golden_;
  RejectedRows rejected_;
};

TEST_F(TrlRows, Sft) {
  expect_equal("sft_chat_1024", load_sequences(pairs(), *tokenizer_, chat_.get(), {}, 0, rejected_));
  expect_equal("sft_chat_256",
               load_sequences(pairs(), *tokenizer_, chat_.get(), {.max_length = 256}, 0, rejected_));
  expect_equal("sft_raw_1024", load_sequences(pairs(), *tokenizer_, nullptr, {.raw = true}, 0, rejected_));
}

TEST_F(TrlRows, Text) {
  expect_equal("sft_text_1024",
               load_texts({{{path("text/c4_demo.jsonl")}}}, *tokenizer_, nullptr, {}, 0, rejected_));
}

TEST_F(TrlRows, Dpo) {
  expect_equal("dpo_chat_1024", load_pairs(pairs(), *tokenizer_, chat_.get(), {}, 0, rejected_));
  expect_equal("dpo_chat_256",
               load_pairs(pairs(), *tokenizer_, chat_.get(), {.max_length = 256}, 0, rejected_));
  expect_equal("dpo_raw_1024", load_pairs(pairs(), *tokenizer_, nullptr, {.raw = true}, 0, rejected_));
}

TEST_F(TrlRows, Kto) {
  expect_equal("kto_chat_1024", load_judged({{{path("conversations/kto_en_demo.json")}}}, *tokenizer_,
                                            chat_.get(), {}, 0, rejected_));
}

}  // namespace
}  // namespace fettle::data
