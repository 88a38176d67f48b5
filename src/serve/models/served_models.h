#pragma once
// The names that requests ask for: the base, its adapters, and compositions of them.
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "generate/engine.h"
#include "generate/sampling_defaults.h"
#include "model/config.h"
#include "serve/http/api_error.h"

namespace fettle::serve {

/// Thread-safe.
class ServedModels {
 public:
  /// tokens: of the served tokenizer. names: of the base, the first is the one shown; at least one. The
  /// engine must outlive this.
  ServedModels(Engine& engine, const ModelConfig& config, int32_t tokens, std::vector<std::string> names,
               std::string owner);

  /// Opens a PEFT adapter. Throws ApiError: a bad or taken name (unless it is to be replaced), a folder that is
  /// no adapter of this model.
  void load(const std::string& name, const fs::path& path, bool replace = false);
  /// False when there is none of that name. Answers that run keep it.
  bool unload(const std::string& name);

  /// Adapters of "base", "name", "name1+name2", "name1:0.5+name2:1.0"; none for the base and for "". Throws
  /// ApiError 404 naming what there is.
  std::vector<AdapterUse> resolve(const std::string& model) const;

  /// What entries say of sampling (`default_sampling`). Not while requests run.
  void show_sampling(const SamplingOptions& sampling) { sampling_ = fettle::to_json(sampling); }

  /// Entries of GET /v1/models.
  Json list() const;
  Json adapters() const;
  std::optional<Json> entry(const std::string& name) const;
  const std::string& name() const { return names_.front(); }

 private:
  bool is_base(const std::string& name) const;
  void check_vocabulary(const Adapter& adapter, const fs::path& path) const;
  Json entry_of(const std::string& id, int64_t created, bool adapter) const;

  Engine& engine_;
  const ModelConfig& config_;
  int32_t tokens_;
  std::vector<std::string> names_;
  std::string owner_;
  OrderedJson sampling_;
  int64_t created_;
  mutable std::mutex mutex_;
  struct Loaded {
    fs::path path;
    int64_t created;
  };
  std::map<std::string, Loaded> loaded_;
};

}  // namespace fettle::serve
