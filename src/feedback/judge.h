#pragma once
// A judge is data: what it is asked, how it samples, how its replies are read, what becomes of them. Six ship with the program, others
// come from a user's YAML, or from the files that FastChat and AlpacaEval publish.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/embedded_file.h"
#include "base/yaml.h"
#include "feedback/prompt_template.h"
#include "feedback/reply_rules.h"
#include "generate/sampler.h"

namespace fettle::feedback {

/// One question that a judge is asked.
struct JudgeCall {
  enum class Shows : uint8_t { one, two, all };  ///< answers at a time
  struct Part {
    std::string role;
    PromptTemplate content;
  };
  std::string name;  ///< "helpfulness"; "overall" is the score that stands for the whole
  Shows shows = Shows::one;
  std::vector<Part> messages;
  ReplyRules reply;
  int64_t max_tokens = 1024;
  std::optional<bool> reference;  ///< only for rows that have a reference answer, or that have none
  std::optional<int> turns;       ///< only for conversations of so many questions
};

enum class ShownOrder : uint8_t {
  as_given,
  random,  ///< by the row's id and the seed
  alpaca_eval,  ///< a pair by AlpacaEval's draw: Python's random, seeded with the instruction
  both     ///< a pair is asked about twice, the second time turned round (position calibration)
};

struct Judge {
  std::string name, about;
  std::vector<JudgeCall> calls;
  SamplingOptions sampling;
  ShownOrder order = ShownOrder::as_given;
  int samples = 1;  ///< replies to each question, whose scores are averaged (evidence calibration)
  int tries = 3;    ///< a reply that cannot be read is asked for again so often in all
  bool equal_is_tie = false;  ///< two answers of one text are a tie, and nobody is asked
  std::string knowledge_without = "No additional world knowledge for reference.";  ///< for {knowledge} of rows that bring none
};

/// Throws Error(input) naming file, line and key, with the nearest valid key or name.
Judge judge_from_yaml(const YamlDocument& document);
/// A YAML file, FastChat's judge_prompts.jsonl (every call that it holds), or AlpacaEval's template with ChatML's marks.
Judge read_judge(const fs::path& file);
/// One that ships with the program. Throws Error(usage) with the nearest name.
Judge judge_preset(std::string_view name);
std::vector<std::string> judge_preset_names();
/// The YAML of those that ship.
const std::vector<EmbeddedFile>& judge_files();

}  // namespace fettle::feedback
