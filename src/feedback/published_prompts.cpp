#include "feedback/published_prompts.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/ordered_json.h"
#include "feedback/judge_slots.h"
#include "feedback/reply_text.h"

namespace fettle::feedback {
namespace {

constexpr uint64_t largest_file = uint64_t{16} << 20;

JudgeCall fastchat_call(const Json& line, const std::string& where) {
  JudgeCall call;
  call.name = json_get<std::string>(line, "name", where);
  const auto type = json_get<std::string>(line, "type", where);
  if (type != "single" && type != "pairwise") fail(where, "type must be single or pairwise, found '{}'", type);
  call.shows = type == "single" ? JudgeCall::Shows::one : JudgeCall::Shows::two;
  call.turns = call.name.ends_with("multi-turn") ? 2 : 1;
  call.reference = call.name.find("math") != std::string::npos;
  call.max_tokens = 2048;
  const auto format = json_get<std::string>(line, "output_format", where);
  if (format == "[[rating]]") {
    call.reply.form = ReplyForm::bracketed_score;
  } else if (format == "[[A]]") {
    call.reply.form = ReplyForm::bracketed_letter;
  } else {
    fail(where, "output_format '{}' is not known; it is [[rating]] or [[A]]", format);
  }
  call.reply.as_published = true;
  const auto known = slots_of(call.shows, *call.turns, *call.reference);
  // The system prompt is taken as it stands: FastChat fills in the other one alone.
  call.messages.push_back({"system", {json_get<std::string>(line, "system_prompt", where), PromptTemplate::Style::replaced, {}, where}});
  call.messages.push_back({"user", {json_get<std::string>(line, "prompt_template", where), PromptTemplate::Style::braces, known, where}});
  return call;
}

}  // namespace

Judge judge_of_fastchat(const fs::path& file) {
  Judge judge;
  judge.name = file.stem().string();
  std::istringstream lines(read_file(file, largest_file));
  std::vector<JudgeCall> pairs;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = fmt::format("{}:{}", file.string(), ++number);
    if (trimmed(line).empty()) continue;
    JudgeCall call = fastchat_call(parse_json(line, where), where);
    (call.shows == JudgeCall::Shows::one ? judge.calls : pairs).push_back(std::move(call));
  }
  if (judge.calls.empty()) judge.calls = std::move(pairs);
  if (judge.calls.empty()) fail(file.string(), "holds no prompt");
  judge.tries = 1;
  return judge;
}

Judge judge_of_alpaca_eval(const fs::path& file) {
  const std::string text = read_file(file, largest_file);
  Judge judge;
  judge.name = file.stem().string();
  JudgeCall& call = judge.calls.emplace_back();
  call.name = "preference";
  call.shows = JudgeCall::Shows::two;
  const std::vector<std::string> known{"instruction", "output_1", "output_2"};
  for (const std::string_view part : split_at(trimmed(text), "<|im_start|>")) {
    if (trimmed(part).empty()) continue;
    const size_t line = part.find('\n');
    if (line == std::string_view::npos) fail(file.string(), "'{}' is no message: a role on a line of its own, then the text", part.substr(0, 60));
    const std::string_view content = trimmed(part.substr(line + 1, part.find("<|im_end|>") - line - 1));
    call.messages.push_back({std::string(trimmed(part.substr(0, line))), {content, PromptTemplate::Style::replaced, known, file.string()}});
  }
  const auto shows = [&](const char* slot) { return std::ranges::any_of(call.messages, [&](const auto& part) { return part.content.has(slot); }); };
  for (const std::string& slot : known)
    if (!shows(slot.c_str())) fail(file.string(), "has no place for {{{}}}", slot);
  call.reply.as_published = true;
  const bool by_token = text.find("m or M") != std::string::npos;
  call.reply.form = by_token ? ReplyForm::chosen_token : ReplyForm::ranking;
  call.max_tokens = by_token ? 1 : 100;
  judge.sampling.temperature = by_token ? 1.0F : 0.0F;
  judge.order = ShownOrder::alpaca_eval;
  judge.equal_is_tie = true;
  judge.tries = 1;
  return judge;
}

}  // namespace fettle::feedback
