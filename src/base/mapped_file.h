#pragma once
// Mapped reads that survive what others do to the file: a file that is cut while it is mapped (MappedFile in file.h) costs an
// error, not the process. Where a page cannot be had (the file is shorter now, or the disk fails), the whole map becomes zeros
// and is marked, so that whoever read from it must ask check_mapped() before using what he read. Thread-safe but for
// MappedMemory::add().
#include <memory>
#include <vector>

#include "base/file.h"

namespace fettle {

/// One map, shared by what watches it; see mapped_file.cpp.
class Mapping;

/// Throws Error(io) naming the file that the address is mapped from, if one is, when it has been cut or rewritten in its place
/// since it was mapped, or a part of it could not be read: what was read of it may be wrong. Costs one system call.
void check_mapped(const void* address);
inline void check_mapped(const MappedFile& file) { check_mapped(file.bytes().data()); }

/// The mapped files that some memory lies in: for those who hold views, not the file. Memory that is not mapped is
/// never wrong.
class MappedMemory {
 public:
  /// The map that holds the address, if one does; it stays mapped as long as this lives.
  void add(const void* address);
  /// As check_mapped(), of all of them.
  void check() const;

 private:
  std::vector<std::shared_ptr<const Mapping>> mappings_;
};

}  // namespace fettle
