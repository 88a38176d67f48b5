#include "base/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/open_file.h"

namespace fettle {
namespace {

/// What the signal's handler reads: no locks, no memory of its own.
struct Place {
  std::atomic<uintptr_t> begin{0};  ///< 0: free, or being filled
  std::atomic<size_t> size{0};
  std::atomic<bool> taken{false}, broken{false};
};
/// More files than this may be mapped at once, but a cut one among the rest ends the process.
constexpr size_t most_places = 4096;
std::array<Place, most_places> places;
std::atomic<size_t> places_used{0};  ///< places beyond were never taken
struct sigaction previous_action {};

Place* place_of(uintptr_t address) {
  const size_t used = places_used.load(std::memory_order_acquire);
  for (size_t i = 0; i < used; ++i) {
    const uintptr_t begin = places[i].begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin && address - begin < places[i].size.load(std::memory_order_relaxed)) return &places[i];
  }
  return nullptr;
}

/// Zeros take the place of the whole file, in one map: a page at a time could run out of maps.
void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int code = errno;
  Place* place = place_of(reinterpret_cast<uintptr_t>(info->si_addr));
  if (place != nullptr) {
    place->broken.store(true, std::memory_order_release);
    void* begin = reinterpret_cast<void*>(place->begin.load(std::memory_order_relaxed));
    void* zeros = ::mmap(begin, place->size.load(std::memory_order_relaxed), PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = code;
    if (zeros != MAP_FAILED) return;
  }
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr)
    return previous_action.sa_sigaction(signal, info, context);
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN && previous_action.sa_handler != nullptr)
    return previous_action.sa_handler(signal);
  std::signal(signal, SIG_DFL);  // the access is tried again, and ends the process
}

void catch_bus_errors() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

Place* take_place(const void* data, size_t size) {
  for (size_t i = 0; i < most_places; ++i) {
    if (places[i].taken.exchange(true)) continue;
    size_t used = places_used.load();
    while (used <= i && !places_used.compare_exchange_weak(used, i + 1)) continue;
    places[i].broken.store(false);
    places[i].size.store(size, std::memory_order_relaxed);
    places[i].begin.store(reinterpret_cast<uintptr_t>(data), std::memory_order_release);
    return &places[i];
  }
  return nullptr;
}

void give_back(Place* place) {
  if (place == nullptr) return;
  place->begin.store(0);
  place->taken.store(false);
}

/// Of all MappedFiles, by their first byte: for those who know an address only.
struct Mapped {
  std::mutex mutex;
  std::map<uintptr_t, std::shared_ptr<const Mapping>> by_begin;
};
Mapped& mapped() {
  static auto& all = *new Mapped;  // never destroyed: static objects may hold maps
  return all;
}

}  // namespace

class Mapping {
 public:
  explicit Mapping(fs::path path) : path_(std::move(path)), descriptor_(open_regular(path_)) {
    if (::fstat(descriptor_.get(), &then_) != 0) fail_io(path_.string(), "cannot read its size");
    size_ = static_cast<size_t>(then_.st_size);
    if (size_ == 0) return;
    void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_.get(), 0);
    if (data == MAP_FAILED) fail_io(path_.string(), "cannot map");
    data_ = static_cast<const std::byte*>(data);
    catch_bus_errors();
    place_ = take_place(data_, size_);
  }
  ~Mapping() {
    give_back(place_);
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  void check() const {
    struct stat now {};
    if (::fstat(descriptor_.get(), &now) != 0) fail_io(path_.string(), "cannot be looked at");
    const bool same_time = now.st_mtim.tv_sec == then_.st_mtim.tv_sec && now.st_mtim.tv_nsec == then_.st_mtim.tv_nsec;
    if (now.st_size != then_.st_size || !same_time) {
      throw Error(Error::Kind::io, fmt::format("{}: changed while it was read ({} bytes then, {} now); begin again when it is whole",
                                               path_.string(), then_.st_size, now.st_size));
    }
    if (place_ != nullptr && place_->broken.load(std::memory_order_acquire))
      throw Error(Error::Kind::io, fmt::format("{}: a part of it cannot be read; is the disk failing, or was the file cut?", path_.string()));
  }

 private:
  fs::path path_;
  Descriptor descriptor_;
  struct stat then_ {};
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  Place* place_ = nullptr;
};

namespace {

/// Null when the address lies in no map.
std::shared_ptr<const Mapping> mapping_of(const void* address) {
  auto& all = mapped();
  const std::lock_guard lock(all.mutex);
  const auto after = all.by_begin.upper_bound(reinterpret_cast<uintptr_t>(address));
  if (after == all.by_begin.begin()) return nullptr;
  const auto& mapping = std::prev(after)->second;
  const auto bytes = mapping->bytes();
  return static_cast<const std::byte*>(address) < bytes.data() + bytes.size() ? mapping : nullptr;
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) {
  auto mapping = std::make_shared<const Mapping>(path);
  data_ = mapping->bytes().data();
  size_ = mapping->bytes().size();
  if (data_ == nullptr) return;
  auto& all = mapped();
  const std::lock_guard lock(all.mutex);
  all.by_begin[reinterpret_cast<uintptr_t>(data_)] = std::move(mapping);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  std::shared_ptr<const Mapping> last;  // unmapped outside of the lock, unless it is watched
  auto& all = mapped();
  const std::lock_guard lock(all.mutex);
  const auto found = all.by_begin.find(reinterpret_cast<uintptr_t>(data_));
  last = std::move(found->second);
  all.by_begin.erase(found);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedMemory::add(const void* address) {
  if (!mappings_.empty()) {
    const auto bytes = mappings_.back()->bytes();
    const auto* byte = static_cast<const std::byte*>(address);
    if (byte >= bytes.data() && byte < bytes.data() + bytes.size()) return;
  }
  auto mapping = mapping_of(address);
  if (mapping && std::find(mappings_.begin(), mappings_.end(), mapping) == mappings_.end())
    mappings_.push_back(std::move(mapping));
}

void MappedMemory::check() const {
  for (const auto& mapping : mappings_) mapping->check();
}

void check_mapped(const void* address) {
  if (const auto mapping = mapping_of(address)) mapping->check();
}

}  // namespace fettle
