#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/json.h"
#include "base/mapped_file.h"

namespace fettle {
namespace {

struct Type {
  std::string_view name;
  int64_t bytes;
  std::optional<DType> dtype;
};
constexpr std::array<Type, 15> types{{{"F32", 4, DType::f32},
                                      {"F16", 2, DType::f16},
                                      {"BF16", 2, DType::bf16},
                                      {"I32", 4, DType::i32},
                                      {"U8", 1, DType::u8},
                                      {"I8", 1, DType::i8},
                                      {"BOOL", 1, {}},
                                      {"F64", 8, {}},
                                      {"I64", 8, {}},
                                      {"U64", 8, {}},
                                      {"U32", 4, {}},
                                      {"I16", 2, {}},
                                      {"U16", 2, {}},
                                      {"F8_E4M3", 1, {}},
                                      {"F8_E5M2", 1, {}}}};

constexpr uint64_t max_header = 100'000'000;  // the reference implementation's limit

struct Entry {
  std::string name, type;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;
  bool has_type = false, has_shape = false, has_offsets = false;
};

/// Reads the header as it streams by: nothing is built but the entries, and a key that comes twice is seen.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(std::string_view where, SafetensorsMetadata& metadata) : where_(where), metadata_(metadata) {}
  std::vector<Entry> entries;

  bool key(string_t& name) override {
    key_ = name;
    if (depth_ == 1) {
      in_metadata_ = name == "__metadata__";
      if (!in_metadata_) {
        entries.emplace_back();
        entries.back().name = name;
      }
    }
    return true;
  }
  bool start_object(size_t) override {
    if (depth_ > 1 || in_array_) wrong("an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || (key_ != "shape" && key_ != "data_offsets"))
      wrong("a list");
    in_array_ = true;
    bool& seen = key_ == "shape" ? entries.back().has_shape : entries.back().has_offsets;
    if (seen) fail(where_, "tensor '{}' has '{}' twice", entries.back().name, key_);
    seen = true;
    return true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      metadata_[key_] = value;
    } else if (depth_ == 2 && !in_array_ && key_ == "dtype") {
      entries.back().type = value;
      entries.back().has_type = true;
    } else {
      wrong("a string");
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (!in_array_ || value > static_cast<number_unsigned_t>(INT64_MAX)) wrong("a number");
    (key_ == "shape" ? entries.back().shape : entries.back().offsets).push_back(static_cast<int64_t>(value));
    if (entries.back().shape.size() > 16 || entries.back().offsets.size() > 2) wrong("a longer list");
    return true;
  }
  bool number_integer(number_integer_t) override { wrong("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { wrong("a fraction"); }
  bool null() override { wrong("null"); }
  bool boolean(bool) override { wrong("a boolean"); }
  bool binary(binary_t&) override { wrong("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    fail(where_, "the header is not JSON (byte {}): {}", position, error.what());
  }

 private:
  [[noreturn]] void wrong(std::string_view found) const {
    fail(where_,
         "the header holds {} at '{}', where safetensors has none; the file is damaged or of another format",
         found, key_);
  }
  std::string where_, key_;
  SafetensorsMetadata& metadata_;
  int depth_ = 0;
  bool in_metadata_ = false, in_array_ = false;
};

StoredTensor check_entry(Entry& entry, std::span<const std::byte> data, std::string_view where) {
  if (!entry.has_type || !entry.has_shape || !entry.has_offsets || entry.offsets.size() != 2) {
    fail(where, "tensor '{}' lacks dtype, shape or data_offsets", entry.name);
  }
  const auto type =
      std::find_if(types.begin(), types.end(), [&](const Type& t) { return t.name == entry.type; });
  if (type == types.end()) fail(where, "tensor '{}' has the unknown dtype '{}'", entry.name, entry.type);
  const auto elements = checked_elements(entry.shape);
  int64_t expected = 0;
  if (!elements || __builtin_mul_overflow(*elements, type->bytes, &expected)) {
    fail(where, "tensor '{}' has the impossible shape {}", entry.name, shape_text(entry.shape));
  }
  const int64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end - begin != expected) {
    fail(where, "tensor '{}' of shape {} and type {} takes {} bytes, its data_offsets [{}, {}] say otherwise",
         entry.name, shape_text(entry.shape), entry.type, expected, begin, end);
  }
  if (end > static_cast<int64_t>(data.size())) {
    fail(where, "is cut short: tensor '{}' ends at byte {} of the data, which has {}; fetch the file again",
         entry.name, end, data.size());
  }
  return {std::move(entry.name), entry.type, type->dtype, std::move(entry.shape),
          data.subspan(static_cast<size_t>(begin), static_cast<size_t>(expected))};
}

std::string shard_name(size_t index, size_t count) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

std::string_view type_name(DType dtype, std::string_view name) {
  for (const auto& type : types) {
    if (type.dtype == dtype) return type.name;
  }
  fail(name, "safetensors has no type {}; choose f32, f16 or bf16", dtype_name(dtype));
}

}  // namespace

Safetensors parse_safetensors(std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() < 8) fail(where, "has {} bytes, too few for a safetensors file", bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > max_header)
    fail(where, "says that its header takes {} bytes; this is no safetensors file", length);
  if (length > bytes.size() - 8) {
    fail(where, "is cut short: the header takes {} bytes, the file has {} after its length; fetch it again",
         length, bytes.size() - 8);
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data()) + 8;
  if (length == 0 || text[0] != '{')
    fail(where, "the header does not begin with '{{'; this is no safetensors file");
  Safetensors result;
  result.where = where;
  HeaderReader reader(where, result.metadata);
  Json::sax_parse(text, text + length, &reader);

  const auto data = bytes.subspan(8 + static_cast<size_t>(length));
  std::vector<StoredTensor> tensors;
  for (auto& entry : reader.entries) tensors.push_back(check_entry(entry, data, where));
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::pair(a.bytes.data(), a.bytes.size()) < std::pair(b.bytes.data(), b.bytes.size());
  });
  const std::byte* next = data.data();
  for (auto& tensor : tensors) {
    if (tensor.bytes.data() != next) {
      fail(where,
           "tensor '{}' begins at byte {} of the data, {} were expected: tensors overlap or leave a hole",
           tensor.name, tensor.bytes.data() - data.data(), next - data.data());
    }
    next += tensor.bytes.size();
    result.tensors.add(std::move(tensor), where);
  }
  if (next != data.data() + data.size()) {
    fail(where, "has {} bytes after its last tensor, which belong to none", data.data() + data.size() - next);
  }
  return result;
}

Safetensors open_safetensors(const fs::path& file) {
  auto map = std::make_shared<MappedFile>(file);
  Safetensors result = parse_safetensors(map->bytes(), file.string());
  check_mapped(*map);
  result.tensors.keep_alive(std::move(map));
  return result;
}

Safetensors open_sharded_safetensors(const fs::path& index) {
  const Json json = read_json(index);
  const std::string where = index.string();
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    fail(where, "key 'weight_map' with the file of each tensor is missing");
  }
  std::map<std::string, Safetensors> shards;
  Safetensors result;
  result.where = where;
  for (const auto& [name, file] : json["weight_map"].items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : std::string();
    if (shard.empty() || fs::path(shard).filename() != shard) {
      fail(where, "weight_map: tensor '{}' should name a file beside the index, found {}", name,
           file.dump().substr(0, 80));
    }
    auto found = shards.find(shard);
    if (found == shards.end()) {
      if (!fs::exists(index.parent_path() / shard))
        fail(where, "has tensor '{}' in the shard '{}', which is not there; fetch it", name, shard);
      found = shards.emplace(shard, open_safetensors(index.parent_path() / shard)).first;
      for (const auto& owner : found->second.tensors.owners()) result.tensors.keep_alive(owner);
      result.metadata = found->second.metadata;
    }
    result.tensors.add(found->second.tensors.require(name, found->second.where), where);
  }
  return result;
}

void write_safetensors(const fs::path& file, std::vector<TensorToWrite> tensors,
                       const SafetensorsMetadata& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return block_layout(a.dtype).bytes > block_layout(b.dtype).bytes;
  });
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const auto& tensor : tensors) {
    if (header.contains(tensor.name)) fail(file.string(), "tensor '{}' should be written twice", tensor.name);
    const int64_t end = offset + tensor.bytes();
    header[tensor.name] = {{"dtype", type_name(tensor.dtype, tensor.name)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  AtomicFile out(file);
  const uint64_t length = text.size();
  out.write(&length, sizeof length);
  out.write(text);
  std::vector<std::byte> bytes;
  for (const auto& tensor : tensors) {
    bytes.resize(static_cast<size_t>(tensor.bytes()));
    tensor.fill(bytes);
    out.write(bytes.data(), bytes.size());
  }
  out.commit();
}

void write_model_safetensors(const fs::path& folder, std::vector<TensorToWrite> tensors,
                             int64_t shard_bytes) {
  std::vector<std::vector<TensorToWrite>> shards(1);
  int64_t total = 0, in_shard = 0;
  OrderedJson map = OrderedJson::object();
  for (auto& tensor : tensors) {
    const int64_t bytes = tensor.bytes();
    if (in_shard > 0 && in_shard + bytes > shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    in_shard += bytes;
    total += bytes;
    shards.back().push_back(std::move(tensor));
  }
  if (shards.size() == 1) {
    write_safetensors(folder / "model.safetensors", std::move(shards[0]));
    return;
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const auto& tensor : shards[i]) map[tensor.name] = shard_name(i, shards.size());
  }
  for (size_t i = 0; i < shards.size(); ++i)
    write_safetensors(folder / shard_name(i, shards.size()), std::move(shards[i]));
  const OrderedJson index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
  write_file(folder / "model.safetensors.index.json", dump_json(index, 2) + "\n");
}

}  // namespace fettle
