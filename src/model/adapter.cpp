#include "model/adapter.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace fettle {
namespace {

float scale_of(const AdapterConfig& config, float alpha, int64_t rank) {
  const auto size = static_cast<float>(rank);
  return alpha / (config.rslora ? std::sqrt(size) : size);
}

bool starts_module(std::string_view parameter, std::string_view module) {
  return parameter.size() > module.size() && parameter.starts_with(module) && parameter[module.size()] == '.';
}

/// The names of what is copied from the base, with the base's shapes.
std::vector<ParameterShape> copied_shapes(const ModelConfig& model, const AdapterConfig& config,
                                          const std::vector<AdapterEntry>& entries) {
  std::vector<ParameterShape> shapes;
  for (const WeightEntry& entry : hf_weights_with_head(model).entries) {
    const bool bias = entry.published.ends_with(".bias");
    bool wanted = is_saved_module(config, entry.published) || (bias && config.bias == AdapterBias::all);
    if (bias && config.bias == AdapterBias::lora_only) {
      wanted = wanted || std::any_of(entries.begin(), entries.end(), [&](const AdapterEntry& lora) {
                 return starts_module(entry.published, lora.published);
               });
    }
    for (const WeightPart& part : entry.parts)
      if (wanted) shapes.push_back({part.name, part.rows, part.cols});
  }
  return shapes;
}

std::vector<ParameterShape> lora_shapes(const AdapterConfig& config, const std::vector<AdapterEntry>& entries) {
  std::vector<ParameterShape> shapes;
  for (const AdapterEntry& entry : entries) {
    const std::string a = entry.modules[0] + ".lora_a";
    shapes.push_back(entry.embedding ? ParameterShape{a, entry.in, entry.rank}
                                     : ParameterShape{a, entry.rank, entry.in});
    for (size_t part = 0; part < entry.parts.size(); ++part) {
      const WeightPart& rows = entry.parts[part];
      shapes.push_back({rows.name, rows.rows, rows.cols});
      if (config.dora) shapes.push_back({entry.modules[part] + ".magnitude", 1, rows.rows});
      if (config.lora_bias && !entry.embedding) shapes.push_back({entry.modules[part] + ".lora_bias", 1, rows.rows});
    }
  }
  return shapes;
}

/// Fills `to` with the base's parameter of that name; a tied head has the embedding's.
void copy_from_base(const Parameters& base, std::string_view name, std::span<const int32_t> rows, const Tensor& to) {
  const Parameter* from = base.find(name);
  if (from == nullptr && name == "head.weight") from = base.find("embed.weight");
  FETTLE_CHECK(from != nullptr && from->value.cols == to.cols);
  for (int64_t i = 0; i < to.rows; ++i) {
    const int64_t row = rows.empty() ? i : rows[static_cast<size_t>(i)];
    read_row(from->value, row, to.row<float>(i));
  }
}

void fill_random(const Tensor& to, uint64_t seed, uint64_t stream, bool normal) {
  Random random(seed, stream);
  const double bound = 1.0 / std::sqrt(static_cast<double>(to.cols));
  for (float& value : to.flat<float>())
    value = static_cast<float>(normal ? random.normal() : bound * (2.0 * random.uniform() - 1.0));
}

/// The rows that are trained alone: of which module, and which.
std::map<std::string, std::vector<int32_t>> rows_by_module(const ModelConfig& model, const AdapterConfig& config) {
  std::map<std::string, std::vector<int32_t>> rows;
  for (const auto& [name, ids] : config.token_indices) {
    AdapterConfig target;
    target.targets = {name};
    check_targets(model, target);
    const std::string module = adapter_entries(model, target)[0].modules[0];
    if (module != "embed" && module != "head")
      fail_usage("adapter: rows of '{}' cannot be trained alone, only those of the embedding and the head", name);
    for (const int32_t id : ids) {
      if (id < 0 || id >= model.vocab_size)
        fail_usage("adapter: token {} of '{}' is outside the vocabulary of {}", id, name, model.vocab_size);
    }
    rows[module] = ids;
  }
  return rows;
}

}  // namespace

int64_t Adapter::vocab_size() const {
  for (const char* name : {"embed.weight", "head.weight"})
    if (const Parameter* found = parameters.find(name)) return found->value.rows;
  return 0;
}

bool Adapter::separates_head() const {
  return std::any_of(parameters.all().begin(), parameters.all().end(), [&](const auto& parameter) {
    const bool embedding = parameter->name.starts_with("embed.");
    const bool tied = ties_head && (parameter->name == "embed.weight" || parameter->name == "embed.rows");
    return (embedding && !tied) || parameter->name.starts_with("head.");
  });
}

LoraPair find_lora(const Adapter& adapter, const std::string& module) {
  const Parameters& parameters = adapter.parameters;
  LoraPair pair;
  pair.b = parameters.find(module + ".lora_b");
  if (pair.b == nullptr) return pair;
  pair.owner = module;
  pair.a = parameters.find(module + ".lora_a");
  for (const std::string_view first : {"q", "gate"}) {
    if (pair.a != nullptr) break;
    pair.owner = module.substr(0, module.rfind('.') + 1) + std::string(first);
    pair.a = parameters.find(pair.owner + ".lora_a");
  }
  if (pair.a == nullptr) fail("adapter", "'{}.lora_b' has no lora_a beside it", module);
  const int64_t rank = module == "embed" ? pair.a->value.cols : pair.a->value.rows;
  if (rank != pair.b->value.cols) {
    fail("adapter", "'{}': lora_a is of rank {} and lora_b has {} columns; both should be the rank", module, rank,
         pair.b->value.cols);
  }
  pair.magnitude = parameters.find(module + ".magnitude");
  pair.bias = parameters.find(module + ".lora_bias");
  const auto alpha = adapter.alphas.find(pair.owner);
  pair.scale = scale_of(adapter.config, alpha == adapter.alphas.end() ? adapter.config.alpha : alpha->second, rank);
  return pair;
}

const Parameter* find_replacement(const Adapter& adapter, std::string_view parameter, bool tied) {
  const Parameter* found = adapter.parameters.find(parameter);
  if (found != nullptr || !tied || !adapter.ties_head || parameter != "head.weight") return found;
  return adapter.parameters.find("embed.weight");
}

const Parameter* find_rows(const Adapter& adapter, std::string_view module, bool tied) {
  const Parameter* found = adapter.parameters.find(fmt::format("{}.rows", module));
  if (found != nullptr || !tied || !adapter.ties_head || module != "head") return found;
  return adapter.parameters.find("embed.rows");
}

Adapter make_adapter(const ModelConfig& model, const AdapterConfig& config, uint64_t seed, const Parameters* base) {
  if (config.rank <= 0) fail_usage("adapter rank must be positive, got {}", config.rank);
  if (config.dora && config.lora_bias) fail_usage("adapter: lora_bias does not go with dora");
  check_targets(model, config);
  const std::vector<AdapterEntry> entries = adapter_entries(model, config);
  std::vector<ParameterShape> shapes = lora_shapes(config, entries);
  const std::vector<ParameterShape> copied = copied_shapes(model, config, entries);
  shapes.insert(shapes.end(), copied.begin(), copied.end());
  Adapter adapter;
  adapter.config = config;
  adapter.token_ids = rows_by_module(model, config);
  for (const auto& [module, ids] : adapter.token_ids)
    shapes.push_back({module + ".rows", static_cast<int64_t>(ids.size()), model.hidden_size});
  adapter.ties_head = model.tied_embeddings && adapter.token_ids.count("embed") != 0 && adapter.token_ids.count("head") == 0;
  adapter.parameters = allocate_parameters(shapes);
  for (const AdapterEntry& entry : entries)
    if (entry.alpha != config.alpha) adapter.alphas[entry.modules[0]] = entry.alpha;

  uint64_t stream = 0;
  for (const auto& parameter : adapter.parameters.all()) {
    parameter->trainable = true;
    ++stream;
    const std::string& name = parameter->name;
    const bool embedding = name.starts_with("embed.");
    if (name.ends_with(".lora_a") && !embedding) fill_random(parameter->value, seed, stream, false);
    if (name.ends_with(".lora_b") && embedding) fill_random(parameter->value, seed, stream, true);
  }
  for (const ParameterShape& shape : copied) {
    FETTLE_CHECK(base != nullptr);
    copy_from_base(*base, shape.name, {}, adapter.parameters.find(shape.name)->value);
  }
  for (const auto& [module, ids] : adapter.token_ids) {
    FETTLE_CHECK(base != nullptr);
    copy_from_base(*base, module + ".weight", ids, adapter.parameters.find(module + ".rows")->value);
  }
  for (const AdapterEntry& entry : entries) {
    for (const std::string& module : entry.modules) {
      Parameter* magnitude = adapter.parameters.find(module + ".magnitude");
      if (magnitude == nullptr) continue;
      FETTLE_CHECK(base != nullptr);
      const Parameter* weight = base->find(module == "head" && base->find("head.weight") == nullptr ? "embed.weight"
                                                                                                     : module + ".weight");
      const std::vector<float> norms = dora_norms(weight->value, find_lora(adapter, module), entry.embedding);
      std::copy(norms.begin(), norms.end(), magnitude->value.as<float>());
    }
  }
  return adapter;
}

}  // namespace fettle
