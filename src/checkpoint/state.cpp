#include "checkpoint/state.h"

#include "base/hash.h"
#include "base/mapped_file.h"
#include "base/unfinished.h"
#include "checkpoint/safetensors.h"

namespace fettle {
namespace {

constexpr int format_version = 1;
constexpr const char* tensors_name = "state.safetensors";
constexpr const char* json_name = "state.json";

}  // namespace

void save_state(const fs::path& folder, const std::vector<NamedTensor>& tensors, const Json& state, Backend& backend) {
  const fs::path target = folder.has_filename() ? folder : folder.parent_path();
  UnfinishedFolder made(target);
  std::vector<TensorToWrite> list;
  for (const auto& [name, value] : tensors) {
    FETTLE_CHECK(value.contiguous());
    list.push_back({name, value.dtype, {value.rows, value.cols}, [&backend, value = value](std::span<std::byte> out) {
                      FETTLE_CHECK(static_cast<int64_t>(out.size()) == value.bytes());
                      backend.copy_to_host(out.data(), value);
                    }});
  }
  write_safetensors(made.path() / tensors_name, std::move(list), {});
  const std::string text = dump_json(state);
  const OrderedJson outer = {{"format", format_version},
                             {"tensors_hash", hash_path(made.path() / tensors_name)},
                             {"state_hash", hash_hex(text)},
                             {"state", text}};
  write_file(made.path() / json_name, dump_json(outer, 1) + "\n");
  made.commit();
}

bool has_state(const fs::path& folder) {
  return fs::exists(folder / json_name);
}

SavedState::SavedState(const fs::path& folder) : where_((folder / json_name).string()) {
  const Json outer = read_json(folder / json_name);
  if (!outer.is_object()) fail(where_, "an object was expected; the state is damaged, start the run anew");
  const int version = json_get<int>(outer, "format", where_);
  if (version != format_version) {
    fail(where_, "has the format {}, this program reads {}; use the version that wrote it", version,
         format_version);
  }
  const auto text = json_get<std::string>(outer, "state", where_);
  if (hash_hex(text) != json_get<std::string>(outer, "state_hash", where_)) {
    fail(where_, "does not match its checksum: the saved state is damaged; start the run anew");
  }
  json_ = parse_json(text, where_);
  const fs::path file = folder / tensors_name;
  if (!fs::exists(file)) fail(file.string(), "is missing: the saved state is damaged; start the run anew");
  if (hash_path(file) != json_get<std::string>(outer, "tensors_hash", where_)) {
    fail(file.string(), "does not match its checksum: the saved state is damaged; start the run anew");
  }
  tensors_ = std::move(open_safetensors(file).tensors);
}

void SavedState::restore(std::string_view name, const Tensor& destination, Backend& backend) const {
  const StoredTensor& saved = tensors_.require(name, where_);
  if (saved.dtype != destination.dtype || saved.rows() != destination.rows ||
      saved.cols() != destination.cols) {
    fail(where_, "tensor '{}' was saved as {} {}, this run needs {} [{}, {}]; was the configuration changed?",
         name, saved.type, shape_text(saved.shape), dtype_name(destination.dtype), destination.rows,
         destination.cols);
  }
  FETTLE_CHECK(destination.contiguous());
  if (!saved.bytes.empty()) backend.copy_from_host(destination, saved.bytes.data());
  check_mapped(saved.bytes.data());
}

}  // namespace fettle
