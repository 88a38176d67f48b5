#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/unfinished.h"
#include "verbs/verb.h"

namespace fettle::verbs {
namespace {

TEST(Verbs, EveryKeyIsNamedOnceAndSpeaksOfKeysThatAreThere) {
  for (const auto* verb : verbs()) {
    SCOPED_TRACE(verb->name);
    std::set<std::string> names;
    for (const auto& key : verb->keys) {
      EXPECT_FALSE(key.help.empty()) << key.name;
      EXPECT_TRUE(names.insert(key.name).second) << key.name;
      for (const auto& alias : key.aliases) EXPECT_TRUE(names.insert(alias).second) << alias;
    }
    for (const auto& key : verb->keys) {
      for (const auto& other : key.needs) EXPECT_TRUE(names.contains(other)) << key.name << " needs " << other;
      for (const auto& other : key.excludes) EXPECT_TRUE(names.contains(other)) << key.name << " beside " << other;
    }
  }
}

TEST(Verbs, EveryOneMakesAFile) {
  for (const auto* verb : verbs()) {
    EXPECT_TRUE(std::any_of(verb->keys.begin(), verb->keys.end(),
                            [](const KeyInfo& key) { return key.use == KeyInfo::Use::output && !key.file.empty(); }))
        << verb->name;
    EXPECT_EQ(find_verb(verb->group, verb->name), verb);
  }
}

std::string problem(const char* name, const char* json) {
  const Verb& verb = *find_verb("data", name);
  try {
    verb.call(KeyValues(verb.keys, OrderedJson::parse(json), {}));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::usage) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Verbs, WhatHasNoEffectBesideTheOthersIsRefused) {
  const std::pair<const char*, std::pair<const char*, const char*>> wrong[] = {
      {"filter", {R"({"input": "x", "where": ["output"]})", "where has no effect without phrases"}},
      {"filter", {R"({"input": "x", "model": "m"})", "model has no effect without min_tokens or max_tokens"}},
      {"filter", {R"({"input": "x", "max_tokens": 5})", "max_tokens has no effect without model"}},
      {"filter", {R"({"input": "x", "phrases": "openchat", "fields": ["a=b"]})", "is a rule on a field, which stands under field"}},
      {"filter", {R"({"input": "x", "decontaminate": "y", "substring": true, "overlap": 0.2})", "substring has no effect beside overlap"}},
      {"dedupe", {R"({"input": "x", "threshold": 0.5})", "threshold has no effect without near"}},
      {"dedupe", {R"({"input": "x", "score_field": "s", "keep": "longest"})", "score_field is read for keep best alone"}},
      {"convert", {R"({"input": "x", "max_length": 5})", "max_length has no effect without model"}},
      {"convert", {R"({"input": "x", "model": "m", "to": "text"})", "to has no effect beside model"}},
      {"convert", {R"({"input": "x", "openchat": "openchat_v2"})", "openchat has no effect without model"}},
      {"convert", {R"({"input": "x", "model": "m", "openchat": "openchat_v2", "raw": true})", "raw has no effect beside openchat"}},
      {"convert", {R"({"input": "x", "to": "alpacca"})", "alpaca"}},
      {"mix", {R"({"input": ["x", "y"], "weights": [1]})", "weights holds 1 numbers for 2 inputs"}},
      {"stats", {R"({"input": "x", "flow": "r.json"})", "flow has no effect without html"}},
      {"split", {R"({"input": "x"})", "eval is missing"}},
      {"split", {R"({"input": "x", "eval": "-"})", "output and eval both go to standard output"}},
      {"show", {R"({"input": "x", "raw": true})", "raw has no effect without model"}},
  };
  for (const auto& [name, call] : wrong) EXPECT_NE(problem(name, call.first).find(call.second), std::string::npos) << call.first << problem(name, call.first);
}

TEST(Verbs, WeightsStandBesideTheInputs) {
  const TemporaryFolder folder;
  const auto file = [&](const char* name) { return (folder.path() / name).string(); };
  write_file(file("a.jsonl"), "{\"id\":\"1\",\"text\":\"a\"}\n");
  write_file(file("b.jsonl"), "{\"id\":\"2\",\"text\":\"b\"}\n");
  const Verb& mix = *find_verb("data", "mix");
  const OrderedJson given{{"input", {file("a.jsonl"), file("b.jsonl")}}, {"weights", {1, 3}}, {"output", file("out.jsonl")}};
  const Report report = mix.call(KeyValues(mix.keys, given, {}));
  EXPECT_EQ(report.json.at("out"), 4);
  EXPECT_EQ(report.failure, "");
}

TEST(Verbs, ShowAndTraceWriteFiles) {
  const TemporaryFolder folder;
  const auto file = [&](const char* name) { return (folder.path() / name).string(); };
  write_file(file("a.jsonl"), "{\"id\":\"1\",\"prompt\":\"Who?\",\"completion\":\"Bob.\"}\n");
  const Verb &show = *find_verb("data", "show"), &trace = *find_verb("data", "trace");
  show.call(KeyValues(show.keys, {{"input", file("a.jsonl")}, {"output", file("rows.txt")}}, {}));
  EXPECT_NE(read_file(file("rows.txt")).find("Bob."), std::string::npos);
  trace.call(KeyValues(trace.keys, {{"id", "1"}, {"input", file("a.jsonl")}, {"output", file("trace.json")}}, {}));
  EXPECT_NE(read_file(file("trace.json")).find("\"source\""), std::string::npos);
}

}  // namespace
}  // namespace fettle::verbs
