// What adapters put into a network: other parameters in the base's places, LoRA beside linear layers,
// embedding and head, rows of the vocabulary.
#include <algorithm>

#include "model/network.h"

namespace fettle {
namespace {

constexpr std::string_view linear_modules[] = {"q", "k", "v", "o", "gate", "up", "down", "head"};

/// One stream per lora_a: the parts of a fused module see the same dropped input.
uint64_t dropout_stream(const ModuleSpec& module, int32_t layers, std::string_view owner) {
  const auto part =
      std::find(std::begin(linear_modules), std::end(linear_modules), owner.substr(owner.rfind('.') + 1));
  const auto layer = static_cast<uint64_t>(module.layer < 0 ? layers : module.layer);
  const auto of_layer = static_cast<uint64_t>(part - linear_modules);
  if (module.expert < 0) return layer * 8 + of_layer;
  // Behind those of the layers themselves; many experts may share one.
  constexpr uint64_t first = uint64_t{1} << 19;
  return first + (layer * 4096 + static_cast<uint64_t>(module.expert)) * 8 % first + of_layer;
}

std::string module_of(std::string_view parameter) {
  return std::string(parameter.substr(0, parameter.rfind('.')));
}

}  // namespace

void Network::collect_slots() {
  const auto add = [&](std::string name, Parameter*& parameter, Tensor* value) {
    if (parameter != nullptr)
      slots_.push_back({std::move(name), &parameter, value, parameter, value == nullptr ? Tensor() : *value});
  };
  add("embed.weight", embedding.token, nullptr);
  add("position.weight", embedding.position, nullptr);
  for (const Bound& bound : bound_) {
    const std::string& name = bound.module.name;
    if (bound.norm != nullptr) {
      add(name + ".weight", bound.norm->weight, &bound.norm->weight_value);
      add(name + ".bias", bound.norm->bias, &bound.norm->bias_value);
    } else {
      add(name + ".weight", bound.linear->weight, nullptr);
      add(name + ".bias", bound.linear->bias, &bound.linear->bias_value);
    }
  }
}

void Network::unlink() {
  for (Parameter* parameter : linked_shadows_) parameter->bf16 = Tensor();
  linked_shadows_.clear();
  for (const Slot& slot : slots_) {
    *slot.parameter = slot.base;
    if (slot.value != nullptr) *slot.value = slot.base_value;
  }
  for_each_linear([](const ModuleSpec&, Linear& linear) { linear.loras.clear(); });
  embedding.loras.clear();
  embedding.rows.clear();
  head.rows.clear();
  adapters_.clear();
  blends_.clear();
  linked_owned_.clear();
}

/// to += factor * (from - base), some rows at a time.
void Network::blend(const Tensor& to, const Tensor& base, const Tensor& from, float factor) {
  constexpr int64_t elements_at_once = 1 << 20;
  const int64_t rows = std::clamp<int64_t>(elements_at_once / std::max<int64_t>(1, to.cols), 1, to.rows);
  std::vector<Buffer> scratch;
  const Tensor before = take(scratch, rows, to.cols), after = take(scratch, rows, to.cols);
  for (int64_t begin = 0; begin < to.rows; begin += rows) {
    const int64_t end = std::min(to.rows, begin + rows), count = end - begin;
    const Tensor difference = after.row_slice(0, count);
    backend_.copy(before.row_slice(0, count), base.row_slice(begin, end));
    backend_.copy(difference, from.row_slice(begin, end));
    backend_.add(difference, before.row_slice(0, count), -1.0F);
    backend_.add(to.row_slice(begin, end), difference, factor);
  }
  backend_.synchronize();
}

void Network::replace(const std::vector<Decoder::ActiveAdapter>& adapters) {
  for (const Slot& slot : slots_) {
    std::vector<std::pair<Parameter*, float>> found;
    for (const Decoder::ActiveAdapter& active : adapters) {
      const Parameter* parameter = find_replacement(*active.adapter, slot.name, config.tied_embeddings);
      if (parameter == nullptr) continue;
      const Tensor &value = parameter->value, &base = slot.base->value;
      if (value.rows != base.rows || value.cols != base.cols) {
        fail("adapter", "'{}' is [{}, {}], the model's is [{}, {}]", slot.name, value.rows, value.cols,
             base.rows, base.cols);
      }
      found.emplace_back(active.adapter->parameters.find(parameter->name), active.factor);
    }
    if (found.empty()) continue;
    Parameter* instead = found[0].first;
    if (found.size() > 1 || found[0].second != 1.0F) {
      blends_.push_back(std::make_unique<Parameter>());
      instead = blends_.back().get();
      const Tensor& base = slot.base->value;
      instead->value = take(linked_owned_, base.rows, base.cols);
      backend_.copy(instead->value, base);
      for (const auto& [parameter, factor] : found) blend(instead->value, base, parameter->value, factor);
    }
    *slot.parameter = instead;
    if (slot.value != nullptr) *slot.value = in_f32(*instead, linked_owned_);
    const bool multiplied =
        slot.value == nullptr && slot.name != "embed.weight" && slot.name != "position.weight";
    if (product == Product::bf16 && multiplied && instead->value.dtype == DType::f32 && instead->bf16.absent())
      linked_shadows_.push_back(instead);
  }
  shadow(linked_shadows_, linked_owned_);
}

LoraLink Network::make_link(Adapter& adapter, const LoraPair& pair, float factor, const Parameter& weight,
                            bool embedded) {
  const auto own = [&](const Parameter* parameter) {
    return parameter == nullptr ? nullptr : adapter.parameters.find(parameter->name);
  };
  LoraLink link;
  link.a = own(pair.a);
  link.b = own(pair.b);
  link.scale = pair.scale;
  link.factor = factor;
  link.dropout = embedded ? 0.0F : adapter.config.dropout;  // PEFT's embeddings have none
  link.magnitude = own(pair.magnitude);
  link.bias = own(pair.bias);
  const int64_t out = link.b->value.rows;
  if (link.magnitude != nullptr) {
    link.ratio = take(linked_owned_, 1, out);
    link.inverse_norm = take(linked_owned_, 1, out);
  }
  if (link.bias != nullptr) link.bias_value = take(linked_owned_, 1, out);
  derive(adapter, link, module_of(pair.b->name), weight.value, embedded);
  return link;
}

void Network::link_loras(Adapter& adapter, size_t index, float factor) {
  size_t found = 0;
  for_each_linear([&](const ModuleSpec& module, Linear& linear) {
    const std::string& name = module.name;
    const LoraPair pair = find_lora(adapter, name);
    if (pair.b == nullptr) return;
    if (pair.a->value.cols != linear.in() || pair.b->value.rows != linear.out()) {
      fail("adapter", "'{}' is for a layer [{}, {}], the model's is [{}, {}]", name, pair.b->value.rows,
           pair.a->value.cols, linear.out(), linear.in());
    }
    LoraLink link = make_link(adapter, pair, factor, *linear.weight, false);
    if (module.expert >= 0 && link.bias != nullptr)
      fail("adapter", "'{}' has a bias of LoRA, which is not supported inside an expert", name);
    link.adapter = index;
    link.stream = (index << 20) + dropout_stream(module, config.layers, pair.owner);
    linear.loras.push_back(link);
    ++found;
  });
  if (const LoraPair pair = find_lora(adapter, "embed"); pair.b != nullptr) {
    const Tensor& table = embedding.token->value;
    if (pair.a->value.rows != table.rows || pair.b->value.rows != table.cols) {
      fail("adapter", "'embed' is for an embedding [{}, {}], the model's is [{}, {}]", pair.a->value.rows,
           pair.b->value.rows, table.rows, table.cols);
    }
    embedding.loras.push_back(make_link(adapter, pair, factor, *embedding.token, true));
    ++found;
  }
  for (const auto& parameter : adapter.parameters.all()) {
    if (parameter->name.ends_with(".lora_b") && found-- == 0)
      fail("adapter", "'{}' matches no linear layer of this model", parameter->name);
  }
}

void Network::link_rows(Adapter& adapter, float factor) {
  const auto link = [&](std::string_view module, const Tensor& table, std::vector<TokenRows>& to) {
    const Parameter* found = find_rows(adapter, module, config.tied_embeddings);
    if (found == nullptr) return;
    TokenRows rows;
    rows.rows = adapter.parameters.find(found->name);
    rows.ids = &adapter.token_ids.at(module_of(found->name));
    rows.factor = factor;
    const int64_t count = rows.rows->value.rows;
    for (const int32_t id : *rows.ids)
      if (id < 0 || id >= table.rows)
        fail("adapter", "it has a row for token {}, the model {} tokens", id, table.rows);
    if (count != static_cast<int64_t>(rows.ids->size()) || rows.rows->value.cols != table.cols)
      fail("adapter", "'{}' should be [{}, {}]", found->name, rows.ids->size(), table.cols);
    rows.places = take(linked_owned_, 1, count, DType::i32);
    backend_.copy_from_host(rows.places, rows.ids->data());
    rows.delta = take(linked_owned_, count + 1, table.cols);
    derive(rows, table);
    to.push_back(rows);
  };
  link("embed", embedding.token->value, embedding.rows);
  link("head", head.projection.weight->value, head.rows);
}

void Network::derive(Adapter& adapter, LoraLink& link, const std::string& module, const Tensor& weight,
                     bool embedded) {
  if (link.bias != nullptr) {
    backend_.copy(link.bias_value, link.bias->value);
    backend_.scale(link.bias_value, link.factor * link.scale);
  }
  if (link.magnitude == nullptr) return;
  const bool keep = adapters_.size() == 1;  // another adapter may replace the weight
  const int64_t count = link.ratio.cols;
  std::vector<float> norms(static_cast<size_t>(count)), magnitude(norms.size());
  if (const auto kept = adapter.norms.find(module); keep && kept != adapter.norms.end()) {
    norms = kept->second;
  } else {
    // The ratio's place is as good as any: it is written over below.
    const LoraPair pair = find_lora(adapter, module);
    backend_.adapted_norms(link.ratio, weight, pair.a->value, pair.b->value, pair.scale, embedded);
    backend_.copy_to_host(norms.data(), link.ratio);
    if (keep) adapter.norms[module] = norms;
  }
  backend_.copy_to_host(magnitude.data(), link.magnitude->value);
  for (size_t i = 0; i < norms.size(); ++i) magnitude[i] /= norms[i];
  backend_.copy_from_host(link.ratio, magnitude.data());
  for (float& norm : norms) norm = 1.0F / norm;
  backend_.copy_from_host(link.inverse_norm, norms.data());
}

void Network::derive(TokenRows& rows, const Tensor& table) {
  const Tensor& values = rows.rows->value;
  const Tensor delta = rows.delta.row_slice(0, values.rows);
  backend_.gather_rows(delta, table, rows.places);
  backend_.scale(delta, -1.0F);
  backend_.add(delta, values);
  backend_.fill(rows.delta.row_slice(values.rows, values.rows + 1), 0.0F);
}

void Network::link_adapters(const std::vector<Decoder::ActiveAdapter>& adapters) {
  unlink();
  adapters_ = adapters;
  for (const Decoder::ActiveAdapter& active : adapters) {
    if (active.adapter->norms_of == &parameters_) continue;
    active.adapter->norms.clear();
    active.adapter->norms_of = &parameters_;
  }
  replace(adapters);
  for (size_t index = 0; index < adapters.size(); ++index) {
    link_loras(*adapters[index].adapter, index, adapters[index].factor);
    link_rows(*adapters[index].adapter, adapters[index].factor);
  }
}

void Network::refresh() {
  for (const std::vector<Parameter*>* shadows : {&shadowed_, &linked_shadows_}) {
    for (const Parameter* parameter : *shadows)
      if (parameter->trainable) backend_.copy(parameter->bf16, parameter->value);
  }
  if (adapters_.size() != 1) return;  // only one is ever trained
  Adapter& adapter = *adapters_[0].adapter;
  adapter.norms.clear();
  for_each_linear([&](const ModuleSpec& module, Linear& linear) {
    for (LoraLink& link : linear.loras) derive(adapter, link, module.name, linear.weight->value, false);
  });
  for (LoraLink& link : embedding.loras) derive(adapter, link, "embed", embedding.token->value, true);
  for (TokenRows& rows : embedding.rows) derive(rows, embedding.token->value);
  for (TokenRows& rows : head.rows) derive(rows, head.projection.weight->value);
}

}  // namespace fettle
