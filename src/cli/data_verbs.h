#pragma once
// What the verbs of `fettle data` share on the command line: files, reports, a model's tokenizer.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/destinations.h"
#include "data/passes/pass.h"
#include "data/training/tokenize.h"

namespace fettle::cli {

/// What all verbs take.
struct Files {
  std::vector<std::string> inputs;
  std::string output = "-", rejected, report;

  /// Throws Error(usage) where two of these, or of the verb's `further` files, go to one place.
  data::PassFiles pass(const std::vector<Destination>& further = {}) const;
  /// The rows, the rejected ones or the report take standard output, so that nothing else may stand there.
  bool take_standard_output() const;
};
void add_inputs(CLI::App& command, Files& files);
/// --output, --rejected, --report.
void add_outputs(CLI::App& command, Files& files);
/// Both.
void add_files(CLI::App& command, Files& files);

/// Writes and prints the report: the counts go to standard error where something else has standard output. Throws Error
/// after that where nothing of an input could be read.
void finish(const Files& files, const data::PassReport& report);

/// KEY=COLUMN pairs.
data::Columns columns_of(const std::vector<std::string>& pairs);

/// The name of the first of these that the user gave, with its dashes; "" for none.
std::string first_given(const std::vector<const CLI::Option*>& options);

/// A model's tokenizer, and its template where the work needs one.
struct Text {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatTemplate> chat;

  /// `chosen`: a template by name or file instead of the model's own.
  void load(const std::string& model, bool with_template, const std::string& chosen = "");
};

struct TokenFlags {
  std::string model, train_on = "completions", truncate = "keep_start", chat_template;
  int64_t max_length = 1024;
  bool raw = false, split_turns = false;

  data::TokenizeOptions options() const;
};
/// --model, and the options that need one, which are returned.
std::vector<const CLI::Option*> add_token_flags(CLI::App& command, TokenFlags& flags, const char* about_model);

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
void add_clean_cache(CLI::App& data);

}  // namespace fettle::cli
