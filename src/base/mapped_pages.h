#pragma once
// Reading mapped files of any size without holding them all.
#include <sys/mman.h>

#include "base/mapped_file.h"

namespace fettle {

/// Gives the pages read so far back to the system: they no longer count as this process's memory. What is read again
/// comes from the system's cache or the disk. Other threads may be reading.
inline void forget_pages(const MappedFile& file) {
  const auto bytes = file.bytes();
  if (!bytes.empty()) ::madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_DONTNEED);
}

}  // namespace fettle
