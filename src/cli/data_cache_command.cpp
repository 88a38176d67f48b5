// `fettle data clean-cache`: what tokenised training data take on the disk, and their removal.
#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"
#include "data/training/token_cache.h"

namespace fettle::cli {
namespace {

struct CacheState {
  std::string folder;
  bool dry_run = false;
  double days = 0.0;
};

void run_clean_cache(CacheState& state) {
  const fs::path root = state.folder.empty() ? data::default_token_folder() : fs::path(state.folder);
  OrderedJson sets = OrderedJson::array();
  std::string text;
  int64_t freed = 0;
  for (const auto& tokens : data::list_cached_tokens(root)) {
    if (tokens.age_seconds < state.days * 86400) continue;
    const bool removed = !state.dry_run && data::remove_cached_tokens(tokens);
    freed += state.dry_run || removed ? tokens.bytes : 0;
    const std::string first = tokens.sources.substr(0, tokens.sources.find('\n'));
    sets.push_back({{"folder", tokens.folder.string()}, {"bytes", tokens.bytes}, {"rows", tokens.rows}, {"whole", tokens.whole}, {"removed", removed}, {"first_source", first}});
    text += fmt::format("{}: {}, {}, used {} ago{}\n", first.empty() ? tokens.folder.string() : first, human_bytes(static_cast<double>(tokens.bytes)),
                        tokens.whole ? fmt::format("{} rows", tokens.rows) : "unfinished", human_seconds(tokens.age_seconds),
                        state.dry_run || removed ? "" : "; a process is making it, so it stays");
  }
  text += fmt::format("{}: {} {}", root.string(), human_bytes(static_cast<double>(freed)), state.dry_run ? "would be freed" : "freed");
  print_report({{"folder", root.string()}, {"sets", sets}, {"bytes", freed}, {"dry_run", state.dry_run}}, text);
}

}  // namespace

void add_clean_cache(CLI::App& data) {
  auto& command = add_command(data, "clean-cache", "Remove tokenised training data, which the next run makes again",
                              "  $ fettle data clean-cache --dry-run\n"
                              "  $ fettle data clean-cache --unused-days 30");
  auto state = std::make_shared<CacheState>();
  command.add_option("--folder", state->folder, "The `token_cache` of a training config (default: tokens in fettle's cache folder)");
  command.add_option("--unused-days", state->days, "Only what no run has used for so many days")->check(CLI::NonNegativeNumber)->capture_default_str();
  command.add_flag("--dry-run", state->dry_run, "Show what there is; remove nothing");
  on_run(command, state, run_clean_cache);
}

}  // namespace fettle::cli
