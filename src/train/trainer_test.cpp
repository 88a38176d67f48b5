#include "train/trainer.h"

#include <cmath>
#include <functional>

#include "base/error.h"
#include "checkpoint/load.h"
#include "train/losses/loss.h"
#include "train/run_state.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

const std::vector<std::string> kMethods{"pretrain", "sft",  "weighted-sft", "dpo",      "cdpo",    "ipo",
                                        "kto",      "orpo", "simpo",        "apo_zero", "apo_down"};

double largest_difference(const fs::path& a, const fs::path& b) {
  const LoadedModel left = load_model(a), right = load_model(b);
  double largest = 0.0;
  for (const auto& parameter : left.parameters.all()) {
    const auto x = parameter->value.flat<float>(),
               y = right.parameters.find(parameter->name)->value.flat<float>();
    for (size_t i = 0; i < x.size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(x[i]) - y[i]));
  }
  return largest;
}

using Trainer = TrainTest;

TEST_F(Trainer, EveryMethodOverfitsAFewRows) {
  for (const std::string& method : kMethods) {
    const TrainResult result =
        run(config(method, "out-" + method,
                   {{"steps", 40}, {"batch_size", 12}, {"schedule", "constant"}, {"learning_rate", 3e-3}}));
    ASSERT_EQ(result.steps.size(), 40U);
    EXPECT_LT(result.steps.back().loss, result.steps.front().loss) << method;
    EXPECT_EQ(result.steps.back().preference.has_value(), method_from_name(method).preference()) << method;
    if (result.steps.back().preference) {
      EXPECT_EQ(result.steps.back().preference->reward_accuracy, 1.0) << method;
    }
    if (method.find("sft") != std::string::npos) {
      EXPECT_LT(result.steps.back().loss, 0.6 * result.steps.front().loss) << method;
    }
  }
}

std::string problem_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(Trainer, TokensWithoutAnEmbeddingAreFoundBeforeTheFirstStep) {
  // The mark that ends a turn is the last token: an embedding of one row less lacks it.
  config_.vocab_size = 257;
  config_.eos = {};
  parameters_ = random_parameters(config_, 5);
  save_base();
  const TrainConfig wanted = train_config_from_json(config("sft", "big"), "test");
  for (const std::string& problem :
       {problem_of([&] { plan_training(wanted); }), problem_of([&] { run(config("sft", "big")); })}) {
    EXPECT_NE(problem.find("<|im_end|>"), std::string::npos) << problem;
    EXPECT_NE(problem.find("vocabulary has 257"), std::string::npos) << problem;
  }
  EXPECT_FALSE(fs::exists(root() / "big" / "metrics.jsonl"));
}

TEST_F(Trainer, LearnedPositionsBoundMaxLength) {
  config_.family = "gpt2";
  config_.position = PositionKind::learned;
  config_.norm = NormKind::layer;
  config_.norm_bias = config_.qkv_bias = config_.output_bias = config_.mlp_bias = true;
  config_.gated_mlp = false;
  config_.activation = Activation::gelu_tanh;
  config_.kv_heads = config_.heads;
  config_.context_length = 48;
  parameters_ = random_parameters(config_, 5);
  save_base();
  ASSERT_EQ(load_model(root() / "base").config.position, PositionKind::learned);
  const TrainResult result = run(config("sft", "short", {{"steps", 1}, {"max_length", 4096}}));
  EXPECT_LE(result.plan.tokens_per_epoch, 12 * 48);
}

/// A small Mixtral learns, its routers' loss is counted as asked for, and what is written opens again.
TEST_F(Trainer, ExpertsAreTrainedAndTheirRoutersBalanced) {
  config_.family = "mixtral";
  config_.mlp = MlpKind::experts;
  config_.experts = 4;
  config_.experts_per_token = 2;
  config_.router_loss_weight = 0.5F;
  config_.rope.theta = 1e6;
  parameters_ = random_parameters(config_, 5);
  save_base();
  const auto losses = [&](const char* out, const Json& more = Json::object()) {
    Json keys = {{"steps", 3}, {"learning_rate", 1e-3}};
    keys.update(more);
    return run(config("sft", out, keys));
  };
  const TrainResult plain = losses("plain"), balanced = losses("balanced", {{"router_loss_weight", 0.5}});
  ASSERT_TRUE(plain.steps[0].router_loss.has_value());
  EXPECT_EQ(*plain.steps[0].router_loss, *balanced.steps[0].router_loss);
  EXPECT_GE(*plain.steps[0].router_loss, 1.9);  // 2 when all is even
  EXPECT_NEAR(balanced.steps[0].loss, plain.steps[0].loss + 0.5 * *plain.steps[0].router_loss, 1e-5);
  EXPECT_NE(balanced.steps[0].grad_norm, plain.steps[0].grad_norm);
  EXPECT_LT(plain.steps[2].loss, plain.steps[0].loss);
  EXPECT_EQ(load_model(root() / "plain").config.experts, 4);
  // The model's own config may ask for it.
  config_.router_loss = true;
  save_base();
  EXPECT_EQ(losses("asked").steps[2].loss, balanced.steps[2].loss);
  EXPECT_NE(problem_of([&] { losses("broken", {{"router_loss_weight", -1.0}}); }).find("router_loss_weight"),
            std::string::npos);
}

TEST_F(Trainer, RowsBeyondTheContextAreCounted) {
  config_.context_length = 40;
  save_base();
  const TrainPlan plan = plan_training(train_config_from_json(config("sft", "long", {{"max_length", 4096}}), "test"));
  EXPECT_GT(plan.rows_beyond_context, 0);
  EXPECT_EQ(plan_training(train_config_from_json(config("sft", "cut", {{"max_length", 40}, {"truncate", "keep_end"}}), "test")).rows_beyond_context, 0);
  // Cut before they end, not one row teaches the end of a turn.
  EXPECT_NE(problem_of([&] { plan_training(train_config_from_json(config("sft", "endless", {{"max_length", 40}}), "test")); })
                .find("would never stop"),
            std::string::npos);
}

TEST_F(Trainer, APlanBeyondMemoryIsRefusedUnlessForced) {
  const TrainConfig small = train_config_from_json(config("sft", "limit", {{"memory_limit", 1000000}}), "test");
  EXPECT_NE(plan_training(small).shortage.find("memory_limit"), std::string::npos);
  EXPECT_NE(problem_of([&] { train(small); }).find("force_memory"), std::string::npos);
  EXPECT_EQ(run(config("sft", "limit", {{"memory_limit", 1000000}, {"force_memory", true}, {"steps", 1}})).steps.size(), 1U);

  const TrainConfig huge = train_config_from_json(config("sft", "huge", {{"micro_tokens", 2000000000}}), "test");
  EXPECT_NE(plan_training(huge).shortage.find("available"), std::string::npos);
  EXPECT_NE(problem_of([&] { train(huge); }).find("available"), std::string::npos);

#ifndef __SANITIZE_ADDRESS__  // the sanitizer keeps what was freed: the process grows by more than the limit leaves
  // Room for less than the fastest micro-batch: a smaller one is taken.
  // The limit leaves more than the process itself grows by between the two plans.
  const TrainPlan free = plan_training(train_config_from_json(config("dpo", "free", {{"batch_size", 64}}), "test"));
  const auto limit = free.memory.total() - free.memory.activations / 3;
  const TrainPlan tight =
      plan_training(train_config_from_json(config("dpo", "tight", {{"batch_size", 64}, {"memory_limit", limit}}), "test"));
  EXPECT_TRUE(tight.shortage.empty()) << tight.shortage;
  EXPECT_LE(tight.memory.total(), limit);
  EXPECT_TRUE(tight.micro_tokens < free.micro_tokens || tight.recompute != free.recompute);
#endif
}

TEST_F(Trainer, DpoStartsAtLogTwoAndSftAtTheUniformLoss) {
  const TrainResult dpo = run(config("dpo", "dpo", {{"steps", 1}}));
  EXPECT_NEAR(dpo.steps[0].loss, std::log(2.0), 1e-5);
  EXPECT_NEAR(dpo.steps[0].preference->reward_margin, 0.0, 1e-5);
  const TrainResult sft = run(config("sft", "sft", {{"steps", 1}}));
  EXPECT_NEAR(sft.steps[0].loss, std::log(258.0), 0.1);
}

TEST_F(Trainer, MicroBatchesAndPackingDoNotChangeTheStep) {
  for (const std::string& method : kMethods) {
    const TrainResult whole = run(config(method, "whole-" + method, {{"micro_tokens", 4096}, {"steps", 2}}));
    const TrainResult split = run(config(method, "split-" + method, {{"micro_tokens", 64}, {"steps", 2}}));
    for (size_t step = 0; step < 2; ++step) {
      EXPECT_NEAR(whole.steps[step].loss, split.steps[step].loss,
                  2e-5 * std::abs(whole.steps[step].loss) + 1e-6)
          << method;
      EXPECT_NEAR(whole.steps[step].grad_norm, split.steps[step].grad_norm,
                  1e-4 * whole.steps[step].grad_norm)
          << method;
      EXPECT_EQ(whole.steps[step].supervised_tokens, split.steps[step].supervised_tokens) << method;
    }
  }
}

TEST_F(Trainer, RowsSplitFromOneConversationShareWhatTheyBeginWith) {
  write_file(root() / "drops.jinja",
             "{% for m in messages %}<|im_start|>{{ m.role }}\n"
             "{% if loop.last and m.reasoning_content %}({{ m.reasoning_content }}){% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
             "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
  std::string whole, apart;
  for (int row = 0; row < 3; ++row) {
    Json messages = Json::array();
    for (int turn = 0; turn < 4; ++turn) {
      messages.push_back({{"role", "user"}, {"content", fmt::format("{} of {}?", turn, row)}});
      messages.push_back({{"role", "assistant"}, {"reasoning_content", turn % 2 == 0 ? "hm" : ""}, {"content", fmt::format("{}", turn + row)}});
      apart += dump_json(Json{{"messages", messages}}) + "\n";
    }
    whole += dump_json(Json{{"messages", messages}}) + "\n";
  }
  write_file(root() / "whole.jsonl", whole);
  write_file(root() / "apart.jsonl", apart);
  const auto first_step = [&](const std::string& data, const Json& more) {
    Json json = config("sft", data, {{"data", (root() / (data + ".jsonl")).string()}, {"chat_template", (root() / "drops.jinja").string()},
                                     {"max_length", 400}, {"batch_size", 12}, {"steps", 1}});
    json.merge_patch(more);
    fs::remove_all(root() / data);
    return run(json).steps[0];
  };
  const StepMetrics alone = first_step("apart", {{"micro_tokens", 4096}});
  for (const int micro_tokens : {4096, 300}) {
    const StepMetrics shared = first_step("whole", {{"split_turns", true}, {"micro_tokens", micro_tokens}});
    EXPECT_NEAR(shared.loss, alone.loss, 1e-5 * alone.loss);
    EXPECT_NEAR(shared.grad_norm, alone.grad_norm, 1e-5 * alone.grad_norm);
    EXPECT_EQ(shared.supervised_tokens, alone.supervised_tokens);
    EXPECT_LT(shared.tokens, alone.tokens * 6 / 10);
  }
  // A bin that the rows of a conversation do not fit together.
  const StepMetrics tight = first_step("whole", {{"split_turns", true}, {"micro_tokens", 170}});
  EXPECT_NEAR(tight.grad_norm, alone.grad_norm, 1e-5 * alone.grad_norm);
}

TEST_F(Trainer, RecomputationDoesNotChangeTheRun) {
  for (const char* method : {"sft", "dpo"}) {
    const std::string name = method;
    run(config(method, "keep-" + name, {{"recompute", "none"}}));
    run(config(method, "again-" + name, {{"recompute", "block"}}));
    EXPECT_LT(largest_difference(root() / ("keep-" + name), root() / ("again-" + name)), 1e-5) << method;
  }
}

TEST_F(Trainer, TwoRunsAreBitForBitTheSame) {
  for (const char* method : {"sft", "kto"}) {
    const std::string name = method;
    run(config(method, "one-" + name));
    run(config(method, "two-" + name));
    EXPECT_EQ(bytes("one-" + name + "/model.safetensors"), bytes("two-" + name + "/model.safetensors"))
        << method;
    EXPECT_EQ(timeless(bytes("one-" + name + "/metrics.jsonl")),
              timeless(bytes("two-" + name + "/metrics.jsonl")))
        << method;
  }
}

TEST_F(Trainer, OptimizersAndAdapterLearn) {
  for (const char* optimizer : {"adamw", "adamw8bit", "rmsprop", "sgd"}) {
    const double rate = std::string(optimizer) == "sgd" ? 0.3 : 2e-3;
    const TrainResult result = run(
        config("sft", std::string("opt-") + optimizer,
               {{"optimizer", optimizer}, {"steps", 30}, {"learning_rate", rate}, {"schedule", "constant"}}));
    EXPECT_LT(result.steps.back().loss, 0.9 * result.steps.front().loss) << optimizer;
  }
  const TrainResult lora = run(config(
      "dpo", "lora", {{"adapter", {{"rank", 4}, {"alpha", 8}}}, {"steps", 60}, {"schedule", "constant"}}));
  EXPECT_LT(lora.steps.back().loss, 0.5 * lora.steps.front().loss);
}

TEST_F(Trainer, OutputsOpenAsModelAndAdapter) {
  run(config("sft", "full", {{"eval", (root() / "chats.jsonl").string()}, {"keep_best", true}}));
  EXPECT_FALSE(load_model(root() / "full").adapter);
  EXPECT_GT(largest_difference(root() / "base", root() / "full"), 1e-3);
  for (const char* name :
       {"README.md", "fettle.json", "metrics.jsonl", "eval.jsonl", "report.html", "rejected.jsonl",
        "tokenizer.json", "config.json", "best/config.json", "best/model.safetensors"})
    EXPECT_TRUE(fs::exists(root() / "full" / name)) << name;
  run(config("dpo", "lora", {{"adapter", {{"rank", 4}, {"alpha", 8}}}}));
  const LoadedModel lora = load_model(root() / "lora");
  ASSERT_TRUE(lora.adapter);
  EXPECT_EQ(lora.adapter->config.rank, 4);
  // An adapter's folder as the model: the adapter is trained on, and its reference is where it stood.
  const TrainResult on = run(
      config("dpo", "on", {{"model", (root() / "lora").string()}, {"adapter", {{"rank", 4}}}, {"steps", 1}}));
  EXPECT_NEAR(on.steps[0].loss, std::log(2.0), 1e-5);
  EXPECT_TRUE(load_model(root() / "on").adapter);
  // Without `adapter` it is merged and everything is trained.
  run(config("sft", "merged", {{"model", (root() / "lora").string()}, {"steps", 1}}));
  EXPECT_FALSE(load_model(root() / "merged").adapter);
}

TEST_F(Trainer, AdapterOnAQuantizedBase) {
  const LoadedModel base = load_model(root() / "base");
  ModelToSave save = to_save(base);
  save.name = "tiny";
  save_gguf(root() / "tiny.gguf", save, DType::q8_0);
  const Json on_gguf{{"model", (root() / "tiny.gguf").string()},
                     {"adapter", {{"rank", 4}, {"alpha", 8}}},
                     {"steps", 40},
                     {"schedule", "constant"}};
  const TrainResult result = run(config("sft", "lora", on_gguf));
  EXPECT_LT(result.steps.back().loss, 0.95 * result.steps.front().loss);
  EXPECT_TRUE(load_model(root() / "lora").adapter);
  run(config("sft", "full", {{"model", (root() / "tiny.gguf").string()}, {"steps", 1}}));
  EXPECT_EQ(load_model(root() / "full").dtype, DType::f32);
  // q8_0 takes 34 bytes for 32 numbers: the base stayed as it is stored.
  EXPECT_LT(static_cast<double>(result.plan.memory.weights),
            0.35 * static_cast<double>(plan_training(train_config_from_json(config("sft", "plan"), "test")).memory.weights));
}

TEST_F(Trainer, RandomWeightsFromAConfigAlone) {
  fs::create_directories(root() / "plan");
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(root() / "base" / name, root() / "plan" / name);
  const TrainResult result =
      run(config("pretrain", "scratch",
                 {{"model", (root() / "plan").string()}, {"init", "random"}, {"max_length", 16}}));
  EXPECT_NEAR(result.steps.front().loss, std::log(258.0), 0.2);
  EXPECT_GT(result.plan.rows, 12) << "texts beyond max_length are split";
}

TEST_F(Trainer, EvalAndPlanSpeakOfTheSameRows) {
  const Json json =
      config("dpo", "eval", {{"eval", (root() / "pairs.jsonl").string()}, {"epochs", 2}, {"steps", nullptr}});
  const TrainPlan plan = plan_training(train_config_from_json(
      [&] {
        Json j = json;
        j.erase("steps");
        return j;
      }(),
      "test"));
  EXPECT_EQ(plan.steps, 6);
  EXPECT_EQ(plan.eval_rows, 12);
  EXPECT_GT(plan.memory.total(), 0);
  EXPECT_FALSE(fs::exists(root() / "eval/metrics.jsonl")) << "planning writes nothing";
  Json without = json;
  without.erase("steps");
  const TrainResult result = run(without);
  ASSERT_EQ(result.evals.size(), 3U);
  EXPECT_EQ(result.evals[0].step, 0);
  EXPECT_NEAR(result.evals[0].loss, std::log(2.0), 1e-5);
  EXPECT_EQ(result.evals[2].step, 6);
  EXPECT_GT(result.evals[2].preference->reward_accuracy, 0.9);
}

TEST_F(Trainer, LossThatIsNotFiniteNamesStepAndRows) {
  parameters_.find("layers.1.down.weight")->value.as<float>()[3] = std::nanf("");
  save_base();
  try {
    run(config("sft", "nan"));
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("step 1: the loss is nan"), std::string::npos) << text;
    EXPECT_NE(text.find("row-"), std::string::npos) << text;
  }
}

TEST_F(Trainer, OneProcessPerFolder) {
  const FolderLock lock(root() / "out");
  EXPECT_THROW(run(config("sft", "out")), Error);
}

}  // namespace
}  // namespace fettle::train
