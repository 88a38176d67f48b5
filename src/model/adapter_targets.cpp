// Which modules an adapter stands beside, as PEFT 0.21 matches names (tuners/tuners_utils.py,
// utils/other.py): a list holds whole names or their ends, a text is a regular expression over the whole
// name.
#include <algorithm>
#include <memory>
#include <optional>

#include "model/adapter.h"
#include "model/families/families.h"
#include "text/unicode/regex.h"

namespace fettle {
namespace {

bool is_end_of(std::string_view name, std::string_view end) {
  return name == end ||
         (name.size() > end.size() && name.ends_with(end) && name[name.size() - end.size() - 1] == '.');
}

/// Python's re.fullmatch, compiled once.
class WholeMatch {
 public:
  WholeMatch(std::string_view pattern, std::string_view where)
      : regex_(std::make_unique<Regex>(fmt::format("\\A(?:{})\\z", pattern), where)) {}
  bool operator()(std::string_view name) const {
    bool found = false;
    regex_->each(name, [&](size_t, size_t) { found = true; });
    return found;
  }

 private:
  std::unique_ptr<Regex> regex_;
};

bool matches_target(const AdapterEntry& entry, std::string_view target) {
  if (target == "all-linear") return entry.layer >= 0 && !entry.expert;
  if (is_end_of(entry.published, target)) return true;
  return std::any_of(entry.modules.begin(), entry.modules.end(),
                     [&](const std::string& module) { return is_end_of(module, target); });
}

/// A module of modules_to_save, or inside one, has no LoRA.
bool is_inside_saved(const AdapterConfig& adapter, std::string_view published) {
  for (size_t end = published.size(); end != std::string_view::npos && end > 0;
       end = published.rfind('.', end - 1)) {
    for (const std::string& saved : adapter.modules_to_save)
      if (is_end_of(published.substr(0, end), saved)) return true;
  }
  return false;
}

class Chooser {
 public:
  explicit Chooser(const AdapterConfig& adapter) : adapter_(adapter) {
    if (!adapter.target_pattern.empty()) target_.emplace(adapter.target_pattern, "target_modules");
    if (!adapter.exclude_pattern.empty()) exclude_.emplace(adapter.exclude_pattern, "exclude_modules");
    for (const auto& [pattern, rank] : adapter.rank_pattern)
      ranks_.emplace_back(WholeMatch(ending(pattern), "rank_pattern"), rank);
    for (const auto& [pattern, alpha] : adapter.alpha_pattern)
      alphas_.emplace_back(WholeMatch(ending(pattern), "alpha_pattern"), alpha);
  }

  bool chooses(const AdapterEntry& entry) const {
    if (excluded(entry) || is_inside_saved(adapter_, entry.published)) return false;
    if (target_) return (*target_)(entry.published);
    const bool target = std::any_of(adapter_.targets.begin(), adapter_.targets.end(),
                                    [&](const std::string& name) { return matches_target(entry, name); });
    return target && (adapter_.layers.empty() || in_layers(entry));
  }

  void set_scale(AdapterEntry& entry) const {
    entry.rank = adapter_.rank;
    entry.alpha = adapter_.alpha;
    if (const auto* rank = first(ranks_, entry.published)) entry.rank = *rank;
    if (const auto* alpha = first(alphas_, entry.published)) entry.alpha = *alpha;
    for (WeightPart& part : entry.parts) part.cols = entry.rank;
  }

 private:
  /// A pattern speaks of the end of a name, from a dot on.
  static std::string ending(const std::string& pattern) { return fmt::format("(?:.*\\.)?(?:{})", pattern); }

  template <typename Value>
  static const Value* first(const std::vector<std::pair<WholeMatch, Value>>& patterns,
                            std::string_view name) {
    for (const auto& [pattern, value] : patterns)
      if (pattern(name)) return &value;
    return nullptr;
  }

  bool excluded(const AdapterEntry& entry) const {
    if (exclude_ && (*exclude_)(entry.published)) return true;
    return std::any_of(adapter_.exclude.begin(), adapter_.exclude.end(),
                       [&](const std::string& name) { return is_end_of(entry.published, name); });
  }

  bool in_layers(const AdapterEntry& entry) const {
    if (std::find(adapter_.layers.begin(), adapter_.layers.end(), entry.layer) == adapter_.layers.end())
      return false;
    const auto& patterns = adapter_.layers_pattern;
    return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
             return WholeMatch(fmt::format("(?:|.*?\\.)(?:{})\\.{}\\..*", pattern, entry.layer),
                               "layers_pattern")(entry.published);
           });
  }

  const AdapterConfig& adapter_;
  std::optional<WholeMatch> target_, exclude_;
  std::vector<std::pair<WholeMatch, int32_t>> ranks_;
  std::vector<std::pair<WholeMatch, float>> alphas_;
};

}  // namespace

std::vector<AdapterEntry> adapter_entries(const ModelConfig& config, const AdapterConfig& adapter) {
  const Chooser chooser(adapter);
  std::vector<AdapterEntry> entries;
  for (AdapterEntry& entry : adaptable_modules(config)) {
    if (!chooser.chooses(entry)) continue;
    chooser.set_scale(entry);
    if (entry.rank <= 0)
      fail_usage("adapter rank of '{}' must be positive, got {}", entry.published, entry.rank);
    entries.push_back(std::move(entry));
  }
  return entries;
}

void check_targets(const ModelConfig& config, const AdapterConfig& adapter) {
  const std::string names = fmt::format("{}", fmt::join(adaptable_module_names(config), ", "));
  const std::vector<AdapterEntry> all = adaptable_modules(config);
  for (const std::string& target :
       adapter.target_pattern.empty() ? adapter.targets : std::vector<std::string>{}) {
    if (std::any_of(all.begin(), all.end(),
                    [&](const AdapterEntry& entry) { return matches_target(entry, target); }))
      continue;
    fail_usage(
        "adapter targets: '{}' matches no linear layer of this {} model; it has {} (or say all-linear)",
        target, config.family, names);
  }
  if (adapter_entries(config, adapter).empty())
    fail_usage("adapter targets: nothing of this {} model is chosen; it has {} (or say all-linear)",
               config.family, names);
}

bool is_saved_module(const AdapterConfig& adapter, std::string_view published) {
  for (size_t end = published.size(); end != std::string_view::npos && end > 0;
       end = published.rfind('.', end - 1)) {
    for (const std::string& saved : adapter.modules_to_save)
      if (published.substr(0, end).ends_with(saved)) return true;
  }
  return false;
}

std::vector<std::string> adaptable_module_names(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const AdapterEntry& entry : adaptable_modules(config)) {
    std::string name = entry.published.substr(entry.published.rfind('.') + 1);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace fettle
