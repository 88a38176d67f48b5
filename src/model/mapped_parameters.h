#pragma once
// The files that weights are mapped from, for whoever computes with them or copies them.
#include "base/mapped_file.h"
#include "model/parameters.h"

namespace fettle {

inline void watch(MappedMemory& files, const Parameters& parameters) {
  for (const auto& parameter : parameters.all()) files.add(parameter->value.data);
}

/// Throws Error(io) naming the file when one that the weights lie in was cut or rewritten: what was read from it before
/// may be wrong.
inline void check_files(const Parameters& parameters) {
  MappedMemory files;
  watch(files, parameters);
  files.check();
}

}  // namespace fettle
