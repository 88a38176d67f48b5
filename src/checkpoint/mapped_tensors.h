#pragma once
// The files that tensors are mapped from, for whoever copies out of them.
#include "base/mapped_file.h"
#include "checkpoint/stored_tensor.h"

namespace fettle {

/// Throws Error(io) naming the file when one that the tensors lie in was cut or rewritten: what was read from it before
/// may be wrong.
inline void check_files(const TensorSet& tensors) {
  MappedMemory files;
  for (const auto& tensor : tensors.all()) files.add(tensor.bytes.data());
  files.check();
}

}  // namespace fettle
