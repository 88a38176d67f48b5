#include "serve/models/served_models.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include "checkpoint/peft.h"

namespace fettle::serve {
namespace {

constexpr size_t most_parts = 8;

int64_t unix_time() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  });
}

/// "name" or "name:factor"; none when what stands behind the colon is no number ("llama3.2:latest").
std::optional<AdapterUse> read_part(std::string_view part) {
  const size_t colon = part.find(':');
  AdapterUse use{std::string(part.substr(0, colon)), 1.0F};
  if (colon == std::string_view::npos) return use;
  const std::string_view factor = part.substr(colon + 1);
  const auto [end, error] = std::from_chars(factor.data(), factor.data() + factor.size(), use.factor);
  if (error != std::errc() || end != factor.data() + factor.size()) return std::nullopt;
  return use;
}

}  // namespace

ServedModels::ServedModels(Engine& engine, const ModelConfig& config, int32_t tokens,
                           std::vector<std::string> names, std::string owner)
    : engine_(engine),
      config_(config),
      tokens_(tokens),
      names_(std::move(names)),
      owner_(std::move(owner)),
      created_(unix_time()) {
  FETTLE_CHECK(!names_.empty());
}

bool ServedModels::is_base(const std::string& name) const {
  return name.empty() || std::ranges::find(names_, name) != names_.end();
}

void ServedModels::load(const std::string& name, const fs::path& path, bool replace) {
  if (!good_name(name)) fail_field("name", "must be 1 to 128 of letters, digits, '-', '_' and '.'");
  if (is_base(name)) fail_field("name", "'{}' is the base model's", name);
  {
    std::lock_guard lock(mutex_);
    if (!replace && loaded_.contains(name))
      throw ApiError(409, "already_loaded", "name",
                     fmt::format("'{}' is loaded already; unload it first", name));
  }
  auto adapter = std::make_shared<Adapter>([&] {
    try {
      return read_adapter(path, config_);
    } catch (const Error& error) {
      throw ApiError(400, "invalid_value", "path", error.what());
    }
  }());
  check_vocabulary(*adapter, path);
  std::lock_guard lock(mutex_);
  engine_.add_adapter(name, std::move(adapter));
  loaded_[name] = {path, unix_time()};
}

/// One tokenizer serves all; an adapter with tokens of its own would never meet them.
void ServedModels::check_vocabulary(const Adapter& adapter, const fs::path& path) const {
  constexpr const char* advice = "serve the adapter's folder itself as the model";
  if (const int64_t vocabulary = adapter.vocab_size(); vocabulary != 0 && vocabulary != config_.vocab_size)
    throw ApiError(400, "invalid_value", "path",
                   fmt::format("{} brings a vocabulary of {} tokens, the served model has {}: {}",
                               path.string(), vocabulary, config_.vocab_size, advice));
  for (const auto& [module, ids] : adapter.token_ids)
    for (const int32_t id : ids)
      if (id >= tokens_)
        throw ApiError(400, "invalid_value", "path",
                       fmt::format("{} trains the row of token {}, the served tokenizer has {} tokens: {}",
                                   path.string(), id, tokens_, advice));
}

bool ServedModels::unload(const std::string& name) {
  std::lock_guard lock(mutex_);
  engine_.remove_adapter(name);
  return loaded_.erase(name) > 0;
}

std::vector<AdapterUse> ServedModels::resolve(const std::string& model) const {
  if (is_base(model)) return {};
  std::lock_guard lock(mutex_);
  std::vector<AdapterUse> uses;
  for (size_t at = 0; at <= model.size();) {
    const size_t end = std::min(model.find('+', at), model.size());
    auto use = read_part(std::string_view(model).substr(at, end - at));
    at = end + 1;
    if (use && is_base(use->name) && !use->name.empty() && uses.empty()) continue;  // "base+adapter" is the adapter
    if (!use || !loaded_.contains(use->name)) {
      std::string known;
      for (const std::string& name : names_) known += (known.empty() ? "" : ", ") + name;
      for (const auto& [name, loaded] : loaded_) known += ", " + name;
      throw ApiError(
          404, "model_not_found", "model",
          fmt::format("The model `{}` does not exist. This server has: {}.", model.substr(0, 200), known));
    }
    if (!(std::abs(use->factor) <= 16.0F)) fail_field("model", "the factor of '{}' must be a number between -16 and 16", use->name);
    if (uses.size() == most_parts) fail_field("model", "composes more than {} adapters", most_parts);
    uses.push_back(std::move(*use));
  }
  return uses;
}

Json ServedModels::entry_of(const std::string& id, int64_t created, bool adapter) const {
  return {{"id", id},
          {"object", "model"},
          {"created", created},
          {"owned_by", owner_},
          {"root", names_.front()},
          {"parent", adapter ? Json(names_.front()) : Json()},
          {"max_model_len", engine_.context_length()},
          {"default_sampling", sampling_},
          {"kind", adapter ? "adapter" : "base"}};
}

Json ServedModels::adapters() const {
  std::lock_guard lock(mutex_);
  Json data = Json::array();
  for (const auto& [name, loaded] : loaded_) {
    data.push_back(entry_of(name, loaded.created, true));
    data.back()["path"] = loaded.path.string();
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

Json ServedModels::list() const {
  std::lock_guard lock(mutex_);
  Json data = Json::array();
  for (const std::string& name : names_) data.push_back(entry_of(name, created_, false));
  for (const auto& [name, loaded] : loaded_) data.push_back(entry_of(name, loaded.created, true));
  return {{"object", "list"}, {"data", std::move(data)}};
}

std::optional<Json> ServedModels::entry(const std::string& name) const {
  std::lock_guard lock(mutex_);
  if (!name.empty() && is_base(name)) return entry_of(name, created_, false);
  const auto found = loaded_.find(name);
  if (found == loaded_.end()) return std::nullopt;
  return entry_of(name, found->second.created, true);
}

}  // namespace fettle::serve
