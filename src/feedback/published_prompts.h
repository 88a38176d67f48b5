#pragma once
// Judges that others publish as prompt files.
#include "feedback/judge.h"

namespace fettle::feedback {

/// FastChat's llm_judge/data/judge_prompts.jsonl: {"name", "type", "system_prompt", "prompt_template", "output_format"}. The single
/// prompts become the calls of one judge, the ones with a reference for rows that have one; a file of pairwise prompts alone becomes a
/// judge of pairs. Temperature 0 and 2,048 tokens, as published.
Judge judge_of_fastchat(const fs::path& file);

/// AlpacaEval's evaluators_configs/…/*.txt: messages between ChatML's marks. One whose text asks for "m or M" is read by the first
/// token's log-probabilities (one token, temperature 1), another by its ranking (100 tokens, temperature 0).
Judge judge_of_alpaca_eval(const fs::path& file);

}  // namespace fettle::feedback
