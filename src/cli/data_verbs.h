#pragma once
// What the verbs of `fettle data` share on the command line: files, reports, a model's tokenizer.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "data/pass.h"
#include "data/tokenize.h"

namespace fettle::cli {

/// What all verbs take.
struct Files {
  std::vector<std::string> inputs;
  std::string output = "-", rejected, report;

  data::PassFiles pass() const { return {inputs, output, rejected}; }
};
void add_inputs(CLI::App& command, Files& files, bool required = true);
/// --input, --output, --rejected, --report.
void add_files(CLI::App& command, Files& files, bool needs_input = true);

/// Writes and prints the report. Rows may be on standard output, so the counts go there only when they do not.
void finish(const Files& files, const data::PassReport& report);

/// KEY=COLUMN pairs.
data::Columns columns_of(const std::vector<std::string>& pairs);

/// A model's tokenizer, and its template where the work needs one.
struct Text {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;

  void load(const std::string& model, bool with_template);
};

struct TokenFlags {
  std::string model, train_on = "completions", truncate = "keep_start";
  int64_t max_length = 1024;
  bool raw = false;

  data::TokenizeOptions options() const;
};
void add_token_flags(CLI::App& command, TokenFlags& flags, const char* about_model);

// The verbs, a file for each kind of work.
void add_clean(CLI::App& data);
void add_segment(CLI::App& data);
void add_convert(CLI::App& data);
void add_binarize(CLI::App& data);
void add_split(CLI::App& data);
void add_mix(CLI::App& data);
void add_dedupe(CLI::App& data);
void add_filter(CLI::App& data);
void add_stats(CLI::App& data);
void add_show(CLI::App& data);
void add_trace(CLI::App& data);

}  // namespace fettle::cli
