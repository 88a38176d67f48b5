#include "checkpoint/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "base/mapped_file.h"

namespace fettle {
namespace {

constexpr std::string_view magic = "GGUF";
constexpr int64_t default_alignment = 32;
constexpr int max_dimensions = 4;
constexpr int max_nesting = 4;

struct TensorType {
  uint32_t number;
  std::string_view name;
  BlockLayout layout;
  std::optional<DType> dtype;
};
constexpr std::array<TensorType, 34> tensor_types{{{0, "F32", {1, 4}, DType::f32},
                                                   {1, "F16", {1, 2}, DType::f16},
                                                   {2, "Q4_0", {32, 18}, DType::q4_0},
                                                   {3, "Q4_1", {32, 20}, DType::q4_1},
                                                   {6, "Q5_0", {32, 22}, DType::q5_0},
                                                   {7, "Q5_1", {32, 24}, DType::q5_1},
                                                   {8, "Q8_0", {32, 34}, DType::q8_0},
                                                   {9, "Q8_1", {32, 40}, {}},
                                                   {10, "Q2_K", {256, 84}, DType::q2_k},
                                                   {11, "Q3_K", {256, 110}, DType::q3_k},
                                                   {12, "Q4_K", {256, 144}, DType::q4_k},
                                                   {13, "Q5_K", {256, 176}, DType::q5_k},
                                                   {14, "Q6_K", {256, 210}, DType::q6_k},
                                                   {15, "Q8_K", {256, 292}, {}},
                                                   {16, "IQ2_XXS", {256, 66}, {}},
                                                   {17, "IQ2_XS", {256, 74}, {}},
                                                   {18, "IQ3_XXS", {256, 98}, {}},
                                                   {19, "IQ1_S", {256, 50}, {}},
                                                   {20, "IQ4_NL", {32, 18}, {}},
                                                   {21, "IQ3_S", {256, 110}, {}},
                                                   {22, "IQ2_S", {256, 82}, {}},
                                                   {23, "IQ4_XS", {256, 136}, {}},
                                                   {24, "I8", {1, 1}, DType::i8},
                                                   {25, "I16", {1, 2}, {}},
                                                   {26, "I32", {1, 4}, DType::i32},
                                                   {27, "I64", {1, 8}, {}},
                                                   {28, "F64", {1, 8}, {}},
                                                   {29, "IQ1_M", {256, 56}, {}},
                                                   {30, "BF16", {1, 2}, DType::bf16},
                                                   {34, "TQ1_0", {256, 54}, {}},
                                                   {35, "TQ2_0", {256, 66}, {}},
                                                   {39, "MXFP4", {32, 17}, {}},
                                                   {40, "NVFP4", {64, 36}, {}},
                                                   {41, "Q1_0", {128, 18}, {}}}};

/// Bytes of a value in the file, the least it can be for strings and arrays.
int64_t least_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::array:
      return 12;
    default:
      return 8;
  }
}

bool is_number(GgufType type) {
  return type == GgufType::f32 || type == GgufType::f64;
}

/// Takes values off the front of the bytes; never beyond them.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string_view where) : bytes_(bytes), where_(where) {}
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }
  void about(std::string subject) { subject_ = std::move(subject); }

  const std::byte* take(uint64_t count) {
    if (count > left()) {
      fail(where_, "is cut short or damaged: {} needs {} bytes at byte {}, {} are left", subject_, count,
           position_, left());
    }
    const std::byte* begin = bytes_.data() + position_;
    position_ += static_cast<size_t>(count);
    return begin;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value), sizeof value);
    return value;
  }
  std::string text() {
    const auto length = number<uint64_t>();
    const std::byte* begin = take(length);
    return {reinterpret_cast<const char*>(begin), static_cast<size_t>(length)};
  }
  GgufType type() {
    const auto type = number<uint32_t>();
    if (type > static_cast<uint32_t>(GgufType::f64))
      fail(where_, "{} has the unknown type {}", subject_, type);
    return static_cast<GgufType>(type);
  }

  int64_t integer(GgufType type) {
    switch (type) {
      case GgufType::u8:
        return number<uint8_t>();
      case GgufType::i8:
        return number<int8_t>();
      case GgufType::u16:
        return number<uint16_t>();
      case GgufType::i16:
        return number<int16_t>();
      case GgufType::u32:
        return number<uint32_t>();
      case GgufType::i32:
        return number<int32_t>();
      case GgufType::boolean: {
        const auto value = number<uint8_t>();
        if (value > 1) fail(where_, "{} should be a boolean, found the byte {}", subject_, value);
        return value;
      }
      default:
        return number<int64_t>();
    }
  }
  double real(GgufType type) {
    return type == GgufType::f32 ? static_cast<double>(number<float>()) : number<double>();
  }

  GgufValue value(GgufType type, int depth) {
    if (type == GgufType::array) return array(depth);
    if (type == GgufType::text) return {type, {}, text()};
    if (is_number(type)) return {type, {}, real(type)};
    return {type, {}, integer(type)};
  }

 private:
  GgufValue array(int depth) {
    if (depth >= max_nesting) fail(where_, "{} nests lists deeper than {}", subject_, max_nesting);
    const GgufType element = type();
    const auto count = number<uint64_t>();
    if (count > left() / static_cast<uint64_t>(least_bytes(element))) {
      fail(where_, "{} says it has {} elements, more than the {} bytes that are left can hold", subject_,
           count, left());
    }
    const auto fill = [&]<typename T>(std::vector<T> values, auto&& read) -> GgufValue {
      values.reserve(static_cast<size_t>(count));
      for (uint64_t i = 0; i < count; ++i) values.push_back(read());
      return {GgufType::array, element, std::move(values)};
    };
    if (element == GgufType::array) return fill(GgufValue::Nested(), [&] { return array(depth + 1); });
    if (element == GgufType::text) return fill(GgufValue::Texts(), [&] { return text(); });
    if (is_number(element)) return fill(GgufValue::Numbers(), [&] { return real(element); });
    return fill(GgufValue::Integers(), [&] { return integer(element); });
  }

  std::span<const std::byte> bytes_;
  std::string_view where_;
  std::string subject_ = "the header";
  size_t position_ = 0;
};

struct TensorInfo {
  StoredTensor tensor;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

TensorInfo read_tensor_info(Cursor& cursor, std::string_view where) {
  cursor.about("a tensor's name");
  TensorInfo info;
  info.tensor.name = cursor.text();
  cursor.about(fmt::format("tensor '{}'", info.tensor.name));
  const auto dimensions = cursor.number<uint32_t>();
  if (dimensions > max_dimensions) {
    fail(where, "tensor '{}' has {} dimensions, at most {} are possible", info.tensor.name, dimensions,
         max_dimensions);
  }
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = cursor.number<uint64_t>();
    if (size > static_cast<uint64_t>(INT64_MAX))
      fail(where, "tensor '{}' has a dimension of {}", info.tensor.name, size);
    info.tensor.shape.insert(info.tensor.shape.begin(), static_cast<int64_t>(size));
  }
  const auto number = cursor.number<uint32_t>();
  info.offset = cursor.number<uint64_t>();
  const auto type = std::find_if(tensor_types.begin(), tensor_types.end(),
                                 [&](const auto& t) { return t.number == number; });
  if (type == tensor_types.end())
    fail(where, "tensor '{}' has the unknown type {}", info.tensor.name, number);
  info.tensor.type = type->name;
  info.tensor.dtype = type->dtype;
  const auto elements = checked_elements(info.tensor.shape);
  int64_t bytes = 0;
  if (!elements || info.tensor.cols() % type->layout.elements != 0 ||
      __builtin_mul_overflow(*elements / type->layout.elements, type->layout.bytes, &bytes)) {
    fail(where, "tensor '{}' of type {} has the impossible shape {}", info.tensor.name, type->name,
         shape_text(info.tensor.shape));
  }
  info.bytes = static_cast<uint64_t>(bytes);
  return info;
}

/// Gives the tensors their bytes and checks that no two share any.
void place_tensors(std::vector<TensorInfo>& infos, std::span<const std::byte> data, uint64_t alignment,
                   std::string_view where) {
  for (auto& info : infos) {
    if (info.offset % alignment != 0) {
      fail(where, "tensor '{}' lies at offset {}, not a multiple of the alignment {}", info.tensor.name,
           info.offset, alignment);
    }
    if (info.offset > data.size() || info.bytes > data.size() - info.offset) {
      fail(where,
           "is cut short or damaged: tensor '{}' takes {} bytes at offset {} of the {} bytes of data; fetch "
           "it again",
           info.tensor.name, info.bytes, info.offset, data.size());
    }
    info.tensor.bytes = data.subspan(static_cast<size_t>(info.offset), static_cast<size_t>(info.bytes));
  }
  std::vector<const TensorInfo*> order;
  for (const auto& info : infos) order.push_back(&info);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
      fail(where, "tensors '{}' and '{}' overlap", order[i - 1]->tensor.name, order[i]->tensor.name);
    }
  }
}

uint64_t alignment_of(const Gguf& gguf) {
  const GgufValue* value = gguf.find("general.alignment");
  if (value == nullptr) return default_alignment;
  const auto* number = std::get_if<int64_t>(&value->value);
  if (number == nullptr || *number < 8 || *number > (1 << 20) || (*number & (*number - 1)) != 0) {
    fail(gguf.where, "key 'general.alignment' should be a power of two from 8 on");
  }
  return static_cast<uint64_t>(*number);
}

Json number_json(const GgufValue& value) {
  const int64_t number = std::get<int64_t>(value.value);
  if (value.type == GgufType::boolean) return number != 0;
  if (value.type == GgufType::u64) return static_cast<uint64_t>(number);
  return number;
}

// ---- writing

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}

void put_scalar(std::string& out, GgufType type, int64_t value) {
  // Little-endian: a narrower integer is the first bytes of the wider.
  out.append(reinterpret_cast<const char*>(&value), static_cast<size_t>(least_bytes(type)));
}

void put_scalar(std::string& out, GgufType type, double value) {
  if (type == GgufType::f32) {
    put(out, static_cast<float>(value));
  } else {
    put(out, value);
  }
}

void put_scalar(std::string& out, GgufType, const std::string& value) {
  put_text(out, value);
}

void put_value(std::string& out, const GgufValue& value);
void put_scalar(std::string& out, GgufType, const GgufValue& value) {
  put_value(out, value);
}

/// A value without its own type in front (an array has its elements' type).
void put_value(std::string& out, const GgufValue& value) {
  std::visit(
      [&]<typename T>(const T& content) {
        if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
                      std::is_same_v<T, std::string>) {
          put_scalar(out, value.type, content);
        } else {
          put(out, static_cast<uint32_t>(value.element));
          put<uint64_t>(out, content.size());
          for (const auto& element : content) put_scalar(out, value.element, element);
        }
      },
      value.value);
}

uint64_t padded(uint64_t bytes) {
  return (bytes + default_alignment - 1) / default_alignment * default_alignment;
}

}  // namespace

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found =
      std::find_if(metadata.begin(), metadata.end(), [&](const auto& entry) { return entry.first == key; });
  return found == metadata.end() ? nullptr : &found->second;
}

namespace {

/// A list with an element per layer, say.
void put_list(Json& to, const std::string& key, const GgufValue& list) {
  constexpr size_t longest = 10000;
  if (key.starts_with("tokenizer.")) return;
  if (const auto* numbers = std::get_if<GgufValue::Numbers>(&list.value); numbers != nullptr && numbers->size() <= longest)
    to[key] = *numbers;
  const auto* integers = std::get_if<GgufValue::Integers>(&list.value);
  if (integers == nullptr || integers->size() > longest) return;
  to[key] = *integers;
  if (list.element != GgufType::boolean) return;
  for (Json& value : to[key]) value = value != 0;
}

}  // namespace

Json Gguf::scalars() const {
  Json result = Json::object();
  for (const auto& [key, value] : metadata) {
    if (value.type == GgufType::array) {
      put_list(result, key, value);
      continue;
    }
    if (const auto* text = std::get_if<std::string>(&value.value)) {
      result[key] = *text;
    } else if (const auto* number = std::get_if<double>(&value.value)) {
      result[key] = *number;
    } else {
      result[key] = number_json(value);
    }
  }
  return result;
}

Gguf parse_gguf(std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() < 24 || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) {
    fail(where, "does not begin as a GGUF file does ({} bytes)", bytes.size());
  }
  Cursor cursor(bytes, where);
  cursor.take(magic.size());
  Gguf gguf;
  gguf.where = where;
  gguf.version = cursor.number<uint32_t>();
  if ((gguf.version & 0xFFFFU) == 0) fail(where, "is big-endian; convert it to little-endian first");
  if (gguf.version < 2 || gguf.version > 3)
    fail(where, "has GGUF version {}; versions 2 and 3 can be read", gguf.version);
  const auto tensor_count = cursor.number<uint64_t>(), key_count = cursor.number<uint64_t>();
  constexpr uint64_t least_key = 8 + 4 + 1, least_tensor = 8 + 4 + 4 + 8;
  if (key_count > cursor.left() / least_key || tensor_count > cursor.left() / least_tensor) {
    fail(where, "says it has {} keys and {} tensors, more than its {} bytes can hold", key_count,
         tensor_count, bytes.size());
  }
  std::unordered_set<std::string> keys;
  for (uint64_t i = 0; i < key_count; ++i) {
    cursor.about(fmt::format("metadata key {}", i));
    std::string key = cursor.text();
    cursor.about(fmt::format("metadata key '{}'", key.substr(0, 80)));
    if (!keys.insert(key).second) fail(where, "metadata key '{}' is there twice", key);
    const GgufType type = cursor.type();
    gguf.metadata.emplace_back(std::move(key), cursor.value(type, 0));
  }
  std::vector<TensorInfo> infos;
  infos.reserve(static_cast<size_t>(tensor_count));
  for (uint64_t i = 0; i < tensor_count; ++i) infos.push_back(read_tensor_info(cursor, where));
  const uint64_t alignment = alignment_of(gguf);
  const uint64_t begin = (cursor.position() + alignment - 1) / alignment * alignment;
  place_tensors(infos, bytes.subspan(std::min<size_t>(static_cast<size_t>(begin), bytes.size())), alignment,
                where);
  for (auto& info : infos) gguf.tensors.add(std::move(info.tensor), where);
  return gguf;
}

Gguf open_gguf(const fs::path& file) {
  auto map = std::make_shared<MappedFile>(file);
  Gguf gguf = parse_gguf(map->bytes(), file.string());
  check_mapped(*map);
  gguf.tensors.keep_alive(std::move(map));
  return gguf;
}

uint32_t gguf_tensor_type(DType dtype) {
  const auto type =
      std::find_if(tensor_types.begin(), tensor_types.end(), [&](const auto& t) { return t.dtype == dtype; });
  FETTLE_CHECK(type != tensor_types.end());
  return type->number;
}

void write_gguf(const fs::path& file, const GgufMetadata& metadata,
                const std::vector<TensorToWrite>& tensors) {
  std::string header(magic);
  put<uint32_t>(header, 3);
  put<uint64_t>(header, tensors.size());
  put<uint64_t>(header, metadata.size());
  for (const auto& [key, value] : metadata) {
    put_text(header, key);
    put(header, static_cast<uint32_t>(value.type));
    put_value(header, value);
  }
  uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    put_text(header, tensor.name);
    put(header, static_cast<uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) put<int64_t>(header, *size);
    put(header, gguf_tensor_type(tensor.dtype));
    put(header, offset);
    offset += padded(static_cast<uint64_t>(tensor.bytes()));
  }
  header.resize(padded(header.size()), '\0');
  AtomicFile out(file);
  out.write(header);
  std::vector<std::byte> bytes;
  for (const auto& tensor : tensors) {
    const auto size = static_cast<size_t>(tensor.bytes());
    bytes.assign(padded(size), std::byte{0});
    tensor.fill(std::span(bytes).first(size));
    out.write(bytes.data(), bytes.size());
  }
  out.commit();
}

}  // namespace fettle
