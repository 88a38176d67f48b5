#pragma once
// The safetensors container (https://github.com/huggingface/safetensors, "Format"): 8 bytes header length, a
// JSON header, then the tensors' bytes one after the other, little-endian, row-major.
#include <map>
#include <string>

#include "base/file.h"
#include "checkpoint/stored_tensor.h"

namespace fettle {

using SafetensorsMetadata = std::map<std::string, std::string>;

struct Safetensors {
  TensorSet tensors;  ///< in the order of their bytes; keeps the map
  SafetensorsMetadata metadata;
  std::string where;  ///< the file, for messages
};

/// Checks the whole header: lengths, types, shapes, that each tensor's bytes follow those of the one before
/// and the last end with the file. Throws Error naming `where`, the tensor, what was expected and found. The
/// result points into `bytes`.
Safetensors parse_safetensors(std::span<const std::byte> bytes, std::string_view where);

/// Maps one file.
Safetensors open_safetensors(const fs::path& file);

/// Maps the shards that an index (`model.safetensors.index.json`) names. Every name must stand in the shard
/// it is said to.
Safetensors open_sharded_safetensors(const fs::path& index);

/// Writes one file; it appears whole or not at all. Tensors of wider elements come first, so that all lie
/// aligned.
void write_safetensors(const fs::path& file, std::vector<TensorToWrite> tensors,
                       const SafetensorsMetadata& metadata = {{"format", "pt"}});

/// Writes `folder`/model.safetensors, or, beyond `shard_bytes`, model-00001-of-0000N.safetensors and the
/// index.
void write_model_safetensors(const fs::path& folder, std::vector<TensorToWrite> tensors,
                             int64_t shard_bytes = 5'000'000'000);

}  // namespace fettle
