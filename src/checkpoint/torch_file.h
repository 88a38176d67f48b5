#pragma once
// Files that torch.save wrote (adapter_model.bin, pytorch_model.bin): a zip archive of a pickle and storages, or the
// older stream of pickles and storages. Read as data alone (torch_pickle.h).
#include "base/file.h"
#include "checkpoint/stored_tensor.h"

namespace fettle {

/// Checks every length and offset. Throws Error naming `where` and the tensor; names what the pickle asks for beyond a
/// dictionary of tensors. The result may point into `bytes`.
TensorSet parse_torch_file(std::span<const std::byte> bytes, std::string_view where);

/// Maps the file.
TensorSet open_torch_file(const fs::path& file);

}  // namespace fettle
