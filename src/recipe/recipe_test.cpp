#include "recipe/recipe.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <set>

#include "recipe/runner.h"
#include "recipe/steps_page.h"
#include "verbs/verb.h"

namespace fettle {
namespace {

constexpr const char* rows =
    "{\"id\":\"1\",\"prompt\":\"hi\",\"chosen\":\"hello. how are you?\",\"rejected\":\"no\"}\n"
    "{\"id\":\"2\",\"prompt\":\"why?\",\"chosen\":\"As a machine I do not have emotions.\",\"rejected\":\"because\"}\n"
    "{\"id\":\"3\",\"prompt\":\"where\",\"chosen\":\"there\"}\n"
    "not json\n";

struct Fixture : ::testing::Test {
  TemporaryFolder folder;
  fs::path input = folder.path() / "rows.jsonl";
  RunOptions options;
  Fixture() {
    write_file(input, rows);
    options.out = folder.path() / "out";
  }
  Recipe recipe(const std::vector<std::string>& overrides = {}) const {
    return parse_recipe("steps:\n  last: {do: data, input: \"${first}\", as: messages, truecase: true}\n"
                        "  first: {do: data, input: " + input.string() + ", as: pair, drop_phrases: [do not have EMOTIONS]}\n"
                        "  other: {do: data, input: " + input.string() + ", as: messages}\n",
                        "test.yaml", overrides);
  }
};

TEST_F(Fixture, OrdersStepsByNeed) {
  const Recipe made = recipe();
  ASSERT_EQ(made.steps.size(), 3u);
  EXPECT_EQ(made.steps[0].name, "first");
  EXPECT_EQ(made.steps[1].name, "last");
  EXPECT_EQ(made.steps[1].needs, std::vector<std::string>{"first"});
}

TEST_F(Fixture, RunsOnceAndAgainOnlyWhatChanged) {
  std::vector<std::string> ran;
  const auto note = [&](const PlannedStep& step) { ran.push_back(step.step->name); };
  run_recipe(recipe(), options, note);
  EXPECT_EQ(ran, (std::vector<std::string>{"first", "last", "other"}));
  ran.clear();
  run_recipe(recipe(), options, note);
  EXPECT_TRUE(ran.empty());
  run_recipe(recipe({"last.truecase=false"}), options, note);
  EXPECT_EQ(ran, std::vector<std::string>{"last"});
  ran.clear();
  run_recipe(recipe({"first.drop_phrases=[]"}), options, note);
  EXPECT_EQ(ran, (std::vector<std::string>{"first", "last"}));
  ran.clear();
  write_file(input, std::string(rows) + "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n");
  run_recipe(recipe(), options, note);
  EXPECT_EQ(ran, (std::vector<std::string>{"first", "last", "other"}));
  ran.clear();
  options.only = "first";
  run_recipe(recipe({"first.limit=1"}), options, note);
  EXPECT_EQ(ran, std::vector<std::string>{"first"});
}

TEST_F(Fixture, TheKeyIsTheContentNotThePlace) {
  const auto key = [&](const Recipe& made) { return plan_recipe(made, options).front().key; };
  const std::string before = key(recipe());
  fs::rename(input, folder.path() / "elsewhere.jsonl");
  input = folder.path() / "elsewhere.jsonl";
  EXPECT_EQ(key(recipe()), before);
}

TEST_F(Fixture, AMovedRunFolderStaysFinished) {
  run_recipe(recipe(), options);
  fs::rename(options.out, folder.path() / "moved");
  options.out = folder.path() / "moved";
  for (const auto& planned : plan_recipe(recipe(), options)) {
    EXPECT_TRUE(planned.cached) << planned.step->name;
    EXPECT_TRUE(planned.outputs.at("").starts_with(options.out.string()));
  }
}

TEST_F(Fixture, CountsAddUpAndRejectedRowsStay) {
  const auto plan = run_recipe(recipe(), options);
  const Json report = read_json(plan[0].outputs.at("report"));
  EXPECT_EQ(report.at("in"), 3);
  EXPECT_EQ(report.at("out"), 1);
  const auto reasons = report.at("reasons");
  EXPECT_EQ(reasons.at("phrase: do not have EMOTIONS"), 1);
  EXPECT_EQ(report.at("rejected"), 3);
  EXPECT_NE(read_file(plan[0].outputs.at("rejected")).find("not json"), std::string::npos);
  EXPECT_NE(read_file(plan[1].outputs.at("")).find("Hello. How are you?"), std::string::npos);
  EXPECT_TRUE(fs::exists(options.out / "first" / "train.jsonl"));
  EXPECT_EQ(read_json(options.out / "run.json").at("steps").size(), 3u);
}

TEST_F(Fixture, AKilledStepIsNotFinishedAndRunsAgain) {
  const auto plan = plan_recipe(recipe(), options);
  fs::create_directories(plan[0].folder);
  write_file(plan[0].folder / "half.txt", "x");
  write_file(plan[0].folder / "rows.jsonl.tmp-1-2", "ha");
  const auto again = plan_recipe(recipe(), options);
  EXPECT_TRUE(again[0].started);
  EXPECT_FALSE(again[0].cached);
  run_recipe(recipe(), options);
  EXPECT_TRUE(plan_recipe(recipe(), options)[0].cached);
  EXPECT_FALSE(fs::exists(plan[0].folder / "rows.jsonl.tmp-1-2"));
}

TEST_F(Fixture, ASecondRunInOneFolderIsRefused) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    run_recipe(recipe(), options, [&](const PlannedStep&) {
      [[maybe_unused]] const auto wrote = write(ready[1], "x", 1);
      pause();
    });
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THROW(run_recipe(recipe(), options), Error);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(run_recipe(recipe(), options));
}

/// What stands in the user's folder stays, whatever the recipe calls its steps.
TEST_F(Fixture, NothingThatIsNotTheRunsOwnIsReplaced) {
  const auto problem = [&]() -> std::string {
    try {
      run_recipe(recipe(), options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  for (const char* name : {"first", ".gitignore", "run.json", "hashes.json", "report.html", "steps"}) {
    fs::remove_all(options.out);
    write_file(options.out / name, "mine");
    EXPECT_NE(problem().find((options.out / name).string()), std::string::npos) << problem();
    EXPECT_EQ(read_file(options.out / name), "mine");
    EXPECT_FALSE(fs::exists(options.out / "run.lock"));
  }
  fs::remove_all(options.out);
  fs::create_directories(folder.path() / "elsewhere");
  fs::create_directories(options.out);
  fs::create_directory_symlink(folder.path() / "elsewhere", options.out / "first");
  EXPECT_NE(problem(), "no error");
  fs::remove_all(options.out);
  run_recipe(recipe(), options);
  const fs::path step = fs::canonical(options.out / "first");
  fs::remove(step / "step.json");
  fs::remove(step / "train.jsonl");
  fs::create_symlink(folder.path() / "elsewhere" / "written", step / "train.jsonl");
  EXPECT_NE(problem().find("a step writes no links"), std::string::npos) << problem();
  EXPECT_FALSE(fs::exists(folder.path() / "elsewhere" / "written"));
}

TEST_F(Fixture, AStepsErrorIsNotHiddenByThatOfTheLineage) {
  options.only = "first";
  const Recipe made = recipe();
  try {
    run_recipe(made, options, [&](const PlannedStep&) {
      fs::remove(input);
      fs::create_directory(options.out / "run.json");
    });
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_TRUE(text.starts_with("step 'first': ") && text.find(input.string()) != std::string::npos) << text;
  }
}

TEST_F(Fixture, AFolderThatIsRemovedMeanwhileIsAnError) {
  options.only = "first";
  EXPECT_THROW(run_recipe(recipe(), options, [&](const PlannedStep&) { fs::remove_all(options.out); }), Error);
}

void expect_usage(const std::string& yaml, const std::string& part, const std::vector<std::string>& overrides = {}) {
  try {
    parse_recipe(yaml, "x.yaml", overrides);
    FAIL() << yaml;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::usage) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Recipe, WrongOnesSayWhatAndWhere) {
  expect_usage("steps:\n  a: {do: dato, input: x}\n", "did you mean 'data'");
  expect_usage("steps:\n  a: {do: data, inptu: x}\n", "did you mean 'input'");
  expect_usage("steps:\n  a: {do: data}\n", "input is missing");
  expect_usage("steps:\n  a: {do: data, input: \"${b}\"}\n  b: {do: data, input: \"${a}\"}\n", "needs itself");
  expect_usage("steps:\n  first: {do: data, input: x}\n  b: {do: data, input: \"${frist}\"}\n", "did you mean 'first'");
  expect_usage("stepz: 1\n", "steps");
  for (const char* name : {"../../proj", "..", ".", "a/b", "/tmp/x", ".hidden", "-x", "\"a\\nb\"", "\"a\\0b\"", "''"})
    expect_usage("name: " + std::string(name) + "\nsteps:\n  a: {do: data, input: x}\n", "no name of a folder");
  for (const char* name : {"../a", "\"a\\0\"", "-a", "\"\\t\"", "steps", "''"})
    expect_usage("steps:\n  " + std::string(name) + ": {do: data, input: x}\n", "step");
  expect_usage("steps:\n  a: {do: pull, source: \"wheel:.\"}\n", "no package name");
  expect_usage("steps:\n  dpo: {do: data, input: x}\n", "did you mean 'dpo'", {"dop.limit=3"});
  expect_usage("setting: b\nsettings: {a: {}}\nsteps:\n  s: {do: data, input: x}\n", "no setting 'b'");
  expect_usage("steps:\n  t: {do: train, method: dpo, model: m, data: d, betta: 1}\n", "beta");
}

TEST_F(Fixture, WhatCanBeKnownBeforeIsAnErrorBeforeAnyStep) {
  const auto problem = [&](const std::string& steps) -> std::string {
    try {
      const Recipe made = parse_recipe("steps:\n  fine: {do: data, input: " + input.string() + "}\n" + steps, "test.yaml");
      run_recipe(made, options, [](const PlannedStep& step) { ADD_FAILURE() << step.step->name << " ran"; });
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const std::string in = "input: " + input.string();
  const std::pair<std::string, std::string> wrong[] = {
      {"  a: {do: dedupe, input: nowhere.jsonl}\n", "step 'a': input: there is no file or folder nowhere.jsonl"},
      {"  a: {do: dedupe, input: [\"" + input.string() + "\", \"no*where\"]}\n", "matches no file"},
      {"  a: {do: pull, source: startr}\n", "did you mean 'starter'"},
      {"  a: {do: pull, source: \"hf:owner\"}\n", "hf:owner/name"},
      {"  a: {do: filter, " + in + ", phrases: openchatt}\n", "no phrase list"},
      {"  a: {do: filter, " + in + ", phrases: openchat, on_phrase: drop}\n", "drop-row"},
      {"  a: {do: filter, " + in + ", min_turns: many}\n", "step 'a': min_turns: expected a whole number, found 'many'"},
      {"  a: {do: data, " + in + ", as: messages, limit: [1]}\n", "step 'a': limit: expected a whole number, found a list"},
      {"  a: {do: data, " + in + ", as: [messages]}\n", "as: expected messages | pair, found a list"},
      {"  a: {do: data, " + in + ", as: pair, columns: {prompt: 1}}\n", "columns.prompt: expected a text, found 1"},
      {"  a: {do: dedupe, " + in + ", keep: last}\n", "keep"},
      {"  a: {do: convert, " + in + ", to: alpacca}\n", "alpaca"},
      {"  a: {do: filter, " + in + ", fields: [\"model=x\"]}\n", "a rule on a field is `field`"},
      {"  a: {do: filter, " + in + ", languages: [en], language: [de]}\n", "'language' is given twice"},
      {"  a: {do: dedupe, " + in + ", output: x.jsonl}\n", "a recipe chooses `output` itself"},
      {"  a: {do: mix, input: [\"" + input.string() + "=0.5\"]}\n", "there is no file or folder"},
      {"  a: {do: generate, model: \"" + input.string() + "\"}\n", "input is missing"},
      {"  a: {do: export, model: \"" + input.string() + "\", to: ggml}\n", "to"},
      {"  a: {do: train, method: sft, model: smollm3, data: \"${fine}\"}\n", "a model that has to be fetched"},
  };
  for (const auto& [steps, expected] : wrong) EXPECT_NE(problem(steps).find(expected), std::string::npos) << steps << problem(steps);
}

TEST(Recipe, SettingsAndOverridesApplyInOrder) {
  const char* yaml = "setting: a\nsettings: {a: {s.limit: 1}, b: {s.limit: 2}}\nsteps:\n  s: {do: data, input: x, limit: 9}\n";
  EXPECT_EQ(parse_recipe(yaml, "x").steps[0].params["limit"], 1);
  EXPECT_EQ(parse_recipe(yaml, "x", {"setting=b"}).steps[0].params["limit"], 2);
  EXPECT_EQ(parse_recipe(yaml, "x", {"s.limit=5", "setting=b"}).steps[0].params["limit"], 5);
}

TEST(Recipe, EveryVerbIsAStepWithEveryKey) {
  for (const auto* verb : verbs::verbs()) {
    const StepKind* kind = find_step_kind(verb->name);
    ASSERT_NE(kind, nullptr) << verb->name;
    std::set<std::string> keys;
    for (const auto& key : kind->keys()) keys.insert(key.name);
    for (const auto& key : verb->keys) {
      const bool given = key.use != KeyInfo::Use::output && key.use != KeyInfo::Use::terminal;
      EXPECT_EQ(keys.contains(key.name), given) << verb->name << " " << key.name;
    }
  }
}

TEST(Recipe, ThePageOfStepsIsUpToDate) {
  EXPECT_EQ(read_file(fs::path(FETTLE_SOURCE_DIR) / "docs" / "steps.md"), steps_page() + "\n") << "write it anew: fettle run --steps > docs/steps.md";
}

TEST(Recipe, TheOldNameOfPairScoresIsUnderstood) {
  const Recipe recipe = parse_recipe("steps:\n  a: {do: score, data: x, reference: m, models: {m: m}}\n", "x");
  EXPECT_EQ(recipe.steps[0].kind, "pair_scores");
}

/// Each verb once, over what the others made.
TEST_F(Fixture, VerbsRunAsSteps) {
  write_file(folder.path() / "page.html", "<html><body><h1>Bread</h1><p>" + std::string(40, 'x') + " and so on, day by day.</p></body></html>");
  write_file(folder.path() / "scored.jsonl", "{\"instruction\":\"Who?\",\"completions\":[{\"response\":\"Go.\",\"overall_score\":3},{\"response\":\"Bob.\",\"overall_score\":8}]}\n");
  const std::string model = (fs::path(FETTLE_SOURCE_DIR) / "starter" / "model").string(), at = folder.path().string();
  const Recipe made = parse_recipe(
      "steps:\n"
      "  pairs: {do: binarize, input: " + at + "/scored.jsonl}\n"
      "  pages: {do: segment, input: " + at + "/page.html, by: page, min_characters: 10, max_characters: 0}\n"
      "  mixed: {do: mix, input: [\"${pairs}\", \"${pages}\"], weights: [1, 2]}\n"
      "  parts: {do: split, input: \"${mixed}\", share: 0.5, by: id}\n"
      "  shown: {do: show, input: \"${mixed}\", model: " + model + ", rows: 1}\n"
      "  answers: {do: convert, input: \"${pairs}\", to: completion}\n"
      "  ids: {do: tokenize, input: \"${pages}\", model: " + model + ", special: false}\n"
      "  scores: {do: score, input: \"${answers}\", model: " + model + ", per_token: true}\n"
      "  said: {do: generate, input: \"${answers}\", model: " + model + ", max_tokens: 2, n: 2}\n"
      "  packed: {do: export, model: " + model + ", to: gguf, dtype: q8_0, check: false}\n"
      "  change: {do: diff, base: " + model + ", other: \"${packed}\"}\n"
      "  again: {do: diff, base: " + model + ", apply: \"${change}\"}\n",
      "verbs.yaml");
  std::map<std::string, Outputs> outputs;
  for (const auto& planned : run_recipe(made, options)) outputs[planned.step->name] = planned.outputs;
  EXPECT_EQ(read_json(outputs["mixed"].at("report")).at("out"), 3);
  EXPECT_TRUE(outputs["parts"].contains("eval"));
  EXPECT_NE(read_file(outputs["shown"].at("")).find("«"), std::string::npos);
  EXPECT_TRUE(read_file(outputs["ids"].at("")).starts_with("["));
  EXPECT_NE(read_file(outputs["scores"].at("")).find("\"logps\""), std::string::npos);
  EXPECT_NE(read_file(outputs["said"].at("")).find("\"completions\""), std::string::npos);
  EXPECT_TRUE(outputs["packed"].at("").ends_with("model.gguf"));
  EXPECT_TRUE(fs::exists(fs::path(outputs["again"].at("")) / "model.safetensors"));
  for (const auto& planned : plan_recipe(made, options)) EXPECT_TRUE(planned.cached) << planned.step->name;
}

TEST(Recipe, ShippedRecipesParse) {
  for (const char* name : {"starter", "zephyr", "pretrain_starter"}) {
    EXPECT_NO_THROW(load_recipe(fs::path(FETTLE_SOURCE_DIR) / "recipes" / (std::string(name) + ".yaml"))) << name;
  }
  for (const char* setting : {"paper", "handbook", "small"}) {
    EXPECT_NO_THROW(load_recipe(fs::path(FETTLE_SOURCE_DIR) / "recipes" / "zephyr.yaml", {std::string("setting=") + setting}));
  }
  for (const char* setting : {"v1", "v3"}) {
    EXPECT_NO_THROW(load_recipe(fs::path(FETTLE_SOURCE_DIR) / "recipes" / "openchat_data.yaml", {std::string("setting=") + setting}));
  }
}

}  // namespace
}  // namespace fettle
