// Preloaded into a program (LD_PRELOAD), it fails the n-th call of one class that touches a file under one folder, or the n-th
// allocation. What to do is said by the environment:
//   FAULT_UNDER   a folder; calls on its files are counted
//   FAULT_TABLE   a file of Table's size, zeroed: what was counted and whether the fault came
//   FAULT_CLASS   open, read, … as in `names`; not set: calls are counted only
//   FAULT_NTH     from 1
//   FAULT_ERRNO   the error's number; -1: the call does half of what was asked ("short")
//   FAULT_LASTS   set: every call from the n-th on fails
//   FAULT_SPARES  names of libraries, with spaces between, whose own allocations always succeed
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace {

enum Class { OPEN, READ, PREAD, WRITE, PWRITE, SYNC, RENAME, CLOSE, MAP, TRUNCATE, MKDIR, OPENDIR, READDIR, UNLINK, STAT, COPY, NEW, MALLOC, CLASSES };
const char* const names[CLASSES] = {"open",  "read",    "pread",   "write",  "pwrite", "fsync", "rename", "close",
                                    "mmap",  "ftruncate", "mkdir", "opendir", "readdir", "unlink", "stat", "copy", "new",  "malloc"};

struct Table {
  std::atomic<uint64_t> calls[CLASSES];
  std::atomic<uint64_t> failed;
};

struct Range {
  uintptr_t begin, end;
};

constexpr int most_descriptors = 1 << 16, most_ranges = 64;
Table own_table, *table = &own_table;
int chosen = -1, error = EIO;
uint64_t nth = 0;
bool lasts = false, ready = false;
char under[4096];
size_t under_size = 0;
std::atomic<bool> watched[most_descriptors];
Range spared[most_ranges];
int spared_count = 0;

template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

/// Where the code of the libraries lies whose allocations are spared.
void find_spared(const char* libraries) {
  FILE* maps = next<FILE*(const char*, const char*)>("fopen")("/proc/self/maps", "r");
  char line[1024], list[1024];
  while (maps != nullptr && fgets(line, sizeof line, maps) != nullptr && spared_count < most_ranges) {
    snprintf(list, sizeof list, "%s", libraries);
    for (char* rest = list, *name; (name = strtok_r(rest, " ", &rest)) != nullptr;) {
      unsigned long begin, end;
      if (strstr(line, name) != nullptr && sscanf(line, "%lx-%lx", &begin, &end) == 2) spared[spared_count++] = {begin, end};
    }
  }
  if (maps != nullptr) next<int(FILE*)>("fclose")(maps);
}

__attribute__((constructor)) void prepare() {
  const char* folder = getenv("FAULT_UNDER");
  const char* file = getenv("FAULT_TABLE");
  if (folder == nullptr || file == nullptr) return;
  under_size = static_cast<size_t>(snprintf(under, sizeof under, "%s", folder));
  const int descriptor = next<int(const char*, int, ...)>("open")(file, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  void* mapped = next<void*(void*, size_t, int, int, int, off_t)>("mmap")(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  next<int(int)>("close")(descriptor);
  if (mapped == MAP_FAILED) return;
  table = static_cast<Table*>(mapped);
  if (const char* libraries = getenv("FAULT_SPARES")) find_spared(libraries);
  if (const char* name = getenv("FAULT_CLASS")) {
    for (int i = 0; i < CLASSES; ++i) {
      if (strcmp(name, names[i]) == 0) chosen = i;
    }
    nth = strtoull(getenv("FAULT_NTH"), nullptr, 10);
    error = atoi(getenv("FAULT_ERRNO"));
    lasts = getenv("FAULT_LASTS") != nullptr;
  }
  ready = true;
}

/// Counts a call; true when it is one that fails, with errno set.
bool fails(Class kind) {
  if (!ready) return false;
  const uint64_t number = table->calls[kind].fetch_add(1) + 1;
  if (chosen != kind || !(number == nth || (lasts && number > nth))) return false;
  table->failed.fetch_add(1);
  errno = error > 0 ? error : EIO;
  return true;
}

bool is_under(const char* path) {
  return ready && path != nullptr && strncmp(path, under, under_size) == 0 && (path[under_size] == '/' || path[under_size] == '\0');
}
bool is_watched(int descriptor) { return descriptor >= 0 && descriptor < most_descriptors && watched[descriptor]; }
bool is_under(int folder, const char* path) { return path != nullptr && path[0] != '/' && folder != AT_FDCWD ? is_watched(folder) : is_under(path); }
int watch(int descriptor, bool yes) {
  if (descriptor >= 0 && descriptor < most_descriptors) watched[descriptor] = yes;
  return descriptor;
}
bool takes_mode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

/// The standard library does not repeat the opening of a folder, which no Linux file system interrupts.
bool open_fails(int flags) { return !((flags & O_DIRECTORY) != 0 && error == EINTR) && fails(OPEN); }

int open_file(const char* path, int flags, mode_t mode) {
  const bool ours = is_under(path);
  if (ours && open_fails(flags)) return -1;
  return watch(next<int(const char*, int, ...)>("open64")(path, flags, mode), ours);
}
int open_at(int folder, const char* path, int flags, mode_t mode) {
  const bool ours = is_under(folder, path);
  if (ours && open_fails(flags)) return -1;
  return watch(next<int(int, const char*, int, ...)>("openat64")(folder, path, flags, mode), ours);
}
FILE* open_stream(const char* path, const char* mode) {
  const bool ours = is_under(path);
  if (ours && fails(OPEN)) return nullptr;
  FILE* stream = next<FILE*(const char*, const char*)>("fopen64")(path, mode);
  if (stream != nullptr) watch(fileno(stream), ours);
  return stream;
}

/// What is left to do of `size` bytes: all, half when this call is to be short, -1 when it is to fail.
ssize_t allowed(Class kind, int descriptor, size_t size) {
  if (!is_watched(descriptor) || !fails(kind)) return static_cast<ssize_t>(size);
  return error > 0 ? -1 : static_cast<ssize_t>(size > 1 ? size / 2 : size);
}

bool allocation_fails(Class kind, void* caller) {
  if (!ready) return false;
  const auto address = reinterpret_cast<uintptr_t>(caller);
  for (int i = 0; i < spared_count; ++i) {
    if (address >= spared[i].begin && address < spared[i].end) return false;
  }
  return fails(kind);
}

}  // namespace

EXPORT int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file(path, flags, mode);
}
EXPORT int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_file(path, flags, mode);
}
EXPORT int openat(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_at(folder, path, flags, mode);
}
EXPORT int openat64(int folder, const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = takes_mode(flags) ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_at(folder, path, flags, mode);
}
EXPORT int __open_2(const char* path, int flags) { return open_file(path, flags, 0); }
EXPORT int __open64_2(const char* path, int flags) { return open_file(path, flags, 0); }
EXPORT int __openat_2(int folder, const char* path, int flags) { return open_at(folder, path, flags, 0); }
EXPORT int __openat64_2(int folder, const char* path, int flags) { return open_at(folder, path, flags, 0); }
EXPORT FILE* fopen(const char* path, const char* mode) { return open_stream(path, mode); }
EXPORT FILE* fopen64(const char* path, const char* mode) { return open_stream(path, mode); }

EXPORT ssize_t read(int descriptor, void* data, size_t size) {
  const ssize_t left = allowed(READ, descriptor, size);
  return left < 0 ? -1 : next<ssize_t(int, void*, size_t)>("read")(descriptor, data, static_cast<size_t>(left));
}
EXPORT ssize_t __read_chk(int descriptor, void* data, size_t size, size_t) { return read(descriptor, data, size); }
EXPORT ssize_t pread64(int descriptor, void* data, size_t size, off64_t offset) {
  const ssize_t left = allowed(PREAD, descriptor, size);
  return left < 0 ? -1 : next<ssize_t(int, void*, size_t, off64_t)>("pread64")(descriptor, data, static_cast<size_t>(left), offset);
}
EXPORT ssize_t pread(int descriptor, void* data, size_t size, off_t offset) { return pread64(descriptor, data, size, offset); }
EXPORT ssize_t __pread_chk(int descriptor, void* data, size_t size, off_t offset, size_t) { return pread64(descriptor, data, size, offset); }
EXPORT ssize_t __pread64_chk(int descriptor, void* data, size_t size, off64_t offset, size_t) { return pread64(descriptor, data, size, offset); }
EXPORT ssize_t write(int descriptor, const void* data, size_t size) {
  const ssize_t left = allowed(WRITE, descriptor, size);
  return left < 0 ? -1 : next<ssize_t(int, const void*, size_t)>("write")(descriptor, data, static_cast<size_t>(left));
}
EXPORT ssize_t writev(int descriptor, const iovec* parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  const ssize_t left = allowed(WRITE, descriptor, size);
  if (left < 0) return -1;
  if (static_cast<size_t>(left) < size && count > 0) {
    return next<ssize_t(int, const void*, size_t)>("write")(descriptor, parts[0].iov_base, (parts[0].iov_len + 1) / 2);
  }
  return next<ssize_t(int, const iovec*, int)>("writev")(descriptor, parts, count);
}
EXPORT ssize_t pwrite64(int descriptor, const void* data, size_t size, off64_t offset) {
  const ssize_t left = allowed(PWRITE, descriptor, size);
  return left < 0 ? -1 : next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(descriptor, data, static_cast<size_t>(left), offset);
}
EXPORT ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) { return pwrite64(descriptor, data, size, offset); }

EXPORT int fsync(int descriptor) { return is_watched(descriptor) && fails(SYNC) ? -1 : next<int(int)>("fsync")(descriptor); }
EXPORT int fdatasync(int descriptor) { return is_watched(descriptor) && fails(SYNC) ? -1 : next<int(int)>("fdatasync")(descriptor); }
EXPORT int rename(const char* from, const char* to) noexcept {
  return is_under(to) && fails(RENAME) ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}
EXPORT int renameat(int a, const char* from, int b, const char* to) noexcept {
  return is_under(b, to) && fails(RENAME) ? -1 : next<int(int, const char*, int, const char*)>("renameat")(a, from, b, to);
}
EXPORT int renameat2(int a, const char* from, int b, const char* to, unsigned flags) noexcept {
  return is_under(b, to) && fails(RENAME) ? -1 : next<int(int, const char*, int, const char*, unsigned)>("renameat2")(a, from, b, to, flags);
}
/// As Linux has it, the descriptor is gone even when close() gives an error.
EXPORT int close(int descriptor) {
  const bool bad = is_watched(descriptor) && fails(CLOSE);
  const int number = errno;
  watch(descriptor, false);
  const int status = next<int(int)>("close")(descriptor);
  if (bad) errno = number;
  return bad ? -1 : status;
}
EXPORT int fclose(FILE* stream) {
  const int descriptor = fileno(stream);
  const bool bad = is_watched(descriptor) && fails(CLOSE);
  const int number = errno;
  watch(descriptor, false);
  const int status = next<int(FILE*)>("fclose")(stream);
  if (bad) errno = number;
  return bad ? EOF : status;
}
EXPORT void* mmap64(void* address, size_t size, int protection, int flags, int descriptor, off64_t offset) noexcept {
  if (is_watched(descriptor) && fails(MAP)) return MAP_FAILED;
  return next<void*(void*, size_t, int, int, int, off64_t)>("mmap64")(address, size, protection, flags, descriptor, offset);
}
EXPORT void* mmap(void* address, size_t size, int protection, int flags, int descriptor, off_t offset) noexcept {
  return mmap64(address, size, protection, flags, descriptor, offset);
}
EXPORT int ftruncate64(int descriptor, off64_t size) noexcept {
  return is_watched(descriptor) && fails(TRUNCATE) ? -1 : next<int(int, off64_t)>("ftruncate64")(descriptor, size);
}
EXPORT int ftruncate(int descriptor, off_t size) noexcept { return ftruncate64(descriptor, size); }
EXPORT int truncate64(const char* path, off64_t size) noexcept {
  return is_under(path) && fails(TRUNCATE) ? -1 : next<int(const char*, off64_t)>("truncate64")(path, size);
}
EXPORT int truncate(const char* path, off_t size) noexcept { return truncate64(path, size); }
EXPORT int mkdir(const char* path, mode_t mode) noexcept { return is_under(path) && fails(MKDIR) ? -1 : next<int(const char*, mode_t)>("mkdir")(path, mode); }
EXPORT int mkdirat(int folder, const char* path, mode_t mode) noexcept {
  return is_under(folder, path) && fails(MKDIR) ? -1 : next<int(int, const char*, mode_t)>("mkdirat")(folder, path, mode);
}
EXPORT char* mkdtemp(char* pattern) noexcept { return is_under(pattern) && fails(MKDIR) ? nullptr : next<char*(char*)>("mkdtemp")(pattern); }
EXPORT DIR* opendir(const char* path) {
  const bool ours = is_under(path);
  if (ours && fails(OPENDIR)) return nullptr;
  DIR* folder = next<DIR*(const char*)>("opendir")(path);
  if (folder != nullptr) watch(dirfd(folder), ours);
  return folder;
}
EXPORT DIR* fdopendir(int descriptor) { return is_watched(descriptor) && fails(OPENDIR) ? nullptr : next<DIR*(int)>("fdopendir")(descriptor); }
EXPORT int closedir(DIR* folder) {
  watch(dirfd(folder), false);
  return next<int(DIR*)>("closedir")(folder);
}
EXPORT dirent* readdir(DIR* folder) { return is_watched(dirfd(folder)) && fails(READDIR) ? nullptr : next<dirent*(DIR*)>("readdir")(folder); }
EXPORT dirent64* readdir64(DIR* folder) { return is_watched(dirfd(folder)) && fails(READDIR) ? nullptr : next<dirent64*(DIR*)>("readdir64")(folder); }
EXPORT int unlink(const char* path) noexcept { return is_under(path) && fails(UNLINK) ? -1 : next<int(const char*)>("unlink")(path); }
EXPORT int rmdir(const char* path) noexcept { return is_under(path) && fails(UNLINK) ? -1 : next<int(const char*)>("rmdir")(path); }
EXPORT int remove(const char* path) noexcept { return is_under(path) && fails(UNLINK) ? -1 : next<int(const char*)>("remove")(path); }
EXPORT int unlinkat(int folder, const char* path, int flags) noexcept {
  return is_under(folder, path) && fails(UNLINK) ? -1 : next<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}
EXPORT int stat(const char* path, struct stat* status) noexcept {
  return is_under(path) && fails(STAT) ? -1 : next<int(const char*, struct stat*)>("stat")(path, status);
}
EXPORT int stat64(const char* path, struct stat64* status) noexcept {
  return is_under(path) && fails(STAT) ? -1 : next<int(const char*, struct stat64*)>("stat64")(path, status);
}
EXPORT int lstat(const char* path, struct stat* status) noexcept {
  return is_under(path) && fails(STAT) ? -1 : next<int(const char*, struct stat*)>("lstat")(path, status);
}
EXPORT int lstat64(const char* path, struct stat64* status) noexcept {
  return is_under(path) && fails(STAT) ? -1 : next<int(const char*, struct stat64*)>("lstat64")(path, status);
}
EXPORT int fstat(int descriptor, struct stat* status) noexcept {
  return is_watched(descriptor) && fails(STAT) ? -1 : next<int(int, struct stat*)>("fstat")(descriptor, status);
}
EXPORT int fstat64(int descriptor, struct stat64* status) noexcept {
  return is_watched(descriptor) && fails(STAT) ? -1 : next<int(int, struct stat64*)>("fstat64")(descriptor, status);
}
EXPORT ssize_t sendfile64(int to, int from, off64_t* offset, size_t size) noexcept {
  const ssize_t left = allowed(COPY, to, size);
  return left < 0 ? -1 : next<ssize_t(int, int, off64_t*, size_t)>("sendfile64")(to, from, offset, static_cast<size_t>(left));
}
EXPORT ssize_t sendfile(int to, int from, off_t* offset, size_t size) noexcept { return sendfile64(to, from, offset, size); }
EXPORT ssize_t copy_file_range(int from, off64_t* at, int to, off64_t* to_at, size_t size, unsigned flags) {
  const ssize_t left = allowed(COPY, to, size);
  if (left < 0) return -1;
  return next<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)>("copy_file_range")(from, at, to, to_at, static_cast<size_t>(left), flags);
}

// Memory: the C library's functions, and C++'s, which would else call the former.
EXPORT void* malloc(size_t size) noexcept {
  if (!allocation_fails(MALLOC, __builtin_return_address(0))) return __libc_malloc(size);
  errno = ENOMEM;
  return nullptr;
}
EXPORT void* calloc(size_t count, size_t size) noexcept {
  if (!allocation_fails(MALLOC, __builtin_return_address(0))) return __libc_calloc(count, size);
  errno = ENOMEM;
  return nullptr;
}
EXPORT void* realloc(void* old, size_t size) noexcept {
  if (!allocation_fails(MALLOC, __builtin_return_address(0))) return __libc_realloc(old, size);
  errno = ENOMEM;
  return nullptr;
}
EXPORT int posix_memalign(void** made, size_t alignment, size_t size) noexcept {
  if (allocation_fails(MALLOC, __builtin_return_address(0))) return ENOMEM;
  *made = __libc_memalign(alignment, size);
  return *made != nullptr ? 0 : ENOMEM;
}
EXPORT void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return allocation_fails(MALLOC, __builtin_return_address(0)) ? nullptr : __libc_memalign(alignment, size);
}

namespace {
void* make(size_t size, size_t alignment, void* caller) {
  if (allocation_fails(NEW, caller)) return nullptr;
  return alignment > 0 ? __libc_memalign(alignment, size) : __libc_malloc(size > 0 ? size : 1);
}
void* made_or_thrown(void* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}
}  // namespace

#define VISIBLE __attribute__((visibility("default")))
VISIBLE void* operator new(size_t size) { return made_or_thrown(make(size, 0, __builtin_return_address(0))); }
VISIBLE void* operator new[](size_t size) { return made_or_thrown(make(size, 0, __builtin_return_address(0))); }
VISIBLE void* operator new(size_t size, std::align_val_t alignment) {
  return made_or_thrown(make(size, static_cast<size_t>(alignment), __builtin_return_address(0)));
}
VISIBLE void* operator new[](size_t size, std::align_val_t alignment) {
  return made_or_thrown(make(size, static_cast<size_t>(alignment), __builtin_return_address(0)));
}
VISIBLE void* operator new(size_t size, const std::nothrow_t&) noexcept { return make(size, 0, __builtin_return_address(0)); }
VISIBLE void* operator new[](size_t size, const std::nothrow_t&) noexcept { return make(size, 0, __builtin_return_address(0)); }
VISIBLE void operator delete(void* memory) noexcept { free(memory); }
VISIBLE void operator delete[](void* memory) noexcept { free(memory); }
VISIBLE void operator delete(void* memory, size_t) noexcept { free(memory); }
VISIBLE void operator delete[](void* memory, size_t) noexcept { free(memory); }
VISIBLE void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
VISIBLE void operator delete[](void* memory, std::align_val_t) noexcept { free(memory); }
