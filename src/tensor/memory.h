#pragma once
// Who owns memory: a Buffer (one block), and an Arena that deals tensors out of one block that was planned before.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace fettle {

/// Where blocks come from. Host memory here; a device's lives as long as the process, as blocks may outlive the backend. Thread-safe.
class Memory {
 public:
  virtual ~Memory() = default;
  /// Whether the host may read and write the blocks; otherwise they go through Backend::copy_to_host and copy_from_host.
  virtual bool is_host() const { return false; }
  /// Bytes that may still be taken.
  virtual int64_t available() const = 0;
  /// Zeroed, aligned to 64 bytes or more. Throws Error(io) naming the size when there is not enough.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* data, int64_t bytes) noexcept = 0;
};
Memory& host_memory();

/// One owned block. Movable.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t bytes, Memory& memory = host_memory());
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  void* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  int64_t bytes_ = 0;
};

/// A stack of tensors in one block. First measure: an Arena without memory counts what it would deal (its tensors are
/// unallocated); reserve(peak()) then gives it the block. That is how a memory plan is made: the same code runs twice.
/// Not thread-safe.
class Arena {
 public:
  explicit Arena(Memory& memory = host_memory()) : memory_(&memory) {}
  /// Takes the block; everything dealt so far is void.
  void reserve(int64_t bytes);
  bool measuring() const { return buffer_.data() == nullptr; }
  /// 64-byte aligned, not cleared. Throws Error(io) when the block is too small and the arena is not measuring.
  Tensor take(DType dtype, int64_t rows, int64_t cols);
  Tensor take(int64_t rows, int64_t cols) { return take(DType::f32, rows, cols); }
  /// Stack discipline: what was taken after mark() is given back by release(mark).
  int64_t mark() const { return used_; }
  void release(int64_t mark) { used_ = mark; }
  int64_t used() const { return used_; }
  int64_t peak() const { return peak_; }
  int64_t capacity() const { return buffer_.bytes(); }

 private:
  Memory* memory_;
  Buffer buffer_;
  int64_t used_ = 0, peak_ = 0;
};

/// Gives back at the end of a block what an arena dealt in it.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  int64_t mark_;
};

}  // namespace fettle
