#pragma once
// A device's memory without a device. A block has two addresses: the one that tensors carry, at which nothing can be read or
// written (a touch ends the process with SIGSEGV, as one of a GPU's memory does), and the one behind it that the guarded
// backend computes at.
#include <map>
#include <mutex>

#include "tensor/memory.h"

namespace fettle::reference {

class GuardedMemory final : public Memory {
 public:
  int64_t available() const override;
  void* allocate(int64_t bytes) override;
  void release(void* data, int64_t bytes) noexcept override;

  /// The tensor behind one of this memory. It is an assertion that all of it lies in one block that is still held, so that
  /// host memory given to a device's kernel is found out too.
  Tensor behind(const Tensor& tensor) const;

 private:
  struct Block {
    std::byte* open;
    int64_t bytes;
  };
  mutable std::mutex mutex_;
  std::map<const std::byte*, Block> blocks_;  ///< by the address that tensors carry
};

/// The one that all guarded backends share.
GuardedMemory& guarded_memory();

}  // namespace fettle::reference
