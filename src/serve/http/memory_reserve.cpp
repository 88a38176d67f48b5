#include "serve/http/memory_reserve.h"

#include <sys/mman.h>

#include <atomic>
#include <new>

#include "tensor/process_memory.h"

namespace fettle::serve {
namespace {

constexpr size_t reserve_bytes = 64 << 20;
/// Bytes of values for a byte of JSON, at the worst: `[],` makes a value, a vector and their share of a list that grows.
constexpr uint64_t values_per_byte = 40;
constexpr uint64_t always_fits = 1 << 20;  ///< into the reserve

std::atomic<void*> reserve{nullptr};
std::new_handler other = nullptr;

void* take_reserve() {
  void* memory = mmap(nullptr, reserve_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void give_up_reserve() {
  if (void* memory = reserve.exchange(nullptr)) {
    munmap(memory, reserve_bytes);
  } else if (other != nullptr) {
    other();
  } else {
    throw std::bad_alloc();
  }
}

}  // namespace

void set_memory_aside() {
  static const bool once = [] {
    other = std::set_new_handler(give_up_reserve);
    return memory_is_aside();
  }();
  static_cast<void>(once);
}

bool memory_is_aside() {
  if (reserve.load() != nullptr) return true;
  void* memory = take_reserve();
  void* none = nullptr;
  if (memory != nullptr && !reserve.compare_exchange_strong(none, memory)) munmap(memory, reserve_bytes);
  return memory != nullptr;
}

bool has_room_for_json(uint64_t bytes) {
  if (!memory_is_aside()) return false;
  return bytes <= always_fits || static_cast<uint64_t>(available_bytes()) / values_per_byte >= bytes;
}

}  // namespace fettle::serve
