#include "kernels/reference/guarded_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"

namespace fettle::reference {
namespace {

size_t mapped_size(int64_t bytes) {
  constexpr int64_t page = 4096;
  return static_cast<size_t>((std::max<int64_t>(bytes, 1) + page - 1) / page * page);
}

}  // namespace

GuardedMemory& guarded_memory() {
  static auto* memory = new GuardedMemory();  // not destroyed: blocks may be released after any static object
  return *memory;
}

int64_t GuardedMemory::available() const {
  return host_memory().available();
}

void* GuardedMemory::allocate(int64_t bytes) {
  auto* open = static_cast<std::byte*>(host_memory().allocate(bytes));
  void* closed = ::mmap(nullptr, mapped_size(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (closed == MAP_FAILED) {
    host_memory().release(open, bytes);
    throw Error(Error::Kind::io, fmt::format("device memory: cannot get {} bytes", bytes));
  }
  const std::lock_guard lock(mutex_);
  blocks_[static_cast<const std::byte*>(closed)] = {open, bytes};
  return closed;
}

void GuardedMemory::release(void* data, int64_t bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(static_cast<const std::byte*>(data));
  if (found == blocks_.end()) return;
  host_memory().release(found->second.open, bytes);
  ::munmap(data, mapped_size(bytes));
  blocks_.erase(found);
}

Tensor GuardedMemory::behind(const Tensor& tensor) const {
  if (!tensor.allocated()) return tensor;
  const auto* address = static_cast<const std::byte*>(tensor.data);
  const std::lock_guard lock(mutex_);
  const auto above = blocks_.upper_bound(address);
  FETTLE_CHECK(above != blocks_.begin());
  const auto& [begin, block] = *std::prev(above);
  FETTLE_CHECK(address - begin + tensor.bytes() <= block.bytes);
  Tensor open = tensor;
  open.data = block.open + (address - begin);
  return open;
}

}  // namespace fettle::reference
