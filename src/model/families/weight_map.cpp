// Published names and row orders, made from the families' module lists and the shapes that the config asks
// for.
#include <algorithm>
#include <unordered_map>

#include "model/families/family.h"
#include "model/parameters.h"

namespace fettle {
namespace {

struct MapOptions {
  bool interleaved = false;   ///< the published q and k rows are for pairs (2i, 2i+1)
  float norm_offset = 0.0F;   ///< the published norms multiply by this plus the weight
  bool may_transpose = true;  ///< conv1d means [in, out]; GGUF has turned it back
};

constexpr std::string_view hole = "{}";

/// The pattern with a number in its first hole.
std::string filled(std::string_view pattern, int32_t number) {
  const size_t at = pattern.find(hole);
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), number, pattern.substr(at + hole.size()));
}

bool has_hole(std::string_view pattern) {
  return pattern.find(hole) != std::string_view::npos;
}

bool is_per_layer(const ModuleName& module) {
  return has_hole(module.published);
}

/// The last component: "q", "gate".
std::string_view last_part(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

/// A published module with every hole filled, and ours inside it.
struct Named {
  std::string published;
  std::vector<std::string> ours;
  Layout layout;
  bool stacked = false;  ///< the experts' matrices, one behind the other in a dimension of their own
};

/// One module, but one per expert where the published name has a hole for it.
std::vector<Named> named(const ModuleName& module, int32_t layer, const ModelConfig& config) {
  const bool of_expert = has_hole(module.ours[0]);
  const int32_t experts = config.layer(layer).experts;
  const std::string published = filled(module.published, layer);
  const auto our_name = [&](std::string_view part, int32_t expert) {
    const std::string name = of_expert ? filled(part, expert) : std::string(part);
    return is_per_layer(module) ? fmt::format("layers.{}.{}", layer, name) : name;
  };
  std::vector<Named> result;
  if (of_expert && has_hole(published)) {
    for (int32_t expert = 0; expert < experts; ++expert)
      result.push_back({filled(published, expert), {our_name(module.ours[0], expert)}, module.layout});
    return result;
  }
  Named one{published, {}, module.layout, of_expert};
  for (const std::string_view part : module.ours) {
    for (int32_t expert = 0; expert < (of_expert ? experts : 1); ++expert)
      one.ours.push_back(our_name(part, expert));
  }
  if (!one.ours.empty()) result.push_back(std::move(one));
  return result;
}

/// Rows of q or k whose rotary pairs stand in the other order than the published ones.
void add_permuted_runs(std::vector<RowRun>& runs, int64_t begin, int64_t rows, const LayerConfig& layer) {
  const int64_t width = layer.head_dim, rotary = layer.rotary_dim();
  for (int64_t head = begin; head < begin + rows; head += width) {
    if (layer.rope.interleaved) {
      for (int64_t i = 0; i < rotary / 2; ++i) runs.push_back({head + i, 2, rotary / 2});
    } else {
      runs.push_back({head, rotary / 2, 2});
      runs.push_back({head + 1, rotary / 2, 2});
    }
    if (rotary < width) runs.push_back({head + rotary, width - rotary, 1});
  }
}

std::vector<RowRun> part_runs(const Named& module, size_t part, int64_t begin, int64_t rows,
                              const LayerConfig& layer, bool published_interleaved) {
  static constexpr std::string_view turning[] = {"q", "k", "norm_q", "norm_k"};
  std::vector<RowRun> runs;
  const bool turns = std::find(std::begin(turning), std::end(turning), last_part(module.ours[part])) != std::end(turning);
  const bool permuted = layer.rope.interleaved != published_interleaved && layer.position == PositionKind::rope;
  if (module.layout == Layout::per_head) {
    const auto parts = static_cast<int64_t>(module.ours.size());
    for (int64_t head = 0; head < rows / layer.head_dim; ++head) {
      runs.push_back({(head * parts + static_cast<int64_t>(part)) * layer.head_dim, layer.head_dim, 1});
    }
  } else if (turns && permuted) {
    add_permuted_runs(runs, begin, rows, layer);
  } else {
    runs.push_back({begin, rows, 1});
  }
  return runs;
}

class MapBuilder {
 public:
  MapBuilder(const ModelConfig& config, MapOptions options) : config_(config), options_(options) {
    for (ParameterShape& shape : parameter_shapes(config)) shapes_.emplace(shape.name, shape);
  }

  /// Entries of weight and bias, where the config has them.
  void add(const ModuleName& module, int32_t layer) {
    for (const Named& one : named(module, layer, config_)) {
      for (const std::string_view suffix : {".weight", ".bias"}) add(one, config_.layer(layer), suffix);
    }
  }
  std::vector<WeightEntry> take() { return std::move(entries_); }

 private:
  void add(const Named& module, const LayerConfig& layer, std::string_view suffix) {
    if (shapes_.count(module.ours[0] + std::string(suffix)) == 0) return;
    WeightEntry entry;
    entry.published = module.published + std::string(suffix);
    const bool norm = last_part(module.ours[0]).starts_with("norm");
    const bool vector = norm || suffix == ".bias";
    int64_t total = 0, cols = 0;
    for (size_t part = 0; part < module.ours.size(); ++part) {
      const ParameterShape& shape = shapes_.at(module.ours[part] + std::string(suffix));
      const int64_t rows = vector ? shape.cols : shape.rows;
      entry.parts.push_back({shape.name, shape.rows, shape.cols,
                             part_runs(module, part, total, rows, layer, options_.interleaved)});
      total += rows;
      cols = shape.cols;
    }
    entry.transposed = module.layout == Layout::conv1d && !vector && options_.may_transpose;
    if (norm && suffix == ".weight") entry.offset = options_.norm_offset - config_.norm_offset;
    if (vector) {
      entry.shape = {total};
    } else if (module.stacked) {
      const auto count = static_cast<int64_t>(module.ours.size());
      entry.shape = {count, total / count, cols};
    } else if (entry.transposed) {
      entry.shape = {cols, total};
    } else {
      entry.shape = {total, cols};
    }
    entries_.push_back(std::move(entry));
  }

  const ModelConfig& config_;
  MapOptions options_;
  std::unordered_map<std::string, ParameterShape> shapes_;
  std::vector<WeightEntry> entries_;
};

/// Calls visit(module, layer) for the modules before the layers, all of each layer, and those after.
template <typename Visit>
void in_model_order(const ModelConfig& config, const std::vector<ModuleName>& modules, Visit visit) {
  const auto first = std::find_if(modules.begin(), modules.end(), is_per_layer);
  const auto last = std::find_if_not(first, modules.end(), is_per_layer);
  std::for_each(modules.begin(), first, [&](const ModuleName& module) { visit(module, 0); });
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    std::for_each(first, last, [&](const ModuleName& module) { visit(module, layer); });
  }
  std::for_each(last, modules.end(), [&](const ModuleName& module) { visit(module, 0); });
}

std::vector<WeightEntry> entries_of(const ModelConfig& config, const std::vector<ModuleName>& modules,
                                    MapOptions options) {
  MapBuilder builder(config, options);
  in_model_order(config, modules, [&](const ModuleName& module, int32_t layer) { builder.add(module, layer); });
  return builder.take();
}

std::vector<ModuleName> gguf_modules(const Family& family) {
  std::vector<ModuleName> modules{
      {"token_embd", {"embed"}}, {"position_embd", {"position"}}, {"blk.{}.attn_norm", {"norm1"}}};
  if (family.gguf_fused_qkv) {
    modules.push_back({"blk.{}.attn_qkv", {"q", "k", "v"}});
  } else {
    modules.push_back({"blk.{}.attn_q", {"q"}});
    modules.push_back({"blk.{}.attn_k", {"k"}});
    modules.push_back({"blk.{}.attn_v", {"v"}});
  }
  for (const ModuleName& module : std::initializer_list<ModuleName>{{"blk.{}.attn_q_norm", {"norm_q"}},
                                                                    {"blk.{}.attn_k_norm", {"norm_k"}},
                                                                    {"blk.{}.attn_output", {"o"}},
                                                                    {"blk.{}.post_attention_norm", {"norm1_after"}},
                                                                    {"blk.{}.ffn_norm", {"norm2"}},
                                                                    {"blk.{}.ffn_gate_inp", {"router"}},
                                                                    {"blk.{}.ffn_gate_exps", {"experts.{}.gate"}},
                                                                    {"blk.{}.ffn_up_exps", {"experts.{}.up"}},
                                                                    {"blk.{}.ffn_down_exps", {"experts.{}.down"}},
                                                                    {"blk.{}.ffn_gate", {"gate"}},
                                                                    {"blk.{}.ffn_up", {"up"}},
                                                                    {"blk.{}.ffn_down", {"down"}},
                                                                    {"blk.{}.post_ffw_norm", {"norm2_after"}},
                                                                    {"output_norm", {"norm"}},
                                                                    {"output", {"head"}}}) {
    modules.push_back(module);
  }
  return modules;
}

bool is_adaptable(const ModuleName& module) {
  static constexpr std::string_view names[] = {"embed", "q", "k", "v", "o", "gate", "up", "down", "head"};
  return std::find(std::begin(names), std::end(names), last_part(module.ours[0])) != std::end(names);
}

}  // namespace

bool WeightMap::ignores(std::string_view published) const {
  return std::any_of(ignored_suffixes.begin(), ignored_suffixes.end(),
                     [&](const std::string& suffix) { return published.ends_with(suffix); });
}

WeightMap hf_weights(const ModelConfig& config) {
  const Family& family = family_named(config.family);
  WeightMap map;
  map.optional_prefix = family.optional_prefix;
  const std::vector<ModuleName> modules = family.modules(config);
  map.entries = entries_of(config, modules, {.norm_offset = family.hf_norm_offset});
  map.ignored_suffixes = {".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias",
                          ".attention.masked_bias"};
  if (config.tied_embeddings)
    map.ignored_suffixes.push_back(std::string(modules.back().published) + ".weight");
  return map;
}

WeightMap gguf_weights(const ModelConfig& config) {
  const Family& family = family_named(config.family);
  WeightMap map;
  map.entries = entries_of(config, gguf_modules(family),
                               {.interleaved = family.gguf_interleaved, .may_transpose = false});
  map.ignored_suffixes = {"rope_freqs.weight", ".attn_rot_embd"};
  return map;
}

WeightMap llama2c_weights(const ModelConfig& config) {
  config_to_llama2c(config);  // throws when it cannot hold this model
  // Kind by kind, each over all layers.
  const std::vector<ModuleName> modules{{"tok_embeddings", {"embed"}},
                                        {"layers.{}.attention_norm", {"norm1"}},
                                        {"layers.{}.attention.wq", {"q"}},
                                        {"layers.{}.attention.wk", {"k"}},
                                        {"layers.{}.attention.wv", {"v"}},
                                        {"layers.{}.attention.wo", {"o"}},
                                        {"layers.{}.ffn_norm", {"norm2"}},
                                        {"layers.{}.feed_forward.w1", {"gate"}},
                                        {"layers.{}.feed_forward.w2", {"down"}},
                                        {"layers.{}.feed_forward.w3", {"up"}},
                                        {"norm", {"norm"}},
                                        {"output", {"head"}}};
  MapBuilder builder(config, {.interleaved = true});
  for (const ModuleName& module : modules) {
    for (int32_t layer = 0; layer < (is_per_layer(module) ? config.layers : 1); ++layer)
      builder.add(module, layer);
  }
  WeightMap map;
  map.entries = builder.take();
  return map;
}

WeightMap hf_weights_with_head(ModelConfig config) {
  config.tied_embeddings = false;
  return hf_weights(config);
}

std::vector<AdapterEntry> adaptable_modules(const ModelConfig& model) {
  ModelConfig config = model;
  config.tied_embeddings = false;  // a tied head can be adapted apart
  std::unordered_map<std::string, ParameterShape> shapes;
  for (ParameterShape& shape : parameter_shapes(config)) shapes.emplace(shape.name, shape);
  std::vector<AdapterEntry> entries;
  const auto add = [&](const ModuleName& module, const Named& one, int32_t layer) {
    if (shapes.count(one.ours[0] + ".weight") == 0) return;
    AdapterEntry entry;
    entry.published = one.published;
    entry.layer = is_per_layer(module) ? layer : -1;
    entry.expert = has_hole(module.ours[0]);
    entry.embedding = module.ours[0] == "embed";
    entry.conv1d = module.layout == Layout::conv1d;
    for (size_t part = 0; part < one.ours.size(); ++part) {
      entry.modules.push_back(one.ours[part]);
      const ParameterShape& weight = shapes.at(entry.modules.back() + ".weight");
      const int64_t rows = entry.embedding ? weight.cols : weight.rows;
      entry.parts.push_back({entry.modules.back() + ".lora_b", rows, 0,
                             part_runs(one, part, entry.out, rows, config.layer(layer), false)});
      entry.in = entry.embedding ? weight.rows : weight.cols;
      entry.out += rows;
    }
    entries.push_back(std::move(entry));
  };
  in_model_order(config, family_named(config.family).modules(config), [&](const ModuleName& module, int32_t layer) {
    if (!is_adaptable(module)) return;
    for (const Named& one : named(module, layer, config)) add(module, one, layer);
  });
  return entries;
}

}  // namespace fettle
