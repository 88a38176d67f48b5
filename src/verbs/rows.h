#pragma once
// What the verbs over rows share: files, reports, a model's tokenizer.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/passes/pass.h"
#include "data/training/tokenize.h"
#include "verbs/verb.h"

namespace fettle::verbs {

/// What the verbs over rows read and write.
struct Files {
  std::vector<std::string> inputs;
  std::string output = "-", rejected, report;

  data::PassFiles pass(parallel::ProcessGroup& group = parallel::alone()) const { return {inputs, output, rejected, {}, &group}; }
};
/// input, output, rejected, report.
const KeyTable<Files>& file_keys();
/// output, rejected, report.
const KeyTable<Files>& output_keys();
/// Adds `input`.
template <typename Options, typename Member>
KeyInfo& add_inputs(KeyTable<Options>& table, Member member) {
  return table.add("input", "Files, folders, patterns, or - for standard input", member).input().required();
}

/// Writes the report's file; what there is to say of it. Of ranks, rank 0 has something to say.
Report finish(const Files& files, const data::PassReport& report);

/// A model's tokenizer, and its template where the work needs one.
struct ModelText {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;

  /// `model`: a path or a name; empty: nothing is loaded. `chosen`: a template by name or file instead of the model's own.
  void load(const std::string& model, bool with_template, const std::string& chosen = "");
};

/// How rows become tokens.
struct TokenOptions {
  std::string chat_template;
  data::TokenizeOptions tokenize;
};
/// All are only with `model`.
const KeyTable<TokenOptions>& token_keys();

}  // namespace fettle::verbs
