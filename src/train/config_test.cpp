#include "train/config.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle::train {
namespace {

constexpr const char* kWhole = R"(method: dpo
model: base
data: pairs.jsonl
eval: {path: held_out.jsonl, format: pair}
out: runs/dpo
adapter: {rank: 8, alpha: 16, dropout: 0.05, targets: [q_proj, v_proj]}
beta: 0.05
max_length: 512
truncate: keep_end
train_on: assistant
epochs: 3
batch_size: 32
micro_tokens: 2048
learning_rate: 5.0e-7
schedule: {name: cosine, warmup: 0.1, final: 0.05}
optimizer: {name: rmsprop, betas: [0.8, 0.95], eps: 1.0e-6, weight_decay: 0.01}
max_grad_norm: 0.5
shuffle: false
seed: 7
dtype: f32
recompute: block
memory_limit: 6 GB
save_every: 50
keep: 3
keep_best: reward_accuracy
)";
constexpr const char* kSmall = "method: sft\nmodel: m\ndata: d.jsonl\nout: o\n";

std::string message(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    parse_train_config(yaml, "t.yaml", overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error for " << yaml;
  return "";
}

TEST(Config, EveryKeyIsRead) {
  const TrainConfig config = parse_train_config(kWhole, "t.yaml");
  EXPECT_EQ(config.method, "dpo");
  EXPECT_EQ(config.data.at(0).paths.at(0), "pairs.jsonl");
  EXPECT_EQ(config.eval.at(0).format, data::Format::pair);
  ASSERT_TRUE(config.adapter);
  EXPECT_EQ(config.adapter->config.rank, 8);
  EXPECT_EQ(config.adapter->config.targets, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(config.beta, 0.05);
  EXPECT_EQ(config.truncate, data::Truncate::keep_end);
  EXPECT_EQ(config.train_on, data::TrainOn::assistant);
  EXPECT_EQ(config.micro_tokens, 2048);
  EXPECT_EQ(config.learning_rate, 5e-7);
  EXPECT_EQ(config.schedule.name, "cosine");
  EXPECT_EQ(config.schedule.final, 0.05);
  EXPECT_EQ(config.optimizer.beta2, 0.95);
  EXPECT_FALSE(config.shuffle);
  EXPECT_EQ(config.recompute, RecomputeChoice::block);
  EXPECT_EQ(config.memory_limit, 6e9);
  EXPECT_EQ(config.keep_best, "reward_accuracy");
}

TEST(Config, WrittenOutItReadsBackTheSame) {
  for (const char* yaml : {kWhole, kSmall}) {
    const TrainConfig config = parse_train_config(yaml, "t.yaml");
    const OrderedJson written = to_json(config);
    const TrainConfig again = train_config_from_json(Json::parse(written.dump()), "again");
    EXPECT_EQ(to_json(again).dump(), written.dump());
  }
}

TEST(Config, OverridesAndShorthands) {
  const TrainConfig config =
      parse_train_config(kSmall, "t.yaml",
                         {"schedule=wsd", "schedule.warmup=10", "adapter.rank=4", "beta=0.5", "method=dpo",
                          "optimizer=sgd", "data=[a.jsonl, {path: b.jsonl, weight: 0.5}]"});
  EXPECT_EQ(config.schedule.name, "wsd");
  EXPECT_EQ(config.schedule.warmup, 10.0);
  EXPECT_EQ(config.adapter->config.rank, 4);
  EXPECT_EQ(config.optimizer.name, "sgd");
  ASSERT_EQ(config.data.size(), 2U);
  EXPECT_EQ(config.data[1].weight, 0.5);
  EXPECT_FALSE(parse_train_config(kWhole, "t.yaml", {"adapter=false"}).adapter);
}

TEST(Config, UnknownKeysNameTheNearest) {
  EXPECT_EQ(message(std::string(kSmall) + "learning_rat: 1\n"),
            "t.yaml:5: learning_rat: there is no such key; did you mean 'learning_rate'?");
  EXPECT_NE(message(std::string(kSmall) + "schedule: {warmpu: 1}\n").find("did you mean 'schedule.warmup'?"),
            std::string::npos);
  EXPECT_NE(message(std::string(kSmall) + "weight_decay: 1\n").find("did you mean 'optimizer.weight_decay'?"),
            std::string::npos);
  EXPECT_NE(message(kSmall, {"adapter.rnk=3"})
                .find("--set: adapter.rnk: there is no such key; did you mean 'adapter.rank'?"),
            std::string::npos);
}

TEST(Config, WrongTypesNameKeyLineExpectedAndFound) {
  EXPECT_EQ(message(std::string(kSmall) + "batch_size: many\n"),
            "t.yaml:5: batch_size: expected a whole number, found 'many'");
  EXPECT_EQ(message(std::string(kSmall) + "epochs: [1]\n"),
            "t.yaml:5: epochs: expected a number, found a list");
  EXPECT_EQ(message(std::string(kSmall) + "truncate: end\n"),
            "t.yaml:5: truncate: expected keep_start | keep_end | drop, found 'end'");
  EXPECT_EQ(message(std::string(kSmall) + "schedule: {warmup: x}\n"),
            "t.yaml:5: schedule.warmup: expected a number, found 'x'");
  EXPECT_EQ(message(std::string(kSmall) + "learning_rate: .inf\n").substr(0, 24), "t.yaml:5: learning_rate:");
  EXPECT_EQ(message(std::string(kSmall) + "seed: 1\nseed: 2\n"), "t.yaml:6: key 'seed' stands here twice");
  EXPECT_EQ(message("method: [\n").substr(0, 7), "t.yaml:");
}

TEST(Config, ContradictionsAreNamed) {
  EXPECT_NE(message("method: sft\ndata: d\nout: o\n").find("model: missing"), std::string::npos);
  EXPECT_NE(message(kSmall, {"method=dop"}).find("did you mean 'dpo'?"), std::string::npos);
  EXPECT_NE(message(kSmall, {"beta=0.1"}).find("method sft has none"), std::string::npos);
  EXPECT_NE(message(kSmall, {"keep_best=true"}).find("needs eval"), std::string::npos);
  EXPECT_NE(message(kSmall, {"schedule=cosin"}).find("did you mean 'cosine'?"), std::string::npos);
  EXPECT_NE(message(kSmall, {"optimizer=adam"}).find("did you mean 'adamw'?"), std::string::npos);
  EXPECT_NE(message(kSmall, {"method=kto", "batch_size=1"}).find("batch_size"), std::string::npos);
}

}  // namespace
}  // namespace fettle::train
