// `fettle generate --prompt`: the answer as it comes.
#include "base/error.h"
#include "base/standard_output.h"
#include "cli/command.h"
#include "cli/ranks.h"
#include "verbs/generate.h"

namespace fettle::cli {
namespace {

/// On standard output; false where the verb itself is to do the work.
bool answer_here(const KeyValues& values) {
  if (values.has("prompt")) refuse_ranks("fettle generate --prompt");
  verbs::Generate options;
  verbs::generate_keys().read(values, options);
  if (!values.has("prompt") || !is_standard_output(options.output)) return false;
  verbs::generate_verb().check(values);
  verbs::Generator generator(options);
  auto request = generator.request(options.prompt == "-" ? read_file("-") : options.prompt);
  const bool stream = options.n == 1 && !json_output();
  if (stream) request.on_delta = [](const GenerationDelta& delta) { print_part(delta.text); };
  const GenerationResult result = generator.engine().generate(std::move(request));
  if (!result.error.empty()) fail("generate", "{}", result.error);
  if (json_output()) {
    print_report({{"answers", verbs::answers_json(result)},
                  {"prompt_tokens", result.prompt_tokens},
                  {"completion_tokens", result.completion_tokens},
                  {"seconds", result.total_seconds}},
                 "");
    return true;
  }
  for (size_t i = 0; i < result.samples.size(); ++i) {
    if (i > 0) print_line("---");
    print_line(stream ? std::string_view() : std::string_view(result.samples[i].text));
  }
  return true;
}

}  // namespace

void add_generate_command(CLI::App& app) { add_verb_command(app, verbs::generate_verb(), answer_here); }

}  // namespace fettle::cli
