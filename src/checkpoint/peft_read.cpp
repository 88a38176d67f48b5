// PEFT's tensors to an Adapter.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/log.h"
#include "base/ordered_json.h"
#include "checkpoint/mapped_tensors.h"
#include "checkpoint/peft.h"
#include "checkpoint/peft_names.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/torch_file.h"
#include "checkpoint/weights.h"
#include "kernels/quant.h"
#include "model/families/families.h"

namespace fettle {
namespace {

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";
constexpr const char* pickle_name = "adapter_model.bin";

/// The tensors of a file by what they are.
struct Sorted {
  struct Module {
    const StoredTensor *a = nullptr, *b = nullptr, *bias = nullptr, *magnitude = nullptr;
    bool embedding = false;
  };
  std::map<std::string, Module> modules;            ///< by published name
  std::map<std::string, const StoredTensor*> rows;  ///< by published module
  std::map<std::string, std::pair<const WeightEntry*, const StoredTensor*>>
      whole;  ///< by published parameter
};

class Reader {
 public:
  Reader(const TensorSet& tensors, std::string_view file, const ModelConfig& model, std::string_view where)
      : tensors_(tensors), file_(file), model_(model), where_(where), map_(hf_weights_with_head(model)) {}

  Adapter read(const OrderedJson& json) {
    adapter_.config = parse_adapter_config(json, model_, where_);
    sort();
    read_whole();
    if (const int64_t vocabulary = adapter_.vocab_size(); vocabulary > 0)
      model_.vocab_size = static_cast<int32_t>(vocabulary);
    read_loras();
    read_rows();
    if (adapter_.parameters.all().empty()) fail(file_, "holds no LoRA weights");
    tie();
    check_files(tensors_);
    for (const auto& owner : tensors_.owners())
      adapter_.parameters.keep_alive(std::const_pointer_cast<void>(owner));
    return std::move(adapter_);
  }

 private:
  void sort();
  void sort_whole(const StoredTensor& tensor, const std::vector<std::string>& readings);
  void read_whole();
  void read_loras();
  void read_lora(const AdapterEntry& entry, const Sorted::Module& stored);
  void read_rows();
  void drop_tied_rows();
  void tie();

  std::vector<float> floats(const StoredTensor& stored) const;
  Tensor zeros(int64_t rows, int64_t cols);
  void add_trained(std::string name, const Tensor& value) {
    adapter_.parameters.add(std::move(name), value).trainable = true;
  }
  void expect_shape(const StoredTensor& stored, const std::vector<int64_t>& shape) const;
  [[noreturn]] void stranger(const StoredTensor& tensor) const {
    fail(file_, "tensor '{}' belongs to no linear layer of this model; is the adapter of another base model?",
         tensor.name);
  }

  const TensorSet& tensors_;
  std::string_view file_;
  ModelConfig model_;
  std::string_view where_;
  WeightMap map_;
  Sorted sorted_;
  Adapter adapter_;
};

void Reader::sort_whole(const StoredTensor& tensor, const std::vector<std::string>& readings) {
  for (const WeightEntry& entry : map_.entries) {
    for (const std::string& reading : readings) {
      if (entry.published != reading && entry.published != map_.optional_prefix + reading) continue;
      // peft writes a resized module that it also trains twice.
      const auto [at, fresh] = sorted_.whole.emplace(entry.published, std::pair(&entry, &tensor));
      const StoredTensor& first = *at->second.second;
      const bool same =
          first.shape == tensor.shape && first.type == tensor.type &&
          std::equal(first.bytes.begin(), first.bytes.end(), tensor.bytes.begin(), tensor.bytes.end());
      if (!fresh && !same)
        fail(file_, "'{}' stands in it more than once, last as '{}'", entry.published, tensor.name);
      return;
    }
  }
  stranger(tensor);
}

void Reader::sort() {
  for (const StoredTensor& tensor : tensors_.all()) {
    const PeftName name = parse_peft_name(tensor.name);
    if (name.part == PeftPart::unused) continue;
    if (name.part == PeftPart::whole) {
      sort_whole(tensor, name.modules);
      continue;
    }
    const StoredTensor** place = nullptr;
    if (name.part == PeftPart::rows) {
      place = &sorted_.rows[name.modules[0]];
    } else {
      Sorted::Module& module = sorted_.modules[name.modules[0]];
      const bool embedding = name.part == PeftPart::embedding_a || name.part == PeftPart::embedding_b;
      module.embedding = module.embedding || embedding;
      place = name.part == PeftPart::a || name.part == PeftPart::embedding_a   ? &module.a
              : name.part == PeftPart::b || name.part == PeftPart::embedding_b ? &module.b
              : name.part == PeftPart::bias                                    ? &module.bias
                                                                               : &module.magnitude;
    }
    if (*place != nullptr)
      fail(file_, "tensors '{}' and '{}' are the same part of one module", (*place)->name, tensor.name);
    *place = &tensor;
  }
}

std::vector<float> Reader::floats(const StoredTensor& stored) const {
  const Tensor view = stored.view(file_);
  if (view.dtype != DType::f32 && view.dtype != DType::f16 && view.dtype != DType::bf16)
    fail(file_, "tensor '{}' is {}; F32, F16 or BF16 was expected", stored.name, stored.type);
  std::vector<float> values(static_cast<size_t>(view.size()));
  dequantize_row(view.dtype, view.data, values.data(), view.size());
  return values;
}

Tensor Reader::zeros(int64_t rows, int64_t cols) {
  auto buffer = std::make_shared<Buffer>(rows * cols * 4);
  const Tensor tensor(buffer->data(), DType::f32, rows, cols);
  adapter_.parameters.keep_alive(std::move(buffer));
  return tensor;
}

void Reader::expect_shape(const StoredTensor& stored, const std::vector<int64_t>& shape) const {
  if (stored.shape == shape) return;
  fail(file_,
       "tensor '{}' should have the shape {}, found {}; is the adapter of another base model, or its config "
       "of "
       "another rank?",
       stored.name, shape_text(shape), shape_text(stored.shape));
}

/// Embedding and head may have another number of rows than the base's: tokens were added.
void Reader::read_whole() {
  int64_t rows = 0;
  for (const auto& [name, found] : sorted_.whole) {
    WeightEntry entry = *found.first;
    const StoredTensor& stored = *found.second;
    const std::string& ours = entry.parts[0].name;
    if ((ours == "embed.weight" || ours == "head.weight") && stored.shape.size() == 2) {
      const int64_t count = stored.shape[0];
      if (count < 1 || count > INT32_MAX)
        fail(file_, "tensor '{}' has the impossible shape {}", stored.name, shape_text(stored.shape));
      if (rows != 0 && rows != count)
        fail(file_, "embedding and head have {} and {} rows; both should have a row for every token", rows,
             count);
      entry.shape[0] = entry.parts[0].rows = rows = count;
      entry.parts[0].runs = {{0, count, 1}};
    }
    read_entry(adapter_.parameters, entry, stored, file_);
    const bool bias = name.ends_with(".bias") && adapter_.config.bias != AdapterBias::none;
    for (const WeightPart& part : entry.parts)
      adapter_.parameters.find(part.name)->trainable = bias || is_saved_module(adapter_.config, name);
  }
  for (const WeightEntry& entry : map_.entries) {
    const bool absent =
        model_.tied_embeddings && entry.parts[0].name == "head.weight" && adapter_.config.ensure_weight_tying;
    if (is_saved_module(adapter_.config, entry.published) && sorted_.whole.count(entry.published) == 0 &&
        !absent)
      fail(file_, "modules_to_save takes in '{}', which is missing from it", entry.published);
  }
}

void Reader::read_loras() {
  std::map<std::string, AdapterEntry> all;
  for (AdapterEntry& entry : adaptable_modules(model_)) all.emplace(entry.published, entry);
  const std::vector<AdapterEntry> chosen = adapter_entries(model_, adapter_.config);
  for (const auto& [name, stored] : sorted_.modules) {
    const StoredTensor& any = *(stored.a != nullptr      ? stored.a
                                : stored.b != nullptr    ? stored.b
                                : stored.bias != nullptr ? stored.bias
                                                         : stored.magnitude);
    if (all.count(name) == 0) stranger(any);
    if (std::none_of(chosen.begin(), chosen.end(),
                     [&name = name](const AdapterEntry& entry) { return entry.published == name; }))
      fail(file_, "has tensor '{}', but {} does not choose that module by its target_modules", any.name,
           where_);
  }
  std::vector<std::string> without;  // as peft has it, they stay what they are in the base
  for (const AdapterEntry& entry : chosen) {
    const auto stored = sorted_.modules.find(entry.published);
    if (stored == sorted_.modules.end()) {
      without.push_back(entry.published);
    } else {
      read_lora(entry, stored->second);
    }
  }
  if (without.empty()) return;
  log_warning(
      "{}: {} of the {} modules that target_modules choose have nothing in it and stay as they are: {}{}",
      file_, without.size(), chosen.size(), without[0], without.size() > 1 ? ", …" : "");
}

void Reader::read_lora(const AdapterEntry& entry, const Sorted::Module& stored) {
  const bool dora = adapter_.config.dora, biased = adapter_.config.lora_bias;
  if (stored.a == nullptr || stored.b == nullptr)
    fail(file_, "module '{}' has only one of lora_A and lora_B", entry.published);
  if ((stored.magnitude != nullptr) != dora)
    fail(file_, "module '{}' has {} magnitude, but use_dora is {}", entry.published, dora ? "no" : "a", dora);
  if ((stored.bias != nullptr) != biased)
    fail(file_, "module '{}' has {} lora_B.bias, but lora_bias is {}", entry.published, biased ? "no" : "a",
         biased);
  if (stored.embedding != entry.embedding)
    fail(file_, "module '{}' should have {}", entry.published,
         entry.embedding ? "lora_embedding_A and lora_embedding_B" : "lora_A and lora_B");
  const int64_t rank = entry.rank;
  expect_shape(*stored.a, {rank, entry.in});
  expect_shape(*stored.b, {entry.out, rank});
  if (dora) expect_shape(*stored.magnitude, {entry.out});
  if (biased) expect_shape(*stored.bias, {entry.out});

  const std::vector<float> a = floats(*stored.a), b = floats(*stored.b);
  const Tensor to_a = entry.embedding ? zeros(entry.in, rank) : zeros(rank, entry.in);
  if (entry.embedding) {
    for (int64_t token = 0; token < entry.in; ++token)
      for (int64_t r = 0; r < rank; ++r)
        to_a.row<float>(token)[r] = a[static_cast<size_t>(r * entry.in + token)];
  } else {
    std::copy(a.begin(), a.end(), to_a.as<float>());
  }
  add_trained(entry.modules[0] + ".lora_a", to_a);
  if (entry.alpha != adapter_.config.alpha) adapter_.alphas[entry.modules[0]] = entry.alpha;
  const auto magnitude = dora ? floats(*stored.magnitude) : std::vector<float>();
  const auto bias = biased ? floats(*stored.bias) : std::vector<float>();
  for (size_t part = 0; part < entry.modules.size(); ++part) {
    const WeightPart& rows = entry.parts[part];
    const Tensor to_b = zeros(rows.rows, rank);
    const Tensor to_magnitude = dora ? zeros(1, rows.rows) : Tensor(),
                 to_bias = biased ? zeros(1, rows.rows) : Tensor();
    int64_t ours = 0;
    for (const RowRun& run : rows.runs) {
      for (int64_t i = 0; i < run.count; ++i, ++ours) {
        const int64_t published = run.begin + i * run.step;
        std::copy_n(b.data() + published * rank, rank, to_b.row<float>(ours));
        if (dora) to_magnitude.as<float>()[ours] = magnitude[static_cast<size_t>(published)];
        if (biased) to_bias.as<float>()[ours] = bias[static_cast<size_t>(published)];
      }
    }
    add_trained(entry.modules[part] + ".lora_b", to_b);
    if (dora) add_trained(entry.modules[part] + ".magnitude", to_magnitude);
    if (biased) add_trained(entry.modules[part] + ".lora_bias", to_bias);
  }
}

void Reader::read_rows() {
  for (const auto& [name, ids] : adapter_.config.token_indices) {
    const auto matches = [&, &name = name](const auto& item) {
      return item.first == name || item.first.ends_with("." + name);
    };
    const auto stored = std::find_if(sorted_.rows.begin(), sorted_.rows.end(), matches);
    std::string module;
    for (const AdapterEntry& entry : adaptable_modules(model_))
      if ((entry.published == name || entry.published.ends_with("." + name)) && entry.layer < 0)
        module = entry.modules[0];
    if (module.empty())
      fail(where_, "trainable_token_indices: '{}' is neither the embedding nor the head of this model", name);
    // A tied head with the same tokens has no rows of its own.
    if (stored == sorted_.rows.end() && module == "head" && model_.tied_embeddings) continue;
    if (stored == sorted_.rows.end())
      fail(file_, "has no trainable_tokens_delta for '{}', which trainable_token_indices of {} name", name,
           where_);
    if (adapter_.parameters.find(module + ".lora_b") != nullptr)
      fail(where_, "'{}' is both in target_modules and in trainable_token_indices", name);
    expect_shape(*stored->second, {static_cast<int64_t>(ids.size()), model_.hidden_size});
    for (const int32_t id : ids)
      if (id >= model_.vocab_size)
        fail(where_, "trainable_token_indices: {} is outside the vocabulary of {}", id, model_.vocab_size);
    const std::vector<float> values = floats(*stored->second);
    const Tensor to = zeros(static_cast<int64_t>(ids.size()), model_.hidden_size);
    std::copy(values.begin(), values.end(), to.as<float>());
    add_trained(module + ".rows", to);
    adapter_.token_ids[module] = ids;
    sorted_.rows.erase(stored);
  }
  drop_tied_rows();
  if (!sorted_.rows.empty()) {
    fail(file_, "has tensor '{}', but {} has no trainable_token_indices for it",
         sorted_.rows.begin()->second->name, where_);
  }
}

/// peft writes the rows of a tied head beside those of the embedding, which they are.
void Reader::drop_tied_rows() {
  const Parameter* embed = adapter_.parameters.find("embed.rows");
  if (!model_.tied_embeddings || embed == nullptr) return;
  std::erase_if(sorted_.rows, [&](const auto& item) {
    const std::vector<float> values = floats(*item.second);
    const std::span<const float> own = embed->value.flat<float>();
    return map_.entries.back().published.starts_with(item.first) &&
           std::equal(values.begin(), values.end(), own.begin(), own.end());
  });
}

/// In a tied model what PEFT loads into the embedding itself is the head too; a module_to_save is a copy for
/// the embedding alone.
void Reader::tie() {
  if (!model_.tied_embeddings) return;
  Parameters& parameters = adapter_.parameters;
  const Parameter *embed = parameters.find("embed.weight"), *head = parameters.find("head.weight");
  const bool copied = (embed != nullptr && embed->trainable) || (head != nullptr && head->trainable);
  const bool rows = parameters.find("embed.rows") != nullptr && parameters.find("head.rows") == nullptr;
  if (adapter_.config.ensure_weight_tying &&
      (find_lora(adapter_, "embed").b != nullptr || find_lora(adapter_, "head").b != nullptr)) {
    fail(where_,
         "ensure_weight_tying is set beside LoRA on the embedding of a tied model: fettle has no arithmetic "
         "for "
         "it; merge the adapter with peft first");
  }
  adapter_.ties_head =
      rows || ((embed != nullptr || head != nullptr) && (!copied || adapter_.config.ensure_weight_tying));
  if (!adapter_.ties_head || head == nullptr) return;
  if (embed == nullptr) {
    parameters.add("embed.weight", head->value);
    parameters.remove("head.weight");
    return;
  }
  const Tensor &a = embed->value, &b = head->value;
  if (a.dtype == b.dtype && std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes())) == 0)
    parameters.remove("head.weight");
}

}  // namespace

std::string adapter_base_model(const fs::path& folder) {
  const fs::path file = folder / config_name;
  const Json json = read_json(file);
  if (!json.is_object()) fail(file.string(), "an object was expected");
  return json_get_or<std::string>(json, "base_model_name_or_path", "", file.string());
}

Adapter read_adapter(const fs::path& folder, const ModelConfig& model) {
  if (!fs::exists(folder / config_name))
    fail(folder.string(), "has no {}: it is no PEFT adapter", config_name);
  const std::string where = (folder / config_name).string();
  const OrderedJson config = parse_ordered_json(read_file(folder / config_name), where);
  if (fs::exists(folder / weights_name)) {
    const Safetensors weights = open_safetensors(folder / weights_name);
    return parse_adapter(config, weights.tensors, weights.where, model, where);
  }
  if (fs::exists(folder / pickle_name)) {
    const std::string file = (folder / pickle_name).string();
    return parse_adapter(config, open_torch_file(folder / pickle_name), file, model, where);
  }
  fail(folder.string(), "has neither {} nor {}", weights_name, pickle_name);
}

Adapter parse_adapter(const OrderedJson& config, const TensorSet& tensors, std::string_view file,
                      const ModelConfig& model, std::string_view where) {
  return Reader(tensors, file, model, where).read(config);
}

}  // namespace fettle
