// Training on a device whose memory the host cannot touch, and in the types that `dtype`, `optimizer` and `master_weights`
// choose.
#include "checkpoint/safetensors.h"
#include "checkpoint/state.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

class OnDevice : public TrainTest {
 protected:
  /// The same run on the processor and on a device with its kernels gives the same bytes.
  void expect_same(const std::string& method, const Json& more) {
    SCOPED_TRACE(method + " " + more.dump());
    Json host = more, device = more;
    const std::string name = method + std::to_string(count_++);
    device["device"] = "reference:cpu";
    run(config(method, name, host));
    const TrainResult result = run(config(method, name + "-device", device));
    EXPECT_FALSE(result.plan.memory.device.empty());
    EXPECT_NE(result.plan.describe().find("in the memory of guarded"), std::string::npos);
    EXPECT_EQ(result.plan.memory.on_device() + result.plan.memory.program, result.plan.memory.total());
    EXPECT_EQ(timeless(bytes(name + "/metrics.jsonl")), timeless(bytes(name + "-device/metrics.jsonl")));
    for (const char* file : {"model.safetensors", "adapter_model.safetensors", "eval.jsonl", "state/step-00000006/state.safetensors"}) {
      const bool there = fs::exists(root() / name / file);
      EXPECT_EQ(there, fs::exists(root() / (name + "-device") / file)) << file;
      if (!there) continue;
      EXPECT_TRUE(bytes(name + "/" + file) == bytes(name + "-device/" + file)) << file;
    }
  }
  int count_ = 0;
};

TEST_F(OnDevice, EveryKindOfMethodGivesTheBitsOfTheProcessor) {
  for (const char* method : {"pretrain", "sft", "dpo", "kto", "orpo"}) expect_same(method, {{"eval", (root() / data_of(method)).string()}});
}

TEST_F(OnDevice, AdaptersAndOptimisersToo) {
  expect_same("sft", {{"adapter", {{"rank", 2}, {"dropout", 0.1}}}, {"keep_best", "loss"}, {"eval", (root() / "chats.jsonl").string()}});
  expect_same("dpo", {{"adapter", {{"rank", 2}, {"dora", true}, {"targets", {"all-linear"}}}}});
  expect_same("sft", {{"tokens", {{"add", {"<new>"}}}}, {"adapter", {{"rank", 2}}}});
  for (const char* name : {"adamw8bit", "rmsprop", "sgd"})
    expect_same("sft", {{"optimizer", {{"name", name}}}, {"recompute", "block"}});
}

TEST_F(OnDevice, ThePlainLoopsTrainAsTheProcessorDoes) {
  const TrainResult device = run(config("sft", "plain", {{"device", "reference"}, {"steps", 2}}));
  const TrainResult host = run(config("sft", "host", {{"steps", 2}}));
  EXPECT_EQ(device.plan.backend, "guarded reference");
  EXPECT_NEAR(device.steps[1].loss, host.steps[1].loss, 1e-4);
}

TEST_F(OnDevice, AStoppedRunGoesOnThere) {
  const Json json = config("sft", "whole", {{"device", "reference:cpu"}});
  run(json);
  Json stopped = json;
  stopped["out"] = (root() / "stopped").string();
  TrainCallbacks callbacks;
  callbacks.progress = false;
  callbacks.on_plan = [](const TrainPlan&) {};
  int64_t seen = 0;
  callbacks.on_step = [&](const StepMetrics& metrics) { seen = metrics.step; };
  callbacks.should_stop = [&] { return seen == 3; };
  EXPECT_THROW(train(train_config_from_json(stopped, "test"), callbacks), Error);
  run(stopped);
  EXPECT_TRUE(bytes("whole/model.safetensors") == bytes("stopped/model.safetensors"));
}

TEST_F(OnDevice, ADeviceThatIsNotThereIsNamed) {
  try {
    run(config("sft", "out", {{"device", "cuda:0"}}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("this build has no CUDA backend"), std::string::npos);
  }
}

/// Three settings of low precision against training in f32.
class Precisions : public TrainTest {
 protected:
  TrainResult trained(const std::string& out, const Json& more = Json::object()) {
    Json settings{{"steps", 30}, {"learning_rate", 2e-3}, {"save_every", 15}};
    settings.merge_patch(more);
    return run(config("sft", out, settings));
  }
  DType saved_type(const std::string& out, const std::string& parameter) const {
    const SavedState state(root() / out / "state/step-00000030");
    return state.find("parameter." + parameter)->dtype.value();
  }
};

TEST_F(Precisions, MastersInF32) {
  const TrainResult f32 = trained("f32"), bf16 = trained("bf16", {{"dtype", "bf16"}});
  EXPECT_EQ(saved_type("bf16", "layers.0.q.weight"), DType::f32);
  EXPECT_EQ(bf16.plan.memory.weights, f32.plan.memory.weights);
  EXPECT_LT(bf16.plan.memory.activations, f32.plan.memory.activations);
  EXPECT_NEAR(bf16.steps.back().loss, f32.steps.back().loss, 0.02 * f32.steps.back().loss);
  EXPECT_LT(bf16.steps.back().loss, 0.8 * bf16.steps.front().loss);
}

TEST_F(Precisions, StatesInEightBits) {
  const TrainResult f32 = trained("f32");
  const TrainResult bf16 = trained("eight", {{"dtype", "bf16"}, {"optimizer", {{"name", "adamw8bit"}}}});
  EXPECT_LT(bf16.plan.memory.optimizer, f32.plan.memory.optimizer * 3 / 10);
  EXPECT_NEAR(bf16.steps.back().loss, f32.steps.back().loss, 0.03 * f32.steps.back().loss);
}

TEST_F(Precisions, NoMastersAndStochasticRounding) {
  const TrainResult f32 = trained("f32");
  const Json settings{{"dtype", "bf16"}, {"master_weights", false}};
  const TrainResult bf16 = trained("none", settings);
  EXPECT_EQ(saved_type("none", "layers.0.q.weight"), DType::bf16);
  EXPECT_EQ(saved_type("none", "layers.0.norm1.weight"), DType::f32);
  EXPECT_LT(bf16.plan.memory.weights, f32.plan.memory.weights * 6 / 10);
  EXPECT_LT(bf16.plan.memory.shadow_weights, bf16.plan.memory.weights / 10);  // of vectors alone
  EXPECT_NEAR(bf16.steps.back().loss, f32.steps.back().loss, 0.05 * f32.steps.back().loss);

  // Steps of a thousandth of what bf16 tells apart still move the weights, on average by as much as in f32.
  Json small{{"learning_rate", 3e-6}, {"steps", 60}, {"schedule", {{"name", "constant"}}}};
  const TrainResult slow = trained("slow-f32", small);
  small.merge_patch(settings);
  const TrainResult rounded = trained("slow", small);
  const double moved = slow.steps.front().loss - slow.steps.back().loss;
  EXPECT_GT(moved, 0.0);
  EXPECT_NEAR(rounded.steps.front().loss - rounded.steps.back().loss, moved, 3.0 * moved);
}

TEST_F(Precisions, NoMastersResumeWithTheSameBits) {
  const Json settings{{"dtype", "bf16"}, {"master_weights", false}, {"optimizer", {{"name", "adamw8bit"}}}};
  Json json = config("sft", "whole", settings);
  run(json);
  json["out"] = (root() / "stopped").string();
  TrainCallbacks callbacks;
  callbacks.progress = false;
  callbacks.on_plan = [](const TrainPlan&) {};
  int64_t seen = 0;
  callbacks.on_step = [&](const StepMetrics& metrics) { seen = metrics.step; };
  callbacks.should_stop = [&] { return seen == 4; };
  EXPECT_THROW(train(train_config_from_json(json, "test"), callbacks), Error);
  run(json);
  EXPECT_TRUE(bytes("whole/model.safetensors") == bytes("stopped/model.safetensors"));
  EXPECT_EQ(timeless(bytes("whole/metrics.jsonl")), timeless(bytes("stopped/metrics.jsonl")));
}

TEST_F(Precisions, AdaptersKeepTheirMasters) {
  EXPECT_THROW(run(config("sft", "out", {{"master_weights", false}, {"adapter", {{"rank", 2}}}})), Error);
}

}  // namespace
}  // namespace fettle::train
