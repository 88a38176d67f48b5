// Runs that are killed, stopped or out of disk end with the same bytes as undisturbed ones.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

constexpr const char* kChild = "FETTLE_TEST_TRAIN_CONFIG";
constexpr const char* kLimit = "FETTLE_TEST_FILE_LIMIT";

/// Runs in a process of its own: the test program again, with this test alone.
TEST(TrainChild, Run) {
  const char* path = getenv(kChild);
  if (path == nullptr) GTEST_SKIP() << "skipped: a part of other tests, which start it";
  if (const char* bytes = getenv(kLimit)) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{std::stoul(bytes), std::stoul(bytes)};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  TrainCallbacks callbacks;
  callbacks.progress = false;
  callbacks.on_plan = [](const TrainPlan&) {};
  train(train_config_from_json(read_json(path), path), callbacks);
}

class Resume : public TrainTest {
 protected:
  pid_t start(const Json& json, const char* file_limit = nullptr) {
    const fs::path path = root() / "child.json";
    write_file(path, dump_json(json));
    fflush(nullptr);
    const pid_t child = fork();
    if (child != 0) return child;
    setenv(kChild, path.c_str(), 1);
    if (file_limit != nullptr) setenv(kLimit, file_limit, 1);
    if (freopen("/dev/null", "w", stdout) == nullptr || freopen("/dev/null", "w", stderr) == nullptr)
      _exit(126);
    execl("/proc/self/exe", "train_test", "--gtest_filter=TrainChild.Run", static_cast<char*>(nullptr));
    _exit(127);
  }

  int wait_for(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  int64_t saved_step(const std::string& out) const {
    const std::string text = bytes(out + "/metrics.jsonl");
    return static_cast<int64_t>(std::count(text.begin(), text.end(), '\n'));
  }

  /// Trains until `step` is done, and stops there as for a signal.
  void stop_after(const Json& json, int64_t step) {
    TrainCallbacks callbacks;
    callbacks.progress = false;
    callbacks.on_plan = [](const TrainPlan&) {};
    int64_t seen = 0;
    callbacks.on_step = [&](const StepMetrics& metrics) { seen = metrics.step; };
    callbacks.should_stop = [&] { return seen == step; };
    EXPECT_THROW(train(train_config_from_json(json, "test"), callbacks), Error);
  }

  void expect_same(const std::string& undisturbed, const std::string& resumed) const {
    EXPECT_EQ(timeless(bytes(undisturbed + "/metrics.jsonl")), timeless(bytes(resumed + "/metrics.jsonl")));
    if (fs::exists(root() / undisturbed / "eval.jsonl")) {
      EXPECT_EQ(bytes(undisturbed + "/eval.jsonl"), bytes(resumed + "/eval.jsonl"));
    }
    for (const char* name : {"model.safetensors", "adapter_model.safetensors"}) {
      const bool there = fs::exists(root() / undisturbed / name);
      EXPECT_EQ(there, fs::exists(root() / resumed / name));
      if (there) {
        EXPECT_TRUE(bytes(undisturbed + "/" + name) == bytes(resumed + "/" + name)) << name;
      }
    }
    const auto state = [&](const std::string& out) {
      return bytes(out + "/state/step-00000030/state.safetensors");
    };
    EXPECT_TRUE(state(undisturbed) == state(resumed)) << "optimiser and parameters of the last state";
  }
};

TEST_F(Resume, KilledAtAnyMoment) {
  Random random(11);
  const std::vector<std::pair<std::string, Json>> runs{
      {"sft", {{"optimizer", "adamw8bit"}}},
      {"dpo", {{"adapter", {{"rank", 4}, {"dropout", 0.1}}}, {"eval", (root() / "pairs.jsonl").string()}}}};
  for (const auto& [method, more] : runs) {
    Json long_run{{"steps", 30}, {"save_every", 4}};
    long_run.merge_patch(more);
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(wait_for(start(config(method, "whole-" + method, long_run))), 0);
    const auto whole = std::chrono::steady_clock::now() - begin;

    const Json killed = config(method, "killed-" + method, long_run);
    int kills = 0;
    double share = 1.0;  // of a whole run; smaller where the machine has become faster than it was for the first
    for (int attempt = 0; attempt < 12 && kills < 5; ++attempt) {
      const pid_t child = start(killed);
      std::this_thread::sleep_for(whole * share * random.uniform());
      kill(child, SIGKILL);
      if (wait_for(child) == -SIGKILL) {
        ++kills;
        continue;
      }
      fs::remove_all(root() / ("killed-" + method));
      kills = 0;
      share /= 2.0;
    }
    EXPECT_GT(kills, 0);
    ASSERT_EQ(wait_for(start(killed)), 0);
    expect_same("whole-" + method, "killed-" + method);
  }
}

TEST_F(Resume, StoppedBetweenSteps) {
  const Json json{{"steps", 30}, {"save_every", 0}};
  run(config("dpo", "whole", json));
  for (const int stop_at : {7, 19}) {
    TrainCallbacks callbacks;
    callbacks.progress = false;
    callbacks.on_plan = [](const TrainPlan&) {};
    int64_t seen = 0;
    callbacks.on_step = [&](const StepMetrics& metrics) { seen = metrics.step; };
    callbacks.should_stop = [&] { return seen == stop_at; };
    try {
      train(train_config_from_json(config("dpo", "stopped", json), "test"), callbacks);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::interrupted);
      EXPECT_NE(std::string(error.what()).find(fmt::format("after step {} of 30", stop_at)),
                std::string::npos)
          << error.what();
    }
  }
  run(config("dpo", "stopped", json));
  expect_same("whole", "stopped");
  EXPECT_TRUE(run(config("dpo", "stopped", json)).finished_before);
}

TEST_F(Resume, FullDiskKeepsTheLastState) {
  const Json json{{"steps", 30}, {"save_every", 10}};
  run(config("sft", "whole", json));
  TrainCallbacks callbacks;
  callbacks.progress = false;
  callbacks.on_plan = [](const TrainPlan&) {};
  int64_t seen = 0;
  callbacks.on_step = [&](const StepMetrics& metrics) { seen = metrics.step; };
  callbacks.should_stop = [&] { return seen == 12; };
  EXPECT_THROW(train(train_config_from_json(config("sft", "full", json), "test"), callbacks), Error);
  // No file beyond 20 kB: the next state cannot be written.
  EXPECT_EQ(wait_for(start(config("sft", "full", json), "20000")), 1);
  EXPECT_TRUE(fs::exists(root() / "full/state/step-00000012"));
  EXPECT_FALSE(fs::exists(root() / "full/state/step-00000020"));
  run(config("sft", "full", json));
  expect_same("whole", "full");
}

TEST_F(Resume, DamagedStateIsPassedOver) {
  const Json json{{"steps", 30}, {"save_every", 10}, {"keep", 3}};
  run(config("sft", "whole", json));
  run(config("sft", "damaged", json));
  fs::remove(root() / "damaged/fettle.json");
  for (const char* step : {"step-00000030", "step-00000020"}) {
    const fs::path file = root() / "damaged/state" / step / "state.safetensors";
    std::string content = read_file(file);
    content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
    write_file(file, content);
  }
  const TrainResult result = run(config("sft", "damaged", json));
  EXPECT_EQ(result.plan.first_step, 10);
  expect_same("whole", "damaged");
}

TEST_F(Resume, AnotherConfigIsRefusedByName) {
  run(config("dpo", "out", {{"steps", 3}}));
  try {
    run(config("dpo", "out", {{"steps", 3}, {"beta", 0.7}}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("beta (was null, is 0.7)"), std::string::npos) << error.what();
  }
}

TEST_F(Resume, TheCardAndTheLineageSayWhatTheUserWrote) {
  const Json json{{"steps", 6}, {"save_every", 2}};
  run(config("sft", "one", json));
  stop_after(config("sft", "two/one", json), 3);
  write_file(root() / "base" / "report.html", "a report beside the model changes no number");
  run(config("sft", "two/one", json));
  const auto without_out = [&](const std::string& out) {
    Json lineage = read_json(root() / out / "fettle.json");
    lineage["config"].erase("out");
    return lineage["config"];
  };
  EXPECT_EQ(without_out("one"), without_out("two/one"));
  EXPECT_EQ(read_json(root() / "two/one/fettle.json").at("config").at("micro_tokens"), "auto");
  fs::remove(root() / "base" / "report.html");
}

TEST_F(Resume, AFolderThatIsRemovedMeanwhileIsAnError) {
  for (const int removed_at : {2, 6}) {
    TrainCallbacks callbacks;
    callbacks.progress = false;
    callbacks.on_plan = [](const TrainPlan&) {};
    callbacks.on_step = [&](const StepMetrics& metrics) {
      if (metrics.step == removed_at) fs::remove_all(root() / "gone");
    };
    const Json json = config("sft", "gone", {{"steps", 6}, {"save_every", 2}});
    try {
      train(train_config_from_json(json, "test"), callbacks);
      ADD_FAILURE() << "the run ended as if all were there";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("gone"), std::string::npos) << error.what();
    }
    fs::remove_all(root() / "gone");
  }
}

TEST_F(Resume, WhatAKilledRunLeftIsRemoved) {
  const Json json = config("sft", "left", {{"steps", 4}, {"save_every", 2}});
  stop_after(json, 2);
  const fs::path state = root() / "left/state";
  write_file(state / "step-00000001/state.safetensors", "half removed");
  write_file(state / "step-00000003.saving-1/state.safetensors", "half written");
  write_file(state / "notes.txt", "the user's own");
  run(json);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(state)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"notes.txt", "rejected.json", "step-00000002", "step-00000004"}));
}

TEST_F(Resume, AFolderOfOtherFilesIsNotWrittenInto) {
  write_file(root() / "project/README.md", "mine");
  EXPECT_THROW(run(config("sft", "project")), Error);
  EXPECT_THROW(run(config("sft", "base")), Error) << "the model that is trained";
  EXPECT_EQ(bytes("project/README.md"), "mine");
  EXPECT_FALSE(fs::exists(root() / "project/.lock"));
}

}  // namespace
}  // namespace fettle::train
