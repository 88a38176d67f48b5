#include "checkpoint/torch_file.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/torch_pickle.h"

namespace fettle {
namespace {

using Bytes = std::span<const std::byte>;
using Storages = std::map<std::string, Bytes, std::less<>>;

template <typename T>
T load(Bytes bytes, uint64_t at, std::string_view where) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T))
    fail(where, "is cut short or no file of torch.save");
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

Bytes piece(Bytes bytes, uint64_t at, uint64_t size, std::string_view where) {
  if (at > bytes.size() || size > bytes.size() - at)
    fail(where, "is cut short: a part of it ends behind its end");
  return bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(size));
}

// ---- the zip archive (PKWARE's APPNOTE), stored members alone, as torch writes them

constexpr uint32_t end_mark = 0x06054b50, end64_mark = 0x06064b50, locator_mark = 0x07064b50,
                   entry_mark = 0x02014b50, local_mark = 0x04034b50;

struct Directory {
  uint64_t offset = 0, entries = 0;
};

Directory find_directory(Bytes bytes, std::string_view where) {
  constexpr uint64_t end_size = 22, longest_comment = 65535;
  if (bytes.size() < end_size) fail(where, "is cut short");
  uint64_t at = bytes.size() - end_size;
  const uint64_t first = at > longest_comment ? at - longest_comment : 0;
  while (load<uint32_t>(bytes, at, where) != end_mark) {
    if (at == first) fail(where, "is a zip archive without its directory; is the download complete?");
    --at;
  }
  Directory directory{load<uint32_t>(bytes, at + 16, where), load<uint16_t>(bytes, at + 10, where)};
  constexpr uint64_t locator_size = 20;
  if (at >= locator_size && load<uint32_t>(bytes, at - locator_size, where) == locator_mark) {
    const auto end64 = load<uint64_t>(bytes, at - locator_size + 8, where);
    if (load<uint32_t>(bytes, end64, where) != end64_mark) fail(where, "has a broken zip directory");
    directory = {load<uint64_t>(bytes, end64 + 48, where), load<uint64_t>(bytes, end64 + 32, where)};
  }
  return directory;
}

/// Sizes and offset beyond 32 bits stand in an extra field, in this order, those alone that do not fit.
void read_extra64(Bytes extra, std::string_view where, uint64_t& size, uint64_t& stored, uint64_t& offset) {
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto tag = load<uint16_t>(extra, at, where), length = load<uint16_t>(extra, at + 2, where);
    uint64_t from = at + 4;
    for (uint64_t* value : {&size, &stored, &offset}) {
      if (tag != 1 || *value != UINT32_MAX) continue;
      *value = load<uint64_t>(extra, from, where);
      from += 8;
    }
    at += uint64_t{4} + length;
  }
}

Storages zip_members(Bytes bytes, std::string_view where) {
  const Directory directory = find_directory(bytes, where);
  Storages members;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (load<uint32_t>(bytes, at, where) != entry_mark) fail(where, "has a broken zip directory");
    const auto method = load<uint16_t>(bytes, at + 10, where),
               name_length = load<uint16_t>(bytes, at + 28, where),
               extra_length = load<uint16_t>(bytes, at + 30, where),
               comment = load<uint16_t>(bytes, at + 32, where);
    uint64_t stored = load<uint32_t>(bytes, at + 20, where), size = load<uint32_t>(bytes, at + 24, where),
             local = load<uint32_t>(bytes, at + 42, where);
    const Bytes name_bytes = piece(bytes, at + 46, name_length, where);
    read_extra64(piece(bytes, at + 46 + name_length, extra_length, where), where, size, stored, local);
    std::string name(reinterpret_cast<const char*>(name_bytes.data()), name_bytes.size());
    if (method != 0 || stored != size)
      fail(where, "member '{}' is compressed; torch.save stores members as they are", name.substr(0, 200));
    if (load<uint32_t>(bytes, local, where) != local_mark)
      fail(where, "member '{}' has no header", name.substr(0, 200));
    const uint64_t begin =
        local + 30 + load<uint16_t>(bytes, local + 26, where) + load<uint16_t>(bytes, local + 28, where);
    // The folder that all members lie in has the name of the file at first.
    const size_t slash = name.find('/');
    members.emplace(slash == std::string::npos ? name : name.substr(slash + 1),
                    piece(bytes, begin, size, where));
    at += uint64_t{46} + name_length + extra_length + comment;
  }
  return members;
}

// ---- tensors

struct ElementType {
  std::string_view storage;
  const char* type;
  std::optional<DType> dtype;
  int64_t bytes;
};
constexpr size_t element_types = 9;
const ElementType* element_type(std::string_view storage) {
  static const ElementType types[element_types] = {{"FloatStorage", "F32", DType::f32, 4},
                                                   {"HalfStorage", "F16", DType::f16, 2},
                                                   {"BFloat16Storage", "BF16", DType::bf16, 2},
                                                   {"DoubleStorage", "F64", {}, 8},
                                                   {"LongStorage", "I64", {}, 8},
                                                   {"IntStorage", "I32", {}, 4},
                                                   {"ShortStorage", "I16", {}, 2},
                                                   {"ByteStorage", "U8", {}, 1},
                                                   {"BoolStorage", "BOOL", {}, 1}};
  const auto* found = std::find_if(std::begin(types), std::end(types),
                                   [&](const ElementType& type) { return type.storage == storage; });
  return found == std::end(types) ? nullptr : found;
}

bool is_contiguous(const PickledTensor& tensor, int64_t elements) {
  if (elements == 0) return true;
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

/// The elements in row-major order.
Bytes gathered(const PickledTensor& tensor, Bytes storage, int64_t width, int64_t elements, TensorSet& set) {
  auto memory = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(elements * width));
  std::vector<int64_t> index(tensor.shape.size(), 0);
  for (int64_t i = 0; i < elements; ++i) {
    int64_t place = tensor.offset;
    for (size_t d = 0; d < index.size(); ++d) place += index[d] * tensor.strides[d];
    std::memcpy(memory->data() + i * width, storage.data() + place * width, static_cast<size_t>(width));
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tensor.shape[d]) break;
      index[d] = 0;
    }
  }
  const Bytes result(*memory);
  set.keep_alive(memory);
  return result;
}

/// Whether everything the shape and strides reach lies in the storage, each element once at most.
bool fits(const PickledTensor& tensor, int64_t stored, int64_t elements) {
  if (tensor.offset < 0 || tensor.offset > stored || tensor.shape.size() != tensor.strides.size() ||
      elements > stored)
    return false;
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t reach = 0;
    const int64_t steps = std::max<int64_t>(tensor.shape[i] - 1, 0);
    if (tensor.strides[i] < 0 || __builtin_mul_overflow(steps, tensor.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return false;
  }
  return elements == 0 || last < stored;
}

void add_tensor(const PickledTensor& tensor, const Storages& storages, std::string_view where,
                TensorSet& set) {
  const ElementType* type = element_type(tensor.storage_type);
  if (type == nullptr)
    fail(where, "tensor '{}' lies in a {}, a type that fettle does not know", tensor.name,
         tensor.storage_type);
  const auto storage = storages.find(tensor.storage);
  if (storage == storages.end()) fail(where, "tensor '{}' has no storage", tensor.name);
  const auto elements = checked_elements(tensor.shape);
  const auto stored = static_cast<int64_t>(storage->second.size()) / type->bytes;
  if (tensor.shape.size() > 8 || !elements || tensor.storage_elements != stored ||
      !fits(tensor, stored, *elements)) {
    fail(where, "tensor '{}' of shape {} does not fit its storage of {} elements", tensor.name,
         shape_text(tensor.shape), stored);
  }
  StoredTensor result{tensor.name, type->type, type->dtype, tensor.shape, {}};
  result.bytes = is_contiguous(tensor, *elements)
                     ? storage->second.subspan(static_cast<size_t>(tensor.offset * type->bytes),
                                               static_cast<size_t>(*elements * type->bytes))
                     : gathered(tensor, storage->second, type->bytes, *elements, set);
  set.add(std::move(result), where);
}

TensorSet parse_zip(Bytes bytes, std::string_view where) {
  const Storages members = zip_members(bytes, where);
  const auto pickle = members.find("data.pkl");
  if (pickle == members.end()) fail(where, "is a zip archive without data.pkl: torch.save did not write it");
  if (const auto order = members.find("byteorder"); order != members.end() && order->second.size() == 3)
    fail(where, "is big-endian");
  Storages storages;
  for (const auto& [name, content] : members)
    if (name.starts_with("data/")) storages.emplace(name.substr(5), content);
  TensorSet set;
  for (const PickledTensor& tensor : parse_pickle(pickle->second, PickleOf::tensors, where).tensors)
    add_tensor(tensor, storages, where, set);
  return set;
}

/// Magic number, version, system, the value, the keys of the storages, then each storage with its number of
/// elements.
TensorSet parse_legacy(Bytes bytes, std::string_view where) {
  uint64_t at = 0;
  const auto next = [&](PickleOf kind) {
    PickledFile part = parse_pickle(bytes.subspan(static_cast<size_t>(at)), kind, where);
    at += part.bytes;
    return part;
  };
  constexpr auto magic =
      static_cast<int64_t>(0xa86a20f9469cfc6cULL);  // the low bits of 0x1950a86a20f9469cfc6c
  if (next(PickleOf::integer).integer != magic || next(PickleOf::integer).integer != 1001)
    fail(where, "is a Python pickle, but none of torch.save; save it as safetensors");
  if (!next(PickleOf::system).little_endian) fail(where, "is big-endian");
  const PickledFile value = next(PickleOf::tensors), keys = next(PickleOf::texts);
  std::map<std::string, int64_t> widths;
  for (const PickledTensor& tensor : value.tensors)
    if (const ElementType* type = element_type(tensor.storage_type)) widths[tensor.storage] = type->bytes;
  Storages storages;
  for (const std::string& key : keys.texts) {
    const auto count = load<int64_t>(bytes, at, where);
    const auto width = widths.find(key);
    if (width == widths.end()) fail(where, "has a storage of an unknown type");
    if (count < 0 || count > static_cast<int64_t>(bytes.size()))
      fail(where, "has a storage of {} elements", count);
    storages[key] = piece(bytes, at + 8, static_cast<uint64_t>(count * width->second), where);
    at += 8 + static_cast<uint64_t>(count * width->second);
  }
  TensorSet set;
  for (const PickledTensor& tensor : value.tensors) add_tensor(tensor, storages, where, set);
  return set;
}

}  // namespace

TensorSet parse_torch_file(std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() >= 4 && load<uint32_t>(bytes, 0, where) == local_mark) return parse_zip(bytes, where);
  if (bytes.size() >= 2 && bytes[0] == std::byte{0x80}) return parse_legacy(bytes, where);
  fail(where, "is neither of torch.save's formats (a zip archive or a pickle); save it as safetensors");
}

TensorSet open_torch_file(const fs::path& file) {
  auto map = std::make_shared<MappedFile>(file);
  TensorSet set = parse_torch_file(map->bytes(), file.string());
  check_mapped(*map);
  set.keep_alive(std::move(map));
  return set;
}

}  // namespace fettle
