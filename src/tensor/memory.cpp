#include "tensor/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "tensor/process_memory.h"

namespace fettle {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t page = 4096;

/// Maps pages directly: they come zeroed, cost nothing until touched, and large blocks may use huge pages.
class HostMemory final : public Memory {
 public:
  bool is_host() const override { return true; }
  int64_t available() const override { return available_bytes(); }
  void* allocate(int64_t bytes) override {
    const auto size = static_cast<size_t>(round_up(bytes));
    void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) fail_io("memory", fmt::format("cannot get {} bytes", size));
    if (size >= size_t{2} << 20) ::madvise(data, size, MADV_HUGEPAGE);
    return data;
  }
  void release(void* data, int64_t bytes) noexcept override { ::munmap(data, static_cast<size_t>(round_up(bytes))); }

 private:
  static int64_t round_up(int64_t bytes) { return (std::max<int64_t>(bytes, 1) + page - 1) / page * page; }
};

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

Buffer::Buffer(int64_t bytes, Memory& memory) : memory_(&memory), data_(memory.allocate(bytes)), bytes_(bytes) {}

Buffer::~Buffer() {
  if (data_ != nullptr) memory_->release(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(other.memory_), data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Arena::reserve(int64_t bytes) {
  buffer_ = Buffer();
  buffer_ = Buffer(bytes, *memory_);
  used_ = peak_ = 0;
}

Tensor Arena::take(DType dtype, int64_t rows, int64_t cols) {
  const int64_t begin = used_;
  const int64_t bytes = row_bytes(dtype, cols) * rows;
  used_ = (begin + bytes + alignment - 1) / alignment * alignment;
  peak_ = std::max(peak_, used_);
  if (measuring()) return {nullptr, dtype, rows, cols};
  if (used_ > capacity()) {
    throw Error(Error::Kind::io, fmt::format("memory plan: {} bytes were planned, {} are needed", capacity(), used_));
  }
  return {static_cast<std::byte*>(buffer_.data()) + begin, dtype, rows, cols};
}

}  // namespace fettle
